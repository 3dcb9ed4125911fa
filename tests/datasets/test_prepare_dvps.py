"""Cityscapes-DVPS and SemKITTI-DVPS: from the downloads to the STEP layout with depth."""

import os
import sys

import numpy as np
import pytest
from prepare_dvps import prepare_dvps

from knet.data import build_train_dataset
from knet.step_format import read_depth, read_panoptic, scan_split, write_depth, write_png
from tests.conftest import assert_one_line_error, run
from tests.datasets.sources import SIZE, street, tree


def write_cityscapes(root, frames=3):
    """Sequences 0 (train) and 1 (val): a car 7, a person without a number, void."""
    for sequence, split in enumerate(('train', 'val')):
        for frame in range(frames):
            picture, semantic, instance = street(frame)
            instance[semantic == 11] = 0
            codes = np.where(semantic == 255, 32000, semantic.astype(np.int32) * 1000 + instance)
            name = f'{sequence:06d}_{frame:06d}_munster_000168_{19 + 5 * frame:06d}'
            stem = root / 'video_sequence' / split / name
            write_png(f'{stem}_leftImg8bit.png', picture)
            write_png(f'{stem}_gtFine_instanceTrainIds.png', codes.astype(np.uint16))
            write_depth(f'{stem}_depth.png', np.full(SIZE, 12.5 + frame))


def write_semkitti(root):
    """A frame of either split: a car 300 on road."""
    classes, instances = np.full(SIZE, 8, np.uint8), np.zeros(SIZE, np.uint16)
    classes[10:20, 10:40], instances[10:20, 10:40], classes[:5] = 0, 300, 255
    for split in ('train', 'val'):
        stem = root / 'video_sequence' / split / '000008_000003'
        write_png(f'{stem}_leftImg8bit.png', np.zeros((*SIZE, 3), np.uint8))
        write_png(f'{stem}_gtFine_class.png', classes)
        write_png(f'{stem}_gtFine_instance.png', instances)
        write_depth(f'{stem}_depth_718.8560180664062.png', np.where(classes == 0, 30.0, 0))


def test_cityscapes(tmp_path):
    write_cityscapes(tmp_path / 'in')
    before = tree(tmp_path / 'in')
    plans = prepare_dvps(tmp_path / 'in', tmp_path / 'out')
    assert [(p.name, p.groups, p.complete(), p.problems) for p in plans] == [
        ('train', 1, 3, []),
        ('val', 1, 3, []),
    ]
    files = scan_split(tmp_path / 'out/video_sequence/val')[1][2]
    semantic, instance = read_panoptic(files['panoptic'])
    picture, want, ids = street(2)
    np.testing.assert_array_equal(semantic, want)
    assert set(np.unique(instance)) == {0, 7} and (instance[want == 13] == 7).all()
    assert (read_depth(files['depth']) == 14.5).all()
    stem = tmp_path / 'in/video_sequence/val/000001_000002_munster_000168_000029'
    assert os.path.samefile(files['leftImg8bit'], f'{stem}_leftImg8bit.png')
    # once more: nothing to do, and nothing else changed
    made = tree(tmp_path / 'out')
    prepare_dvps(tmp_path / 'in', tmp_path / 'out')
    assert tree(tmp_path / 'out') == made and tree(tmp_path / 'in') == before


def test_what_was_prepared_can_be_trained_on(tmp_path):
    write_semkitti(tmp_path / 'in')
    prepare_dvps(tmp_path / 'in', tmp_path / 'out')
    numbers = dict(scale=(128, 64), ratio_range=(1, 1), crop_size=(64, 128), flip_ratio=0)
    train = dict(split='train', with_depth=True, **numbers)
    data = dict(name='semkitti_dvps', root=tmp_path / 'out', train=train)
    (frame,) = build_train_dataset(data, 0)[0]
    assert frame.targets.objects.labels.tolist() == [0]
    assert frame.targets.objects.ids.tolist() == [300]
    mask = frame.targets.objects.masks[0]
    assert (frame.targets.depth[mask] == 30).all() and (frame.targets.depth[~mask] == 0).all()


@pytest.mark.parametrize(
    'damage, words',
    [
        ('lacking', ['frame 1', 'has no file', '_depth.png']),
        ('class', ['holds class 25']),
        ('size', ['different sizes']),
        ('stuff', ['gives stuff an instance number']),
        ('depth', ['not a 16-bit map']),
    ],
)
def test_problems_are_named_and_the_rest_is_prepared(tmp_path, damage, words):
    write_cityscapes(tmp_path / 'in')
    stem = tmp_path / 'in/video_sequence/val/000001_000001_munster_000168_000024'
    if damage == 'lacking':
        os.unlink(f'{stem}_depth.png')
    elif damage == 'depth':
        os.unlink(f'{stem}_depth.png')
        write_png(f'{stem}_depth.png', np.zeros(SIZE, np.uint8))
    else:
        size = (32, 32) if damage == 'size' else SIZE
        codes = np.full(size, 13 if damage == 'stuff' else 25003, np.uint16)
        write_png(f'{stem}_gtFine_instanceTrainIds.png', codes)
    script = (sys.executable, 'datasets/prepare_dvps.py')
    done = run(*script, tmp_path / 'in', tmp_path / 'out', '--symlink')
    assert_one_line_error(done, '1 problem', 'val: sequence 1, frame 1', *words)
    assert len(scan_split(tmp_path / 'out/video_sequence/val')[1]) == 2
    assert not list(tmp_path.glob('out/video_sequence/val/*_000001_*'))


def test_nothing_there(tmp_path):
    done = run(sys.executable, 'datasets/prepare_dvps.py', tmp_path, tmp_path / 'out')
    assert_one_line_error(done, 'holds no folder video_sequence/{train,val}')
