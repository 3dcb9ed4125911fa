"""Depth: its loss, what each kernel learns from, and the depth of a result."""

import numpy as np
import pytest
import torch

from knet.errors import InputError
from knet.models.kernels.branches import StageTargets
from knet.models.kernels.depth import DepthBranch, DepthLoss, DepthStart, metres_of
from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.path import PathState
from knet.models.mask_grid import MaskGrid
from knet.models.matching.assigner import Match
from knet.models.matching.targets import ImageTargets, MaskTargets
from knet.models.panoptic_fusion import Segments, SegmentTable

KERNELS = KernelSet(num_proposals=3, num_thing_classes=2, num_stuff_classes=2, channels=32)
LOSS = dict(type='DepthLoss')


def logits_of(depth):
    """Logits whose depth is this, metres."""
    return torch.logit((torch.as_tensor(depth, dtype=torch.float) - 0.01) / 79.99)


def targets(depth):
    """A thing on kernel 1 above, stuff class 2 on kernel 3 below; the last class is not there."""
    masks = torch.zeros(2, 4, 4)
    masks[0, :2], masks[1, 2:] = 1, 1
    rows = MaskTargets(masks, torch.tensor([1, 2]))
    image = ImageTargets(rows, num_things=1, depth=depth)
    return StageTargets([Match(torch.tensor([1, 3]), torch.tensor([0, 1]))], [image], None)


def test_loss_counts_labelled_pixels_alone():
    depth = torch.full((1, 2, 3), 20.0)
    depth[0, 0, 0], depth[0, 0, 1], depth[0, 0, 2] = 0, 80, 200  # no label, and out of range
    logits = logits_of(torch.full((1, 2, 3), 20.0))
    logits[0, 0] = logits_of([1, 2, 3])
    weights = torch.ones(1, 2, 3)
    logits[0, 1, 0], weights[0, 1, 0] = logits_of(5), 0
    assert DepthLoss()(logits, depth, weights).item() == pytest.approx(0, abs=1e-4)
    logits[0, 1, 1] = logits_of(10)
    # one of two pixels is half as deep: e = log(1/2), r = 1/2
    e = np.log(0.5)
    want = ((e**2 / 2 - (e / 2) ** 2) + np.sqrt(0.25 / 2) + 0.5 / 2) / 3
    assert DepthLoss(2.0)(logits, depth, weights).item() == pytest.approx(2 * want, rel=1e-4)


@pytest.mark.parametrize('scale_invariant, grows', [(True, False), (False, True)])
def test_first_term_ignores_a_common_scale(scale_invariant, grows):
    """As published it does not: its second term fades with the number of pixels."""
    truth = torch.linspace(5, 30, 100).reshape(1, 10, 10)
    loss, ones = DepthLoss(scale_invariant=scale_invariant), torch.ones(1, 10, 10)
    value = loss(logits_of(1.5 * truth), truth, ones).item()
    rest = (0.5 + 0.5) / 3  # both relative errors
    assert (value - rest > 0.01) == grows and value >= rest - 1e-4


@pytest.mark.parametrize('depth', [0.0, 20.0])
def test_loss_without_labels_or_errors_has_a_graph(depth):
    logits = logits_of(torch.full((2, 3, 3), 20.0)).requires_grad_()
    loss = DepthLoss()(logits, torch.full((2, 3, 3), depth), torch.ones(2, 3, 3))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-4) and logits.grad.isfinite().all()


@pytest.mark.parametrize('everywhere', [False, True])
def test_kernels_learn_under_their_own_masks(everywhere):
    branch = DepthBranch(KERNELS, LOSS, upsample_stride=1, last_kernel_everywhere=everywhere)
    logits = torch.zeros(1, 5, 4, 4, requires_grad=True)
    branch.loss(logits, targets(torch.full((4, 4), 20.0)))['loss_depth'].backward()
    learns = (logits.grad[0] != 0).float()
    want = torch.zeros(5, 4, 4)
    want[1, :2], want[3, 2:], want[4] = 1, 1, float(everywhere)
    assert torch.equal(learns, want)


def test_depth_that_was_not_loaded():
    with pytest.raises(InputError, match='data.train.with_depth=True'):
        DepthBranch(KERNELS, LOSS).loss(torch.zeros(1, 5, 2, 2), targets(None))


@pytest.mark.parametrize('train_dense', [True, False])
def test_start(train_dense):
    start = DepthStart(KERNELS, LOSS, train_dense)
    state = start(torch.randn(2, 32, 4, 4))
    assert state.kernels.shape == (2, 5, 32) and state.dense.shape == (2, 1, 4, 4)
    assert torch.equal(state.kernels[1, 3], start.conv_out.weight[0, :, 0, 0])
    state.dense = torch.zeros(1, 1, 4, 4, requires_grad=True)
    depth = torch.full((4, 4), 20.0)
    target = targets(depth)
    target.images[0].all.masks[1] = 0  # the lower half has no mask
    losses = start.loss(state, target.matches, target.images, 1)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert set(losses) == {'loss_depth', 'loss_depth_dense' if train_dense else 'depth_dense'}
    learns = state.dense.grad[0, 0] != 0
    assert learns[:2].all() and learns[2:].all() == train_dense


def test_depth_of_a_result():
    """A segment has its kernel's depth, pixels without one that of the dense map."""
    branch = DepthBranch(KERNELS, LOSS, upsample_stride=1)
    prediction = torch.stack([torch.full((4, 4), float(k)) for k in range(5)])
    dense = PathState(None, None, torch.full((1, 1, 4, 4), -3.0))
    segment_map = torch.zeros(16, 16, dtype=torch.long)
    segment_map[:8, :8], segment_map[8:, 4:12] = 1, 2
    two = torch.tensor([4, 2])
    rows = SegmentTable(torch.ones(2), two, two, torch.ones(2, dtype=torch.bool), two, two)
    grids = []

    def grid(logits, stride):
        grids.append(MaskGrid(logits, stride, (16, 16), (16, 16), (16, 16)))
        return grids[-1]

    depth = branch.describe(prediction, dict(depth=dense), Segments(segment_map, rows), grid)
    logits = torch.where(segment_map == 1, 4.0, torch.where(segment_map == 2, 2.0, -3.0))
    np.testing.assert_allclose(depth, metres_of(logits.sigmoid()).numpy(), rtol=1e-5)
    assert depth.dtype == np.float32 and grids[0].scale == 4
