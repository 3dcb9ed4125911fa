"""Half precision and gradient checkpointing change the cost of a training step, not what it
computes."""

import copy

import pytest
import torch

from knet.apis import build_model, load_config
from knet.models.kernels.mask_ops import group_features
from knet.models.matching.assigner import KernelHungarianAssigner
from knet.models.precision import in_float32
from tests.models.test_video_knet import SHARED, batch, total


def test_everything_inside_is_float32():
    @in_float32
    def dtypes(pair, scale, index):
        return [tensor.dtype for tensor in (*pair, scale @ scale, index)]

    half = torch.ones(2, 2, dtype=torch.float16)
    with torch.autocast('cpu', torch.bfloat16):
        assert (half.float() @ half.float()).dtype == torch.bfloat16
        assert dtypes((half, half), scale=half, index=torch.zeros(1, dtype=torch.long)) == 3 * [
            torch.float32
        ] + [torch.long]


def test_sums_over_pixels_leave_the_range_of_float16():
    feats, logits = (
        torch.full((1, 1, 300, 300), 2.0).half(),
        torch.full((1, 1, 300, 300), 9.0).half(),
    )
    with torch.autocast('cpu', torch.bfloat16):
        assert group_features(feats, logits).item() == 180000


def test_matching_sees_differences_that_bfloat16_does_not():
    masks = torch.zeros(1, 100, 100)
    masks[0, :50] = 1
    logits = torch.where(masks[0] > 0, 20.0, -20.0).repeat(2, 1, 1)
    logits[0, 0, 0] = -20  # 1 of 10000 pixels is wrong
    with torch.autocast('cpu', torch.bfloat16):
        assert KernelHungarianAssigner().assign(
            logits, None, masks, torch.zeros(1, dtype=torch.long)
        ).kernels.tolist() == [1]


@pytest.fixture(scope='module')
def config(tiny_config):
    return load_config(tiny_config)


def step(config, **backbone):
    """Losses and gradients of one pair."""
    torch.manual_seed(0)
    config = copy.deepcopy(config)
    config.model.backbone.update(norm_eval=True, **backbone)
    model = build_model(config).train()
    losses = model(*batch(SHARED))
    total(losses).backward()
    return total(losses).item(), {
        name: parameter.grad for name, parameter in model.named_parameters()
    }


def test_losses_in_bfloat16(config):
    exact, exact_grads = step(config)
    with torch.autocast('cpu', torch.bfloat16):
        loss, grads = step(config)
    assert loss != exact and loss == pytest.approx(exact, rel=0.02)
    assert all(
        grad.dtype == torch.float32 and torch.isfinite(grad).all() for grad in grads.values()
    )


def test_checkpointed_backbone_has_the_same_gradients(config):
    exact, exact_grads = step(config)
    loss, grads = step(config, with_cp=True)
    assert loss == exact
    assert all(
        torch.allclose(grads[name], grad, rtol=1e-4, atol=1e-6)
        for name, grad in exact_grads.items()
    )
