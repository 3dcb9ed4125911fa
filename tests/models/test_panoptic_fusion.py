"""Both merges, the stuff fill and boxes on 8x8 frames."""

import pytest
import torch

from knet.models.kernels.kernel_set import KernelSet
from knet.models.mask_grid import MaskGrid
from knet.models.panoptic_fusion import (
    Candidates,
    FusionOptions,
    ScoredKernels,
    fill_with_stuff,
    merge,
    segment_boxes,
    select_kernels,
)
from tests.models.matching.test_assigner import rectangle

THING, ROAD, SKY = 0, 2, 3
FULL = rectangle(0, 0, 8, 8)


def candidates(*rows, num_things=1):
    """rows: mask probabilities, score, class."""
    masks, scores, labels = zip(*rows)
    numbers = torch.arange(len(rows))
    return Candidates(
        MaskGrid(torch.stack(masks).logit(), 1, *[(8, 8)] * 3),
        ScoredKernels(
            torch.tensor(scores), torch.tensor(labels), numbers + 10, numbers < num_things
        ),
    )


def merge_joint(rows, **options):
    return merge(rows, FusionOptions(**options))


def merge_things_first(rows, **options):
    return merge(rows, FusionOptions(merge_joint=False, **options))


def test_joint_merge_gives_pixels_to_the_largest_score_times_mask():
    segments = merge_joint(
        candidates(
            (rectangle(0, 0, 4, 4), 0.9, THING),
            (FULL * 0.95, 0.8, ROAD),
            (rectangle(0, 0, 8, 1) * 0.9, 0.1, SKY),
        ),
        instance_score_thr=0.3,
        overlap_thr=0.5,
    )
    assert segments.rows.labels.tolist() == [THING, ROAD] and segments.rows.areas.tolist() == [
        16,
        48,
    ]
    assert segments.rows.kernels.tolist() == [10, 11] and segments.rows.is_thing.tolist() == [
        True,
        False,
    ]
    assert segments.map[0].tolist() == [1] * 4 + [2] * 4


def test_weak_thing_becomes_no_segment_and_its_pixels_the_stuff_below():
    rows = candidates(
        (rectangle(0, 0, 4, 4), 0.29, THING),
        (FULL * 0.3, 0.9, ROAD),
        (rectangle(0, 0, 8, 4) * 0.4, 0.1, SKY),
    )
    segments = merge_joint(rows, instance_score_thr=0.3, overlap_thr=0.6)
    assert (
        len(segments.rows.labels) == 0 and (segments.map == 0).all()
    )  # the road's mask is nowhere over 0.5: it is no segment either
    assert (fill_with_stuff(segments, rows) == ROAD).all()


def test_rejected_stuff_does_not_come_back():
    patch = rectangle(0, 0, 4, 4)
    rows = candidates(
        (FULL, 0.0, THING), (FULL * 0.9 - 0.89 * patch, 0.9, ROAD), (FULL * 0.6, 0.05, SKY)
    )
    segments = merge_joint(rows, instance_score_thr=0.3, overlap_thr=0.6)
    assert (
        segments.rows.labels.tolist() == [ROAD] and (segments.map[:4, :4] == 0).all()
    )  # the sky kept 16 of its 64 pixels
    assert (fill_with_stuff(segments, rows) == ROAD).all()


def test_rejected_pixels_become_the_most_likely_stuff_there_and_not_class_0_of_the_stuff():
    doubt = 0.9 - 0.55 * rectangle(2, 0, 4, 8)
    upper, lower = rectangle(0, 0, 8, 4) * doubt, rectangle(0, 4, 8, 8) * doubt
    rows = candidates((rectangle(2, 0, 4, 8), 0.25, THING), (lower, 0.6, ROAD), (upper, 0.6, SKY))
    segments = merge_joint(rows, instance_score_thr=0.3, overlap_thr=0.6)
    assert (segments.map[:, 2:4] == 0).all()
    semantic = fill_with_stuff(segments, rows)
    assert (semantic[:4] == SKY).all() and (semantic[4:] == ROAD).all()


@pytest.mark.parametrize('overlap_thr, kept', [(0.5, 2), (0.51, 1)])
def test_overlap_threshold_is_inclusive(overlap_thr, kept):
    rows = candidates(
        (rectangle(0, 0, 8, 4), 0.9, THING), (rectangle(0, 2, 8, 6), 0.8, THING), num_things=2
    )
    assert len(merge_joint(rows, instance_score_thr=0.3, overlap_thr=overlap_thr).rows) == kept


def test_things_first_leaves_stuff_what_is_free():
    rows = candidates(
        (rectangle(0, 0, 4, 4), 0.9, THING),
        (rectangle(0, 0, 4, 5), 0.8, THING),
        (rectangle(0, 0, 8, 1), 0.2, THING),
        (FULL, 0.3, ROAD),
        (rectangle(7, 7, 8, 8), 0.9, SKY),
        num_things=3,
    )
    segments = merge_things_first(rows, instance_score_thr=0.3, iou_thr=0.5, stuff_max_area=4)
    # the second thing is covered by 80 %, the third too weak, the sky gets no pixel that is free
    assert segments.rows.kernels.tolist() == [10, 13] and segments.rows.areas.tolist() == [16, 48]


def test_selection_ranks_kernel_and_class_pairs_and_sorts_stuff():
    scores = torch.zeros(4, 4)
    scores[0, 1], scores[1, 0], scores[1, 1] = 0.9, 0.8, 0.7
    scores[2, 2], scores[3, 3] = 0.4, 0.6
    rows = select_kernels(scores, KernelSet(2, 2, 2, 8), max_per_img=3)
    assert rows.kernels.tolist() == [0, 1, 1, 3, 2] and rows.labels.tolist() == [1, 0, 1, 3, 2]
    assert rows.is_thing.tolist() == [True] * 3 + [
        False
    ] * 2 and rows.scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.4])


def test_boxes_end_behind_the_last_pixel():
    result = torch.zeros(8, 8, dtype=torch.long)
    result[2:4, 1:6], result[7, 7] = 1, 2
    assert segment_boxes(result, 2).tolist() == [[1, 2, 6, 4], [7, 7, 8, 8]]
    assert segment_boxes(torch.zeros(4, 4, dtype=torch.long), 0).shape == (0, 4)


def test_label_space_of_things_alone():
    rows = candidates((rectangle(0, 0, 4, 4), 0.9, THING))
    segments = merge_joint(rows, instance_score_thr=0.95, overlap_thr=0.5)
    assert (fill_with_stuff(segments, rows) == 255).all()
