"""Data sets: pairs, reference frames, loaders, bad input."""

import shutil
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from knet.data import SegmentationDataset, build_test_loader, build_train_loader, find_dataset
from knet.data.transforms import MEAN, STD, TestTransform
from knet.errors import InputError
from knet.step_format import read_depth, scan_split, write_depth, write_panoptic, write_png


def video_dataset(root, split='train', num_references=1, with_truth=True):
    return SegmentationDataset(
        find_dataset('kitti_step'),
        split,
        TestTransform(2),
        root,
        num_references,
        with_truth=with_truth,
    )


def number_of(image):
    """Value of the first pixel of a normalized image, which tells the frame it comes from."""
    return round(float(image[..., 0, 0, 0] * STD[0] + MEAN[0]))


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
    dataset = video_dataset(tmp_path)
    assert [(r.sequence, r.frame) for r in dataset.records] == [
        (3, 7),
        (3, 8),
        (3, 9),
        (3, 10),
        (3, 11),
        (4, 12),
    ]
    assert [drawn_references(dataset, i) for i in range(6)] == [
        {8, 9},
        {7, 9, 10},
        {7, 8, 10, 11},
        {8, 9, 11},
        {9, 10},
        {12},
    ]


def test_references_where_frames_are_numbered_with_a_stride(tmp_path):
    make_frames(tmp_path, 3, range(0, 30, 5))
    dataset = video_dataset(tmp_path)
    assert [drawn_references(dataset, i) for i in (0, 2, 5)] == [
        {5, 10},
        {0, 5, 15, 20},
        {15, 20},
    ]


def test_names_in_another_spelling_are_read_and_others_refused(tmp_path):
    make_frames(tmp_path, 2, range(5))
    folder = tmp_path / 'video_sequence' / 'train'
    image = cv2.imread(str(folder / '000002_000001_leftImg8bit.png'))
    for number, ending in ((1, 'JPG'), (2, 'jpeg')):
        (folder / f'000002_00000{number}_leftImg8bit.png').unlink()
        data = cv2.imencode('.jpg', image)[1].tobytes()
        (folder / f'000002_00000{number}_leftImg8bit.{ending}').write_bytes(data)
    (folder / '000002_000003_leftImg8bit.png').rename(folder / '2_3_leftImg8bit.png')
    for name in ('._000002_000000_leftImg8bit.png', 'notes.txt', 'Thumbs.db'):
        (folder / name).write_bytes(b'\0\5\x16\7')
    dataset = video_dataset(tmp_path)
    assert [record.frame for record in dataset.records] == list(range(5))
    assert all(len(dataset[i]) == 2 for i in range(5))
    for name in ('000002_000005_leftImg8bit.bmp', '000002_5a_panoptic.png'):
        (folder / name).touch()
        with pytest.raises(InputError, match='rename it'):
            video_dataset(tmp_path)
        (folder / name).unlink()


def test_reference_is_drawn_anew_at_each_access(tmp_path):
    make_frames(tmp_path, 0, range(5))
    dataset = video_dataset(tmp_path)
    values = {tuple(number_of(frame.image) for frame in dataset[2]) for _ in range(40)}
    assert values == {(2, 0), (2, 1), (2, 3), (2, 4)}


def test_a_second_epoch_draws_other_references_with_new_workers(tmp_path):
    make_frames(tmp_path, 0, range(24))
    dataset = video_dataset(tmp_path)

    def epoch(loader, number):
        loader.sampler.set_epoch(number)
        return [tuple(number_of(frames.images[0]) for frames in batch) for batch in loader]

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
    dataset = video_dataset(tmp_path, 'val', num_references=0, with_truth=False)
    frames = list(build_test_loader(dataset, 2))
    assert [frame.name.rsplit('/', 1)[1][:13] for frame in frames] == [
        '000001_000000',
        '000001_000010',
        '000002_000003',
        '000002_000004',
        '000002_000005',
    ]
    assert frames[0].original_size == frames[0].size == (8, 12) and frames[0].image.shape == (
        3,
        32,
        64,
    )
    assert frames[0].targets is None


def test_missing_folder_and_empty_split(tmp_path):
    with pytest.raises(InputError, match=r'/train does not exist; .* holds the splits \(none\)'):
        video_dataset(tmp_path)
    (tmp_path / 'video_sequence' / 'train').mkdir(parents=True)
    with pytest.raises(InputError, match='holds no images'):
        video_dataset(tmp_path)


def test_image_without_map_is_an_error_in_training_only(tmp_path, toy_root):
    shutil.copytree(toy_root / 'video_sequence', tmp_path / 'video_sequence')
    sequence, frames = next(iter(scan_split(tmp_path / 'video_sequence' / 'train').items()))
    frame = list(frames)[1]
    frames[frame]['panoptic'].unlink()
    with pytest.raises(
        InputError, match=f'sequence {sequence}, frame {frame} has an image but no map'
    ):
        video_dataset(tmp_path)
    assert video_dataset(tmp_path, with_truth=False).records[1].truth == ()


@pytest.mark.parametrize(
    'semantic, message',
    [
        (
            np.full((8, 12), 19, np.uint8),
            r'class id 19 is outside 0..18 and 255 \(void\); sequence 0, frame 0',
        ),
        (np.zeros((8, 13), np.uint8), r'has the size \(8, 13\), its image \(8, 12\)'),
        (None, 'is not a readable image .*damaged'),
    ],
)
def test_bad_maps(tmp_path, semantic, message):
    make_frames(tmp_path, 0, [0])
    path = tmp_path / 'video_sequence' / 'train' / '000000_000000_panoptic.png'
    if semantic is None:
        path.write_bytes(path.read_bytes()[:40])
    else:
        write_panoptic(path, semantic, np.zeros(semantic.shape, np.int32))
    with pytest.raises(InputError, match=message):
        video_dataset(tmp_path)[0]


def test_collated_frames_have_one_size_and_void_around():
    from knet.data.loaders import collate
    from knet.data.transforms import LoadedFrame

    small, large = (
        LoadedFrame(
            np.zeros((*size, 3), np.uint8),
            np.zeros(size, np.uint8),
            np.ones(size, np.uint16),
            original_size=size,
        )
        for size in ((32, 32), (64, 96))
    )
    key, reference = collate([TestTransform(2)([small, small]), TestTransform(2)([large, large])])
    for batch in (key, reference):
        assert batch.images.shape == (2, 3, 64, 96) and len(batch) == 2
        assert (batch.images[0, :, 32:] == 0).all() and (
            batch.targets[0].semantic[:, 32:] == 255
        ).all()
        assert [int(targets.objects.masks.sum()) for targets in batch.targets] == [32 * 32, 64 * 96]


def test_depth_where_it_is_trained(tmp_path, toy_root):
    """It is read with the map; a frame without it is an error, but not where it is not needed."""
    shutil.copytree(toy_root, tmp_path, dirs_exist_ok=True)
    info = find_dataset('toy_step')
    make = partial(SegmentationDataset, info, 'train', TestTransform(2), tmp_path)
    dataset = make(with_truth=True, with_depth=True)
    (item,) = dataset[0]
    want = read_depth(dataset.records[0].depth)
    np.testing.assert_array_equal(item.targets.depth[:64, :128].numpy(), want)
    assert make(with_truth=True)[0][0].targets.depth is None
    write_depth(dataset.records[0].depth, want[1:])
    message = r'depth.png has the size \(63, 128\), its image \(64, 128\)'
    with pytest.raises(InputError, match=message):
        dataset[0]
    dataset.records[0].depth.unlink()
    with pytest.raises(InputError, match='has no depth, which this config trains; expected 0'):
        make(with_truth=True, with_depth=True)
    assert len(make(with_truth=True)[0]) == 1
