"""Transforms change both frames of a pair alike; masks and ids are read off the maps at the end."""
import numpy as np
import pytest

from knet.data import STEPDataset
from knet.data.transforms import CropFrames, FlipFrames, PackFrames, ResizeFrames, image_of_tensor, things_of_map
from knet.label_space import STEP
from knet.step_format import read_png

VOID, PERSON, CAR, ROAD = 255, 0, 1, 2  # model classes


def frame(semantic, instance, number=0):
    semantic, instance = np.array(semantic, np.uint8), np.array(instance, np.uint16)
    image = np.dstack([semantic, instance % 256, np.full_like(semantic, number)]).astype(np.uint8)
    return dict(img=image, gt_semantic_seg=semantic, gt_instance_map=instance, img_shape=image.shape, pad_shape=image.shape,
                img_fields=['img'], seg_fields=['gt_semantic_seg', 'gt_instance_map'], label_space=STEP, sequence=0, frame=number,
                ori_shape=image.shape, filename='')


def drawn_pair():
    """A car (id 300) that moves two pixels to the right over a road, and a crowd of people."""
    semantic = np.full((8, 8), ROAD)
    semantic[:2, :4] = PERSON
    instance = np.zeros((8, 8))
    other, other_instance = semantic.copy(), instance.copy()
    semantic[4:6, 1:4], instance[4:6, 1:4] = CAR, 300
    other[4:6, 3:6], other_instance[4:6, 3:6] = CAR, 300
    return [frame(semantic, instance, 0), frame(other, other_instance, 1)]


def test_things_of_map():
    key, _ = drawn_pair()
    things = things_of_map(key['gt_semantic_seg'], key['gt_instance_map'], STEP)
    assert things['labels'].tolist() == [CAR] and things['instance_ids'].tolist() == [(CAR << 16) + 300]
    assert things['bboxes'].tolist() == [[1, 4, 4, 6]] and things['masks'].sum() == 6


def test_same_number_in_two_classes_are_two_objects():
    semantic = np.full((8, 8), PERSON)
    semantic[4:] = CAR
    things = things_of_map(semantic.astype(np.uint8), np.full((8, 8), 7, np.uint16), STEP)
    assert things['labels'].tolist() == [PERSON, CAR] and len(set(things['instance_ids'].tolist())) == 2


def test_packed_pair_has_the_documented_shapes():
    packed = {name: container.data for name, container in PackFrames()(drawn_pair()).items()}
    assert packed['img'].shape == (3, 8, 8) and packed['ref_img'].shape == (1, 3, 8, 8)
    assert packed['gt_semantic_seg'].shape == (1, 8, 8) and packed['ref_gt_semantic_seg'].shape == (1, 1, 8, 8)
    assert packed['gt_instance_ids'].tolist() == [(CAR << 16) + 300] and packed['ref_gt_instance_ids'].tolist() == [[0, (CAR << 16) + 300]]
    assert packed['ref_gt_labels'].tolist() == [[0, CAR]] and packed['ref_gt_bboxes'].tolist() == [[0, 3, 4, 6, 6]]
    assert len(packed['gt_masks']) == 1 and len(packed['ref_gt_masks'][0]) == 1


def test_frame_without_things():
    empty = frame(np.full((8, 8), ROAD), np.zeros((8, 8)))
    packed = {name: container.data for name, container in PackFrames()([empty, empty]).items()}
    assert packed['gt_masks'].masks.shape == (0, 8, 8) and packed['gt_labels'].shape == (0,) and packed['gt_bboxes'].shape == (0, 4)
    assert packed['ref_gt_labels'].shape == (0, 2) and packed['ref_gt_bboxes'].shape == (0, 5)


def test_crop_cuts_one_window_out_of_both_frames():
    corners = set()
    for seed in range(60):
        np.random.seed(seed)
        pair = drawn_pair()
        for f in pair:  # each pixel holds its place
            f['img'] = np.mgrid[:8, :8].transpose(1, 2, 0).astype(np.uint8)
        key, ref = CropFrames((4, 6))(pair)
        assert key['img'].shape == (4, 6, 2) and np.array_equal(key['img'], ref['img'])
        top, left = (int(value) for value in key['img'][0, 0])
        assert np.array_equal(key['gt_instance_map'], drawn_pair()[0]['gt_instance_map'][top:top + 4, left:left + 6])
        corners.add((top, left))
    assert corners == {(top, left) for top in range(5) for left in range(3)}


def test_object_that_left_the_crop_is_dropped_with_its_label_box_and_id():
    np.random.seed(0)
    frames = drawn_pair()
    for f in frames:
        for name in ('img', 'gt_semantic_seg', 'gt_instance_map'):
            f[name] = f[name][:4]  # the car is below
    packed = {name: container.data for name, container in PackFrames()(frames).items()}
    assert [len(packed[name]) for name in ('gt_masks', 'gt_labels', 'gt_bboxes', 'gt_instance_ids', 'ref_gt_labels')] == [0] * 5


def test_crop_leaves_smaller_frames_whole():
    assert CropFrames((100, 100))(drawn_pair())[0]['img'].shape == (8, 8, 3)


@pytest.mark.parametrize('ratio, flipped', [(1.0, True), (0.0, False)])
def test_flip_turns_both_frames_or_none(ratio, flipped):
    pair = drawn_pair()
    result = FlipFrames(ratio)(drawn_pair())
    for before, after in zip(pair, result):
        expected = before['gt_instance_map'][:, ::-1] if flipped else before['gt_instance_map']
        assert np.array_equal(after['gt_instance_map'], expected)
        assert np.array_equal(after['img'][..., 1], (expected % 256).astype(np.uint8))


def test_resize_draws_one_ratio_for_both_frames_and_keeps_ids():
    sizes = set()
    for seed in range(5):
        np.random.seed(seed)
        key, ref = ResizeFrames((8, 8), (0.5, 2.0))(drawn_pair())
        assert key['img'].shape == ref['img'].shape == (*key['gt_semantic_seg'].shape, 3)
        assert set(np.unique(key['gt_instance_map'])) <= {0, 300}
        sizes.add(key['img'].shape[0])
    assert len(sizes) > 2 and min(sizes) >= 4 and max(sizes) <= 16


def test_picture_of_a_packed_frame(toy_root):
    """Normalized, padded and packed, a frame still gives the pixels of its file."""
    dataset = STEPDataset(toy_root, 'val', [
        dict(type='LoadFrames'),
        dict(type='EachFrame', transform=dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)),
        dict(type='EachFrame', transform=dict(type='Pad', size_divisor=48)), dict(type='PackFrames')], test_mode=True)
    item = dataset[0]
    assert item['img'].data.shape == (3, 96, 144)
    picture = image_of_tensor(item['img'].data, item['img_metas'].data)
    assert np.array_equal(picture, read_png(dataset.records[0].image)[..., ::-1])
