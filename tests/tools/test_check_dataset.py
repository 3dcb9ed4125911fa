"""The check of prepared sets."""

import shutil

import numpy as np
import pytest

from knet.step_format import read_png, write_depth, write_panoptic, write_png
from tests.conftest import assert_one_line_error, run_tool

IMAGE = np.zeros((8, 10, 3), np.uint8)


def draw_frame(root, sequence, frame, *things, split='train'):
    """A frame of road; each thing is (class, id, number of pixels)."""
    semantic, instance = np.zeros(80, np.uint8), np.zeros(80, np.int32)
    start = 0
    for class_id, number, pixels in things:
        semantic[start : start + pixels], instance[start : start + pixels] = class_id, number
        start += pixels
    stem = f'{root}/video_sequence/{split}/{sequence:06d}_{frame:06d}'
    write_png(f'{stem}_leftImg8bit.png', IMAGE)
    write_panoptic(f'{stem}_panoptic.png', semantic.reshape(8, 10), instance.reshape(8, 10))


@pytest.fixture
def step(tmp_path):
    """Sequence 0: car 5 in frames 0, 1 and 30, person 6 that is car 6 in frame 30. Sequence 3: only
    road, a part with id 1.

    Test split: an image.
    """
    draw_frame(tmp_path, 0, 0, (13, 5, 20), (11, 6, 8), (255, 0, 4))
    draw_frame(tmp_path, 0, 1, (13, 5, 20))
    draw_frame(tmp_path, 0, 30, (13, 5, 20), (13, 6, 8))
    draw_frame(tmp_path, 3, 0, (0, 1, 4))
    write_png(tmp_path / 'video_sequence/test/000009_000000_leftImg8bit.png', IMAGE)
    return tmp_path


@pytest.fixture
def cityscapes(tmp_path):
    """A city with one image: road, cars 0 and 1, a group of cars, rider 0."""
    instances = np.zeros((8, 10), np.uint16)
    instances[0], instances[1], instances[2], instances[3] = 13000, 13001, 13, 12000
    stem = 'train/ulm/ulm_000001_000019'
    write_png(tmp_path / f'leftImg8bit/{stem}_leftImg8bit.png', IMAGE)
    write_png(tmp_path / f'gtFine/{stem}_gtFine_instanceTrainIds.png', instances)
    labels = np.where(instances < 1000, instances, instances // 1000)
    write_png(tmp_path / f'gtFine/{stem}_gtFine_labelTrainIds.png', labels.astype(np.uint8))
    return tmp_path


def check(*args):
    return run_tool('misc/check_dataset', *args)


def cells(done, start):
    """Cells of the first line of a table whose first cells are `start`."""
    for line in done.stdout.splitlines():
        row = [cell.strip() for cell in line.strip('|').split('|')]
        if row[: len(start)] == list(start):
            return row
    raise AssertionError(done.stdout)


def test_statistics_and_oddities(step):
    done = check(step, '--nproc', 2, '--plot', step / 'plot.png')
    assert done.returncode == 0, done.stderr
    assert cells(done, ['train']) == ['train', '2', '4', '8x10', '3', '0']
    assert cells(done, ['test']) == ['test', '1', '1', '8x10', '0', '0']
    assert cells(done, ['13']) == [
        '13',
        'car*',
        '21.25',
        '3',
        '2',
        '2.0',
        '3',
    ]  # 68 of 320 pixels; tracks of 3 and 1 frames
    assert cells(done, ['11']) == ['11', 'person*', '2.50', '1', '1', '1.0', '1']
    assert cells(done, ['255']) == ['255', 'void', '1.25', '1', '-', '-', '-']
    for note in (
        '1 instance ids with more than one class in their sequence, such as sequence 0, id 6',
        '1 objects that are back after a gap of more than 20 frames, such as sequence 0, car 5',
        '1 frames where stuff or void has an instance id',
        '1 sequences or cities without objects',
    ):
        assert f'train: {note}\n' in done.stdout
    assert 'are back' not in check(step, '--gap', 29).stdout
    assert read_png(step / 'plot.png').shape[2] >= 3


def test_errors_are_listed_and_end_the_check_with_status_1(step):
    folder = step / 'video_sequence/train'
    draw_frame(step, 4, 0, (19, 0, 3))
    write_png(folder / '000000_000001_leftImg8bit.png', IMAGE[:-1])
    (folder / '000003_000000_leftImg8bit.png').unlink()
    (folder / '000000_000030_panoptic.png').unlink()
    data = (folder / '000000_000000_panoptic.png').read_bytes()
    (folder / '000000_000000_panoptic.png').write_bytes(data[:60])
    done = check(step)
    assert_one_line_error(done, f'5 errors in {step}', 'the first: ')
    for line in (
        '000000_000000_panoptic.png is not a readable image',
        '000000_000001_panoptic.png has the size (8, 10), its image (7, 10)',
        '000000_000030: there is no map',
        '000003_000000: there is no image',
        'class id 19 is outside 0..18 and 255 (void)',
    ):
        assert line in done.stdout
    assert cells(done, ['train'])[-1] == '5'


def test_void_sequence_and_empty_split(step):
    draw_frame(step, 5, 0, (255, 0, 80))
    (step / 'video_sequence' / 'val').mkdir()
    done = check(step)
    assert_one_line_error(done, '2 errors')
    assert (
        'train: all of sequence or city 5 is void' in done.stdout
        and 'val holds no frames' in done.stdout
    )


def test_cityscapes(cityscapes):
    done = check(cityscapes)
    assert done.returncode == 0, done.stdout
    assert cells(done, ['train']) == ['train', '1', '1', '8x10', '2', '0']
    assert (
        cells(done, ['13'])[:5] == ['13', 'car*', '37.50', '1', '2']
        and cells(done, ['12'])[4] == '-'
    )  # riders are stuff
    assert 'train: ' not in done.stdout.replace('train: classes', '')


def test_errors_of_cityscapes(cityscapes):
    (cityscapes / 'leftImg8bit/train/bonn').mkdir()
    maps = cityscapes / 'gtFine/train/ulm'
    shutil.copy(
        maps / 'ulm_000001_000019_gtFine_labelTrainIds.png',
        maps / 'ulm_000002_000019_gtFine_labelTrainIds.png',
    )
    write_png(maps / 'ulm_000001_000019_gtFine_labelTrainIds.png', np.full((8, 10), 1, np.uint8))
    done = check(cityscapes)
    assert_one_line_error(done, '3 errors')
    assert 'train/bonn: there is no image and no map' in done.stdout
    assert 'ulm_000001_000019_gtFine_instanceTrainIds.png names other classes than' in done.stdout
    assert 'ulm_000002_000019: there is no image and no map' in done.stdout


def test_native_classes_of_waymo(step):
    folder = step / 'native_classes' / 'val'
    write_panoptic(
        folder / '000011_000000_panoptic.png', np.full((8, 10), 28), np.zeros((8, 10), int)
    )
    assert_one_line_error(check(folder), 'class id 28 is outside 0..18')
    done = check(folder, '--classes', 'waymo')
    assert done.returncode == 0 and cells(done, ['28'])[1:3] == ['static', '100.00']


def test_mistyped_paths(step):
    assert_one_line_error(check(step / 'video_sequence'), 'is no prepared set', 'DATASET.md')
    assert_one_line_error(check(step / 'nothing'), 'does not exist')
    done = check(step, '--nproc', 0)
    assert done.returncode == 2 and '--nproc: must be from 1 on, got 0' in done.stderr


OWN_SET = """
from knet.data import DatasetInfo, register_dataset
from knet.data.layouts import StepLayout
from knet.label_space import LabelSpace

SPACE = LabelSpace(('track', 'train'), (1,), ((90, 90, 90), (200, 0, 0)))
register_dataset(DatasetInfo('rail', SPACE, StepLayout(), 'data/rail'))
"""


def test_classes_of_ones_own(tmp_path):
    """The module of --import registers the set of --dataset, as custom_imports of a config does."""
    (tmp_path / 'rail_set.py').write_text(OWN_SET)
    (tmp_path / 'broken_set.py').write_text(OWN_SET.replace('(1,)', '1'))
    draw_frame(tmp_path, 0, 0, (1, 5, 20))
    path = dict(PYTHONPATH=str(tmp_path))

    def check(*args):
        return run_tool('misc/check_dataset', tmp_path, *args, **path)

    done = check('--dataset', 'rail', '--import', 'rail_set')
    assert done.returncode == 0 and 'classes: rail' in done.stdout, done.stderr
    assert cells(done, ['1'])[1:5] == ['train*', '25.00', '1', '1']
    assert_one_line_error(check('--dataset', 'rail'), "unknown data set 'rail'", '--import')
    assert_one_line_error(check('--import', 'rail_set'), '--dataset', 'registers rail')
    assert_one_line_error(check('--import', 'rail_sets'), "'rail_sets'", 'PYTHONPATH')
    assert_one_line_error(
        check('--dataset', 'rail', '--import', 'broken_set'), 'broken_set', 'thing_ids', '(3,)'
    )


def test_depth(step):
    """Where a split has depth every frame must have it, in the size of its image."""
    folder = step / 'video_sequence/train'
    names = sorted(path.name[:13] for path in folder.glob('*_leftImg8bit.png'))
    for name in names:
        depth = np.full(IMAGE.shape[:2], 40.0)
        depth[:4] = 0
        write_depth(folder / f'{name}_depth.png', depth)
    done = check(step)
    assert done.returncode == 0, done.stderr
    line = 'train: depth of 4 frames: 40.0 to 40.0 m, mean 40.0 m, 50 % of the pixels labelled'
    assert line in done.stdout
    write_depth(folder / f'{names[3]}_depth.png', np.zeros(IMAGE.shape[:2]))
    assert 'train: 1 frames have depth without any label' in check(step).stdout
    (folder / f'{names[0]}_depth.png').unlink()
    write_depth(folder / f'{names[1]}_depth.png', np.ones((3, 3)))
    write_png(folder / f'{names[2]}_depth.png', IMAGE)
    done = check(step)
    assert_one_line_error(done, '3 errors')
    for line in ('there is no depth', 'has the size (3, 3), its image (8, 10)', 'not a 16-bit map'):
        assert line in done.stdout
