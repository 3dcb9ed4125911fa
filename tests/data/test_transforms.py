"""Transforms change both frames of a pair alike; masks and ids are read off the maps at the end."""

import numpy as np
import pytest
import torch

from knet.data import build_test_dataset
from knet.data.transforms import (
    LoadedFrame,
    TestTransform,
    TrainTransform,
    objects_of_maps,
    picture_of,
    random_crop,
    random_flip,
    random_resize,
)
from knet.errors import InputError
from knet.step_format import read_png

VOID, PERSON, CAR, ROAD = 255, 0, 1, 2  # model classes


def frame(semantic, instance, number=0):
    semantic, instance = np.array(semantic, np.uint8), np.array(instance, np.uint16)
    image = np.dstack([semantic, instance % 256, np.full_like(semantic, number)]).astype(np.uint8)
    return LoadedFrame(image, semantic, instance, original_size=semantic.shape)


def drawn_pair():
    """A car (id 300) that moves two pixels to the right over a road, and a crowd of people."""
    semantic = np.full((8, 8), ROAD)
    semantic[:2, :4] = PERSON
    instance = np.zeros((8, 8))
    other, other_instance = semantic.copy(), instance.copy()
    semantic[4:6, 1:4], instance[4:6, 1:4] = CAR, 300
    other[4:6, 3:6], other_instance[4:6, 3:6] = CAR, 300
    return [frame(semantic, instance, 0), frame(other, other_instance, 1)]


def test_objects_of_maps():
    key, _ = drawn_pair()
    objects = objects_of_maps(key.semantic, key.instance, 2)
    assert objects.labels.tolist() == [CAR] and objects.ids.tolist() == [(CAR << 16) + 300]
    y, x = objects.masks[0].nonzero(as_tuple=True)
    assert (x.min(), x.max(), y.min(), y.max(), len(x)) == (1, 3, 4, 5, 6)


def test_same_number_in_two_classes_are_two_objects():
    semantic = np.full((8, 8), PERSON)
    semantic[4:] = CAR
    objects = objects_of_maps(semantic.astype(np.uint8), np.full((8, 8), 7, np.uint16), 2)
    assert objects.labels.tolist() == [PERSON, CAR] and len(set(objects.ids.tolist())) == 2


def test_finished_pair():
    key, reference = TestTransform(2)(drawn_pair())
    assert key.image.shape == reference.image.shape == (
        3,
        32,
        64,
    ) and key.size == key.original_size == (8, 8)
    assert key.targets.semantic.shape == (32, 64) and (key.targets.semantic[8:] == VOID).all()
    assert (
        key.targets.objects.ids.tolist()
        == reference.targets.objects.ids.tolist()
        == [(CAR << 16) + 300]
    )
    assert key.targets.objects.masks.shape == (1, 32, 64)


def test_frame_without_things():
    (key,) = TestTransform(2)([frame(np.full((8, 8), ROAD), np.zeros((8, 8)))])
    assert key.targets.objects.masks.shape == (0, 32, 64) and len(key.targets.objects) == 0


def test_crop_cuts_one_window_out_of_both_frames():
    corners = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        key, ref = drawn_pair()
        for f in (key, ref):  # each pixel holds its place
            f.image = np.mgrid[:8, :8].transpose(1, 2, 0).astype(np.uint8)
        random_crop([key, ref], rng, (4, 6))
        assert key.image.shape == (4, 6, 2) and np.array_equal(key.image, ref.image)
        top, left = (int(value) for value in key.image[0, 0])
        assert np.array_equal(
            key.instance, drawn_pair()[0].instance[top : top + 4, left : left + 6]
        )
        corners.add((top, left))
    assert corners == {(top, left) for top in range(5) for left in range(3)}


def test_object_that_left_the_crop_is_dropped():
    frames = drawn_pair()
    for f in frames:
        f.change(lambda array: array[:4])  # the car is below
    assert [len(f.targets.objects) for f in TestTransform(2)(frames)] == [0, 0]


def test_crop_leaves_smaller_frames_whole():
    frames = drawn_pair()
    random_crop(frames, np.random.default_rng(0), (100, 100))
    assert frames[0].image.shape == (8, 8, 3)


@pytest.mark.parametrize('ratio, flipped', [(1.0, True), (0.0, False)])
def test_flip_turns_both_frames_or_none(ratio, flipped):
    result = drawn_pair()
    random_flip(result, np.random.default_rng(0), ratio)
    for before, after in zip(drawn_pair(), result):
        expected = before.instance[:, ::-1] if flipped else before.instance
        assert np.array_equal(after.instance, expected) and after.flipped == flipped
        assert np.array_equal(after.image[..., 1], (expected % 256).astype(np.uint8))


def test_resize_draws_one_ratio_for_both_frames_and_keeps_ids():
    sizes = set()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        key, ref = drawn_pair()
        random_resize([key, ref], rng, (8, 8), (0.5, 2.0))
        assert key.image.shape == ref.image.shape == (*key.semantic.shape, 3)
        assert set(np.unique(key.instance)) <= {0, 300}
        sizes.add(key.image.shape[0])
    assert len(sizes) > 2 and min(sizes) >= 4 and max(sizes) <= 16


def test_training_changes_frames_alike():
    """Flip and crop of the whole chain: the car is two pixels further in the reference frame, or
    off the crop."""
    transform = TrainTransform(2, (8, 8), (1, 1), crop_size=(8, 8), flip_ratio=1.0)
    key, reference = transform(drawn_pair(), np.random.default_rng(0))
    columns = [f.targets.objects.masks[0].nonzero()[:, 1].min().item() for f in (key, reference)]
    assert columns == [4, 2] and key.flipped and reference.flipped and key.original_size == (8, 8)


def test_picture_of_a_frame(toy_root):
    """Normalized and padded, a frame still gives the pixels of its file."""
    dataset = build_test_dataset(dict(name='toy_step', root=toy_root, test=dict(split='val')))
    (item,) = dataset[0]
    image = read_png(dataset.records[0].image)[..., ::-1]
    assert np.array_equal(picture_of(item), image)
    assert picture_of(item, with_padding=True).shape == item.image.shape[1:] + (3,)


def test_depth_follows_the_image():
    """Nearest neighbours, divided by the ratio; flipped, cut and padded as the maps are."""
    (item,) = [frame(np.full((8, 8), ROAD), np.zeros((8, 8)))]
    item.depth = np.arange(64, dtype=np.float32).reshape(8, 8)
    rng = np.random.default_rng(0)
    random_resize([item], rng, (8, 8), (2, 2))
    np.testing.assert_array_equal(
        item.depth, np.arange(64).reshape(8, 8).repeat(2, 0).repeat(2, 1) / 2
    )
    random_flip([item], rng, 1)
    assert item.depth[0, 0] == 7 / 2 and item.depth[0, -1] == 0
    random_crop([item], rng, (6, 16))
    assert item.depth.shape == (6, 16)
    (done,) = TestTransform(2)([item])
    depth = done.targets.depth
    assert depth.shape == (32, 64) and depth.dtype == torch.float32
    np.testing.assert_array_equal(depth[:6, :16].numpy(), item.depth)
    assert (depth[6:] == 0).all() and (depth[:, 16:] == 0).all()


@pytest.mark.parametrize('clip, want', [(None, 60), (80, 40)])
def test_far_depth_of_a_zoomed_image(clip, want):
    """120 m at ratio 2 look like 60; clipped to 80 before, as published, like 40."""
    numbers = dict(scale=(8, 8), ratio_range=(2, 2), crop_size=(16, 16), flip_ratio=0)
    item = frame(np.full((8, 8), ROAD), np.zeros((8, 8)))
    item.depth = np.full((8, 8), 120, np.float32)
    (done,) = TrainTransform(2, clip_depth=clip, **numbers)([item], np.random.default_rng(0))
    assert (done.targets.depth[:16, :16] == want).all()


@pytest.mark.parametrize('value', [-1, True, 'far'])
def test_bad_clip_depth(value):
    with pytest.raises(InputError, match='clip_depth must be a number of metres over 0'):
        TrainTransform(2, (8, 8), (1, 1), (8, 8), clip_depth=value)
