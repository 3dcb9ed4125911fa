"""Costs, assignment, targets and index maps on masks drawn by hand."""

import pytest
import torch

from knet.models.matching.assigner import KernelHungarianAssigner
from knet.models.matching.costs import mask_costs
from knet.models.matching.targets import index_map, prepare_targets
from knet.structures import FrameTargets, Objects


def rectangle(x0, y0, x1, y1, size=8):
    mask = torch.zeros(size, size)
    mask[y0:y1, x0:x1] = 1
    return mask


LEFT, RIGHT = rectangle(0, 0, 4, 8), rectangle(4, 0, 8, 8)


def test_costs_of_sure_masks():
    logits = torch.stack([LEFT, RIGHT]) * 200 - 100
    truth = torch.stack([LEFT, rectangle(0, 0, 8, 8)])
    dice, mask = mask_costs(logits, truth)
    assert dice.tolist() == [
        pytest.approx([-1, -64 / 96], abs=1e-4),
        pytest.approx([0, -64 / 96], abs=1e-4),
    ]
    assert mask.tolist() == [pytest.approx([-1, -0.5]), pytest.approx([0, -0.5])]


def test_each_thing_gets_one_kernel_of_minimum_total_cost():
    logits = torch.stack([torch.zeros(8, 8), RIGHT, LEFT]) * 20 - 10
    pairs = KernelHungarianAssigner().assign(
        logits, None, torch.stack([LEFT, RIGHT]), torch.tensor([0, 1])
    )
    assert (pairs.kernels.tolist(), pairs.objects.tolist()) == ([1, 2], [1, 0])


def test_classes_decide_between_equal_masks():
    logits = torch.stack([LEFT, LEFT]) * 20 - 10
    classes = torch.tensor([[5.0, -5.0], [-5.0, 5.0]])
    pairs = KernelHungarianAssigner().assign(logits, classes, LEFT[None], torch.tensor([1]))
    assert (pairs.kernels.tolist(), pairs.objects.tolist()) == ([1], [0])


def test_no_things_and_more_things_than_kernels():
    assigner = KernelHungarianAssigner()
    assert (
        len(
            assigner.assign(torch.zeros(3, 8, 8), None, torch.zeros(0, 8, 8), torch.zeros(0).long())
        )
        == 0
    )
    assert (
        len(
            assigner.assign(
                torch.zeros(1, 8, 8), None, torch.stack([LEFT, RIGHT]), torch.tensor([0, 0])
            )
        )
        == 1
    )


def test_kernels_that_are_not_finite_are_matched_last():
    logits = torch.stack([torch.full((8, 8), float('nan')), LEFT * 20 - 10])
    match = KernelHungarianAssigner().assign(logits, None, LEFT[None], torch.tensor([0]))
    assert match.kernels.tolist() == [1]
    match = KernelHungarianAssigner().assign(logits[:1], None, LEFT[None], torch.tensor([0]))
    assert match.kernels.tolist() == [0]


def test_later_masks_cover_earlier_ones():
    result = index_map(
        torch.stack([rectangle(0, 0, 4, 2), rectangle(2, 0, 6, 1)]), torch.tensor([7, 5])
    )
    assert (
        result[0].tolist() == [7, 7, 5, 5, 5, 5, 255, 255]
        and result[1].tolist() == [7] * 4 + [255] * 4
    )
    assert index_map(torch.zeros(0, 2, 2), torch.zeros(0).long()).tolist() == [
        [255, 255],
        [255, 255],
    ]


def test_targets_are_soft_at_borders():
    masks = torch.cat([rectangle(1, 0, 4, 8), torch.zeros(8, 8)], 1)[None] > 0
    semantic = torch.full((8, 16), 255, dtype=torch.uint8)
    semantic[..., 8:12], semantic[..., :1] = (
        5,
        1,
    )  # a stuff class; a thing class, which is no stuff mask
    frame = FrameTargets(Objects(masks, torch.tensor([1]), torch.tensor([7])), semantic)
    (target,) = prepare_targets([frame], num_thing_classes=2, stride=2)
    assert target.things.masks.shape == (1, 4, 8) and target.things.masks[0, 0].tolist() == [
        0.5,
        1,
        0,
        0,
        0,
        0,
        0,
        0,
    ]
    assert target.stuff.labels.tolist() == [5] and target.stuff.masks[0, 0].tolist() == [
        0,
        0,
        0,
        0,
        1,
        1,
        0,
        0,
    ]
