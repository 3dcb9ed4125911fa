"""The STEP data set: pairs, reference frames, bad input."""
import shutil

import numpy as np
import pytest
import torch

from knet.data import STEPDataset, build_test_loader, build_train_loader
from knet.errors import InputError
from knet.step_format import scan_split, write_panoptic, write_png

TRAIN = [dict(type='LoadFrames'), dict(type='PackFrames')]


def make_frames(root, sequence, frames, split='train', size=(8, 12)):
    """Frames whose pixels hold their number, so that a pair tells which frames it is made of."""
    for frame in frames:
        name = root / 'video_sequence' / split / f'{sequence:06d}_{frame:06d}'
        write_png(f'{name}_leftImg8bit.png', np.full((*size, 3), frame, np.uint8))
        write_panoptic(f'{name}_panoptic.png', np.zeros(size, np.uint8), np.zeros(size, np.int32))


def drawn_references(dataset, index, times=60):
    np.random.seed(0)
    return {dataset.records[dataset.draw_reference(index)].frame for _ in range(times)}


def test_every_frame_is_a_key_frame_and_references_stay_in_the_sequence(tmp_path):
    make_frames(tmp_path, 3, [7, 8, 9, 10, 11])
    make_frames(tmp_path, 4, [12])
    dataset = STEPDataset(tmp_path, 'train', TRAIN)
    assert [(r.sequence, r.frame) for r in dataset.records] == [(3, 7), (3, 8), (3, 9), (3, 10), (3, 11), (4, 12)]
    assert [drawn_references(dataset, i) for i in range(6)] == [{8, 9}, {7, 9, 10}, {7, 8, 10, 11}, {8, 9, 11}, {9, 10}, {12}]


def test_reference_is_drawn_anew_at_each_access(tmp_path):
    make_frames(tmp_path, 0, range(5))
    dataset = STEPDataset(tmp_path, 'train', TRAIN)
    values = {(int(item['img'].data[0, 0, 0]), int(item['ref_img'].data[0, 0, 0, 0])) for item in (dataset[2] for _ in range(40))}
    assert values == {(2, 0), (2, 1), (2, 3), (2, 4)}


def test_a_second_epoch_draws_other_references_with_new_workers(tmp_path):
    make_frames(tmp_path, 0, range(24))
    dataset = STEPDataset(tmp_path, 'train', TRAIN)

    def epoch(loader, number):
        loader.sampler.set_epoch(number)
        return [(int(batch['img'].data[0][0, 0, 0, 0]), int(batch['ref_img'].data[0][0, 0, 0, 0, 0])) for batch in loader]

    def two_epochs():
        torch.manual_seed(5)
        loader = build_train_loader(dataset, 1, 2, seed=5)
        return [epoch(loader, 0), epoch(loader, 1)]

    first, second = two_epochs()
    assert sorted(key for key, _ in first) == sorted(key for key, _ in second) == list(range(24))
    assert [key for key, _ in first] != [key for key, _ in second]
    assert dict(first) != dict(second)
    assert two_epochs() == [first, second]


def test_test_loader_gives_sequences_in_order_without_ground_truth(tmp_path):
    make_frames(tmp_path, 2, [5, 3, 4], 'val')
    make_frames(tmp_path, 1, [0, 10], 'val')
    loader = build_test_loader(STEPDataset(tmp_path, 'val', TRAIN, test_mode=True), 2)
    metas = [batch['img_metas'].data[0][0] for batch in loader]
    assert [(meta['sequence'], meta['frame']) for meta in metas] == [(1, 0), (1, 10), (2, 3), (2, 4), (2, 5)]
    assert metas[0]['ori_shape'] == (8, 12, 3)


def test_missing_folder_and_empty_split(tmp_path):
    with pytest.raises(InputError, match='video_sequence/train is not a folder'):
        STEPDataset(tmp_path, 'train', TRAIN)
    (tmp_path / 'video_sequence' / 'train').mkdir(parents=True)
    with pytest.raises(InputError, match='holds no frames'):
        STEPDataset(tmp_path, 'train', TRAIN)


def test_image_without_map_is_an_error_in_training_only(tmp_path, toy_root):
    shutil.copytree(toy_root / 'video_sequence', tmp_path / 'video_sequence')
    sequence, frames = next(iter(scan_split(tmp_path / 'video_sequence' / 'train').items()))
    frame = list(frames)[1]
    frames[frame]['panoptic'].unlink()
    with pytest.raises(InputError, match=f'sequence {sequence}, frame {frame} has an image but no map'):
        STEPDataset(tmp_path, 'train', TRAIN)
    assert STEPDataset(tmp_path, 'train', TRAIN, test_mode=True).records[1].panoptic is None


@pytest.mark.parametrize('semantic, message', [
    (np.full((8, 12), 19, np.uint8), r'class id 19 is outside 0..18 and 255 \(void\); sequence 0, frame 0'),
    (np.zeros((8, 13), np.uint8), r'has the size \(8, 13\), its image \(8, 12\)'),
    (None, 'is not a readable image .*damaged'),
])
def test_bad_maps(tmp_path, semantic, message):
    make_frames(tmp_path, 0, [0])
    path = tmp_path / 'video_sequence' / 'train' / '000000_000000_panoptic.png'
    if semantic is None:
        path.write_bytes(path.read_bytes()[:40])
    else:
        write_panoptic(path, semantic, np.zeros(semantic.shape, np.int32))
    with pytest.raises(InputError, match=message):
        STEPDataset(tmp_path, 'train', TRAIN)[0]
