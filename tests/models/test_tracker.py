"""The tracker beyond the published numbers: order, duplicates, reset."""
import pytest
import torch

from knet.models.mask_ops import moved_mask_iou, segment_pixels
from knet.models.quasi_dense_tracker import NO_TRACK, ON_BACKDROP, QuasiDenseTracker

A, B, C = (torch.eye(4)[i] * 10 for i in range(3))


def track(tracker, frame, *objects):
    """objects: (box, score, class, embedding)."""
    boxes, scores, labels, embeds = zip(*objects) if objects else ([], [], [], [])
    return tracker.track(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels).long(),
                         torch.stack(embeds) if embeds else torch.zeros(0, 4), frame).tolist()


BOXES = [(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)]


def test_objects_keep_their_ids_in_any_order():
    tracker = QuasiDenseTracker()
    assert track(tracker, 0, (BOXES[0], 0.5, 0, A), (BOXES[1], 0.9, 0, B)) == [1, 0]  # new ids by falling score
    assert track(tracker, 1, (BOXES[2], 0.8, 0, B), (BOXES[0], 0.6, 0, C), (BOXES[1], 0.7, 0, A)) == [0, 2, 1]


def test_ids_stay_with_their_objects_where_duplicates_are_removed():
    """The published code returns the ids of the objects that are left, in a list that is shorter than its input."""
    tracker = QuasiDenseTracker()
    near = (1, 0, 10, 10)
    assert track(tracker, 0, (BOXES[0], 0.9, 0, A), (near, 0.8, 0, B), (BOXES[1], 0.7, 0, C)) == [0, NO_TRACK, 1]
    assert track(tracker, 1, (near, 0.5, 0, B), (BOXES[1], 0.9, 0, C), (BOXES[0], 0.8, 0, A)) == [NO_TRACK, 1, 0]


def test_only_objects_of_one_class_match():
    tracker = QuasiDenseTracker()
    track(tracker, 0, (BOXES[0], 0.9, 0, A))
    assert track(tracker, 1, (BOXES[0], 0.9, 1, A)) == [1]


@pytest.mark.parametrize('gap, remembered', [(1, True), (5, True), (6, False)])
def test_track_is_forgotten_after_the_memory_and_not_before(gap, remembered):
    tracker = QuasiDenseTracker(memo_tracklet_frames=5)
    stays = (BOXES[1], 0.8, 0, B)
    track(tracker, 10, (BOXES[0], 0.9, 0, A), stays)
    for frame in range(11, 10 + gap):
        assert track(tracker, frame, stays) == [1]
    assert track(tracker, 10 + gap, (BOXES[0], 0.9, 0, A), stays) == [0 if remembered else 2, 1]


def test_weak_objects_start_no_track_and_continue_none():
    tracker = QuasiDenseTracker(init_score_thr=0.35, obj_score_thr=0.3)
    assert track(tracker, 0, (BOXES[0], 0.34, 0, A), (BOXES[1], 0.9, 0, B)) == [NO_TRACK, 0]
    assert track(tracker, 1, (BOXES[1], 0.29, 0, B)) == [ON_BACKDROP]


def test_reset_and_empty_frames():
    tracker = QuasiDenseTracker()
    assert track(tracker, 0) == []
    assert track(tracker, 1, (BOXES[0], 0.9, 0, A)) == [0]
    assert track(tracker, 2) == []
    assert track(tracker, 3, (BOXES[0], 0.9, 0, A), (BOXES[1], 0.9, 0, B)) == [0, 1]
    tracker.reset()
    assert track(tracker, 0, (BOXES[1], 0.9, 0, B)) == [0]


def track_masks(tracker, frame, *objects):
    """objects: (x of a square of 4 pixels in an image of 8x32, embedding); all of one class and sure."""
    segment_map = torch.zeros(8, 32, dtype=torch.long)
    for number, (x, _) in enumerate(objects, 1):
        segment_map[2:6, x:x + 4] = number
    boxes = torch.tensor([[x, 2, x + 4, 6] for x, _ in objects], dtype=torch.float32)
    scores = torch.linspace(0.9, 0.8, len(objects))
    embeds = torch.stack([embed for _, embed in objects])
    return tracker.track(boxes, scores, torch.zeros(len(objects)).long(), embeds, frame, segment_map).tolist()


@pytest.mark.parametrize('overlap_weight, ids', [(0.0, [1, 0]), (0.7, [0, 1])])
def test_overlap_keeps_objects_apart_that_look_like_each_other(overlap_weight, ids):
    tracker = QuasiDenseTracker(overlap_weight=overlap_weight, match_score_thr=0.3)
    assert track_masks(tracker, 0, (0, A * 0.1), (10, B * 0.1)) == [0, 1]
    assert track_masks(tracker, 1, (1, B * 0.1), (11, A * 0.1)) == ids  # they have changed their looks


@pytest.mark.parametrize('frame', [2, 3])
def test_masks_are_moved_on_as_their_track_moved_last(frame):
    """Two alike that follow each other at the distance of one step: without the motion one would be taken for the other."""
    tracker = QuasiDenseTracker(overlap_weight=0.4, match_score_thr=0.2)
    assert track_masks(tracker, 0, (0, A), (4, B)) == [0, 1]
    assert track_masks(tracker, 1, (4, A), (8, B)) == [0, 1]
    start, alike = 4 + 4 * (frame - 1), A + B  # frame 3: also over a frame in which nothing was seen
    assert track_masks(tracker, frame, (start + 4, alike), (start, alike)) == [1, 0]


def test_a_background_object_is_matched_where_it_was():
    tracker = QuasiDenseTracker(overlap_weight=0.7, match_score_thr=0.2, init_score_thr=0.85)
    assert track_masks(tracker, 0, (0, A), (20, A)) == [0, NO_TRACK]  # scores 0.9 and 0.8
    assert track_masks(tracker, 1, (20, A), (0, A)) == [1, 0]  # not the track's, although it looks like it and is the stronger one


def test_frames_without_objects_and_overlap():
    tracker = QuasiDenseTracker(overlap_weight=0.7, match_score_thr=0.2)
    empty = [torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long(), torch.zeros(0, 4)]
    nothing = torch.zeros(8, 32, dtype=torch.long)
    assert tracker.track(*empty, 0, nothing).tolist() == []
    assert track_masks(tracker, 1, (0, A)) == [0]
    assert tracker.track(*empty, 2, nothing).tolist() == []
    assert track_masks(tracker, 3, (0, A), (10, B)) == [0, 1]


def test_overlap_of_moved_masks_loses_what_leaves_the_image():
    segment_map = torch.zeros(8, 8, dtype=torch.long)
    segment_map[0:2, 0:4], segment_map[6:8, 6:8] = 1, 3  # the second segment has no pixel
    pixels = segment_pixels(segment_map, 3)
    assert [len(mask) for mask in pixels] == [8, 0, 4] and pixels[2].tolist() == [[6, 6], [7, 6], [6, 7], [7, 7]]
    iou = moved_mask_iou(segment_map, 3, [pixels[0]] * 4, torch.tensor([[0, 0], [2, 0], [-3, 0], [0, -9]]))
    assert iou[0].tolist() == pytest.approx([1, 4 / 12, 2 / 8, 0]) and not iou[1:].any()
    assert moved_mask_iou(segment_map, 3, [pixels[0], pixels[1]], torch.tensor([[6, 6], [0, 0]]))[2].tolist() == [1, 0]
