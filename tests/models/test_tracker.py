"""The tracker beyond the published numbers: order, duplicates, reset."""
import pytest
import torch

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
