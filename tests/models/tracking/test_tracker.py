"""The tracker beyond the published numbers: order, duplicates, states."""

import pytest
import torch

from knet.models.tracking.overlap import moved_mask_iou, segment_pixels
from knet.models.tracking.tracker import NO_TRACK, ON_BACKDROP, QuasiDenseTracker
from knet.structures import TrackerState

A, B, C = (torch.eye(4)[i] * 10 for i in range(3))


class Video:
    """A tracker on the frames of one video."""

    def __init__(self, **options):
        self.tracker, self.state = QuasiDenseTracker(**options), TrackerState()

    def track(self, *objects):
        """Ids of the next frame; objects: (box, score, class, embedding)."""
        boxes, scores, labels, embeds = zip(*objects) if objects else ([], [], [], [])
        return self._next(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            torch.tensor(scores),
            torch.tensor(labels).long(),
            torch.stack(embeds) if embeds else torch.zeros(0, 4),
        )

    def track_masks(self, *objects):
        """Ids of the next frame; objects: (x of a square of 4 pixels in an image of 8x32,
        embedding), all of one class and sure."""
        segment_map = torch.zeros(8, 32, dtype=torch.long)
        for number, (x, _) in enumerate(objects, 1):
            segment_map[2:6, x : x + 4] = number
        boxes = torch.tensor([[x, 2, x + 4, 6] for x, _ in objects], dtype=torch.float32).reshape(
            -1, 4
        )
        embeds = torch.stack([embed for _, embed in objects]) if objects else torch.zeros(0, 4)
        return self._next(
            boxes,
            torch.linspace(0.9, 0.8, len(objects)),
            torch.zeros(len(objects)).long(),
            embeds,
            segment_map,
        )

    def _next(self, boxes, scores, labels, embeds, segment_map=None):
        ids, self.state = self.tracker.track(boxes, scores, labels, embeds, self.state, segment_map)
        return ids.tolist()


BOXES = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)]


def test_objects_keep_their_ids_in_any_order():
    video = Video()
    assert video.track((BOXES[0], 0.5, 0, A), (BOXES[1], 0.9, 0, B)) == [
        1,
        0,
    ]  # new ids by falling score
    assert video.track((BOXES[2], 0.8, 0, B), (BOXES[0], 0.6, 0, C), (BOXES[1], 0.7, 0, A)) == [
        0,
        2,
        1,
    ]


def test_ids_stay_with_their_objects_where_duplicates_are_removed():
    """The published code returns the ids of the objects that are left, in a list that is shorter
    than its input."""
    video = Video()
    near = (1, 0, 10, 10)
    assert video.track((BOXES[0], 0.9, 0, A), (near, 0.8, 0, B), (BOXES[1], 0.7, 0, C)) == [
        0,
        NO_TRACK,
        1,
    ]
    assert video.track((near, 0.5, 0, B), (BOXES[1], 0.9, 0, C), (BOXES[0], 0.8, 0, A)) == [
        NO_TRACK,
        1,
        0,
    ]


def test_only_objects_of_one_class_match():
    video = Video()
    video.track((BOXES[0], 0.9, 0, A))
    assert video.track((BOXES[0], 0.9, 1, A)) == [1]


@pytest.mark.parametrize('gap, remembered', [(1, True), (5, True), (6, False)])
def test_track_is_forgotten_after_the_memory_and_not_before(gap, remembered):
    video = Video(memo_tracklet_frames=5)
    stays = (BOXES[1], 0.8, 0, B)
    video.track((BOXES[0], 0.9, 0, A), stays)
    for _ in range(gap - 1):
        assert video.track(stays) == [1]
    assert video.track((BOXES[0], 0.9, 0, A), stays) == [0 if remembered else 2, 1]


def test_weak_objects_start_no_track_and_continue_none():
    video = Video(init_score_thr=0.35, obj_score_thr=0.3)
    assert video.track((BOXES[0], 0.34, 0, A), (BOXES[1], 0.9, 0, B)) == [NO_TRACK, 0]
    assert video.track((BOXES[1], 0.29, 0, B)) == [ON_BACKDROP]


def test_empty_frames():
    video = Video()
    assert video.track() == []
    assert video.track((BOXES[0], 0.9, 0, A)) == [0]
    assert video.track() == []
    assert video.track((BOXES[0], 0.9, 0, A), (BOXES[1], 0.9, 0, B)) == [0, 1]


def test_states_are_values():
    """A state can be used twice, and two videos share a tracker."""
    tracker, start = QuasiDenseTracker(), TrackerState()
    frame = [torch.tensor([BOXES[0]]).float(), torch.tensor([0.9]), torch.tensor([0]), A[None]]
    first, state = tracker.track(*frame, start)
    other, _ = tracker.track(*frame, start)
    again = [tracker.track(*frame[:3], embed[None], state)[0].tolist() for embed in (A, B, A)]
    assert first.tolist() == other.tolist() == [0] and again[0] == again[2] == [0]
    assert start == TrackerState()


@pytest.mark.parametrize('overlap_weight, ids', [(0.0, [1, 0]), (0.7, [0, 1])])
def test_overlap_keeps_objects_apart_that_look_like_each_other(overlap_weight, ids):
    video = Video(overlap_weight=overlap_weight, match_score_thr=0.3)
    assert video.track_masks((0, A * 0.1), (10, B * 0.1)) == [0, 1]
    assert video.track_masks((1, B * 0.1), (11, A * 0.1)) == ids  # they have changed their looks


@pytest.mark.parametrize('joint_matching, ids', [(False, [0, 2]), (True, [1, 0])])
def test_joint_matching_leaves_a_track_to_an_object_that_fits_no_other(joint_matching, ids):
    """The stronger object lies on both tracks, the weaker one only on the first."""
    video = Video(overlap_weight=1.0, match_score_thr=0.1, joint_matching=joint_matching)
    assert video.track_masks((4, A), (9, B)) == [0, 1]
    assert video.track_masks((6, A), (2, B)) == ids


def test_joint_matching_keeps_to_thresholds_and_classes():
    video = Video(joint_matching=True, match_score_thr=0.3, init_score_thr=0.5, obj_score_thr=0.4)
    assert video.track() == []
    assert video.track((BOXES[0], 0.9, 0, A)) == [0]
    # too weak; of another class; then the track itself
    assert video.track((BOXES[0], 0.39, 0, A)) == [NO_TRACK]
    assert video.track((BOXES[0], 0.9, 1, A)) == [1]
    assert video.track((BOXES[0], 0.9, 1, A), (BOXES[1], 0.8, 0, A)) == [1, 0]


@pytest.mark.parametrize('frame', [2, 3])
def test_masks_are_moved_on_as_their_track_moved_last(frame):
    """Two alike that follow each other at the distance of one step: without the motion one would be
    taken for the other."""
    video = Video(overlap_weight=0.4, match_score_thr=0.2)
    assert video.track_masks((0, A), (4, B)) == [0, 1]
    assert video.track_masks((4, A), (8, B)) == [0, 1]
    if frame == 3:  # also over a frame in which nothing was seen
        assert video.track_masks() == []
    start, alike = 4 + 4 * (frame - 1), A + B
    assert video.track_masks((start + 4, alike), (start, alike)) == [1, 0]


def test_a_background_object_is_matched_where_it_was():
    video = Video(overlap_weight=0.7, match_score_thr=0.2, init_score_thr=0.85)
    assert video.track_masks((0, A), (20, A)) == [0, NO_TRACK]  # scores 0.9 and 0.8
    assert video.track_masks((20, A), (0, A)) == [
        1,
        0,
    ]  # not the track's, although it looks like it and is the stronger one


def test_frames_without_objects_and_overlap():
    video = Video(overlap_weight=0.7, match_score_thr=0.2)
    assert video.track_masks() == []
    assert video.track_masks((0, A)) == [0]
    assert video.track_masks() == []
    assert video.track_masks((0, A), (10, B)) == [0, 1]


def test_overlap_of_moved_masks_loses_what_leaves_the_image():
    segment_map = torch.zeros(8, 8, dtype=torch.long)
    segment_map[0:2, 0:4], segment_map[6:8, 6:8] = 1, 3  # the second segment has no pixel
    pixels = segment_pixels(segment_map, 3)
    assert [len(mask) for mask in pixels] == [8, 0, 4] and pixels[2].tolist() == [
        [6, 6],
        [7, 6],
        [6, 7],
        [7, 7],
    ]
    iou = moved_mask_iou(
        segment_map, 3, [pixels[0]] * 4, torch.tensor([[0, 0], [2, 0], [-3, 0], [0, -9]])
    )
    assert iou[0].tolist() == pytest.approx([1, 4 / 12, 2 / 8, 0]) and not iou[1:].any()
    assert moved_mask_iou(segment_map, 3, [pixels[0], pixels[1]], torch.tensor([[6, 6], [0, 0]]))[
        2
    ].tolist() == [1, 0]
