"""Tracking losses against sums written out."""

import math

import pytest
import torch

from knet.models.tracking.losses import CosineMarginLoss, MultiPosCrossEntropyLoss


def test_multi_positive_cross_entropy():
    similarity = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.0, 0.0, 0.0, 0.0]])
    match = torch.tensor([[True, True, False, False], [False] * 4])
    terms = [math.exp(negative - positive) for positive in (1.0, 2.0) for negative in (0.5, -1.0)]
    assert MultiPosCrossEntropyLoss(0.25)(similarity, match).item() == pytest.approx(
        0.25 * math.log(1 + sum(terms)), rel=1e-6
    )


def test_all_pairs_match_is_no_error_but_no_loss():
    loss = MultiPosCrossEntropyLoss()(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bool))
    assert loss.item() == 0


def test_cosine_loss_mines_the_hardest_negatives():
    cosine = torch.tensor([[0.8, 0.3, -0.5, 0.9, 0.2]])
    match = torch.tensor([[True, False, False, False, False]])
    expected = ((1 - 0.8) ** 2 + 0.2**2 + 0.8**2 + 0.1**2) / 4
    assert CosineMarginLoss(neg_margin=0.1, max_neg_ratio=3)(cosine, match).item() == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize('loss', [MultiPosCrossEntropyLoss(), CosineMarginLoss()])
@pytest.mark.parametrize('shape', [(0, 0), (3, 0), (0, 2), (2, 2)])
def test_without_partners_the_loss_is_0_and_keeps_its_graph(loss, shape):
    values = torch.rand(shape, requires_grad=True)
    result = loss(values * 2, torch.zeros(shape, dtype=torch.bool))
    result.backward()
    assert result.item() == 0 and values.grad.shape == shape
