"""Cityscapes-STEP: images with two maps each."""

import cv2
import numpy as np
import pytest

from knet.data import SegmentationDataset, find_dataset
from knet.data.transforms import TestTransform
from knet.errors import InputError
from knet.step_format import write_png


def image_dataset(root, split='train', with_truth=True):
    return SegmentationDataset(
        find_dataset('cityscapes_step'), split, TestTransform(2), root, with_truth=with_truth
    )


@pytest.fixture
def root(tmp_path):
    """One image of 8x8: road (0), two cars (13) marked as objects 0 and 1, a group of cars,
    void."""
    instances = np.full((8, 8), 0, np.uint16)
    instances[2:4, 0:3], instances[2:4, 4:7], instances[6] = 13000, 13001, 13
    semantic = np.where(instances >= 13, 13, 0).astype(np.uint8)
    semantic[0], instances[0] = 255, 255
    write_png(
        tmp_path / 'leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png',
        np.zeros((8, 8, 3), np.uint8),
    )
    name = tmp_path / 'gtFine/train/aachen/aachen_000001_000019_gtFine'
    write_png(f'{name}_labelTrainIds.png', semantic)
    write_png(f'{name}_instanceTrainIds.png', instances)
    return tmp_path


def test_objects_and_groups(root):
    (frame,) = image_dataset(root)[0]
    objects = frame.targets.objects
    assert objects.labels.tolist() == [1, 1]  # model class of cars
    assert objects.masks.sum((1, 2)).tolist() == [
        6,
        6,
    ]  # object number 0 is an object; the group is none
    assert frame.name.endswith('aachen_000001_000019_leftImg8bit.png')


def test_single_riders_are_stuff(root):
    """Cityscapes marks every rider; in STEP the class is stuff, and its pixels are one segment."""
    name = root / 'gtFine/train/aachen/aachen_000001_000019_gtFine'
    write_png(f'{name}_labelTrainIds.png', np.repeat([[12, 13]], 8, 0).astype(np.uint8))
    write_png(f'{name}_instanceTrainIds.png', np.repeat([[12000, 13004]], 8, 0).astype(np.uint16))
    dataset = image_dataset(root)
    semantic, instance = dataset.read_truth(dataset.records[0])
    assert semantic[0].tolist() == [12, 13] and instance[0].tolist() == [0, 5]


def test_image_without_maps(root):
    next((root / 'gtFine/train/aachen').glob('*instance*')).unlink()
    with pytest.raises(
        InputError,
        match='aachen_000001_000019, frame 19 has an image but no map; .*instanceTrainIds.png',
    ):
        image_dataset(root)
    assert len(image_dataset(root, with_truth=False)) == 1


def test_missing_split_and_maps_of_two_sizes(root):
    with pytest.raises(
        InputError, match='leftImg8bit/val does not exist; .* holds the splits train'
    ):
        image_dataset(root, 'val')
    path = next((root / 'gtFine/train/aachen').glob('*instance*'))
    cv2.imwrite(str(path), np.zeros((8, 9), np.uint16))
    with pytest.raises(InputError, match=r'not a map of the size \(8, 8\)'):
        image_dataset(root)[0]
