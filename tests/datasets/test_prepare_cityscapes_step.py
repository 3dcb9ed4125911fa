"""Cityscapes-STEP: from the downloads to images with maps of train ids."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from prepare_cityscapes_step import CITIES, prepare_cityscapes_step

from knet.data import build_test_dataset
from knet.errors import InputError
from knet.step_format import read_png
from tests.conftest import ROOT, assert_one_line_error, run
from tests.datasets.sources import tree, write_cityscapes

NAME = 'train/aachen/aachen_000000_000019'


@pytest.fixture
def download(tmp_path):
    write_cityscapes(tmp_path / 'download')
    return tmp_path / 'download'


def run_script(download, *args):
    return run(
        sys.executable,
        'datasets/prepare_cityscapes_step.py',
        download,
        download.parent / 'out',
        *args,
    )


def test_official_numbers():
    assert [(len(cities), sum(cities.values())) for cities in CITIES.values()] == [
        (18, 2975),
        (3, 500),
    ]


def test_maps_hold_objects_groups_and_void(download, tmp_path):
    before = tree(download)
    plans = prepare_cityscapes_step(download, tmp_path / 'out')
    assert [(plan.groups, plan.complete(), plan.problems) for plan in plans] == [
        (2, 3, []),
        (1, 1, []),
    ]
    labels = read_png(tmp_path / 'out' / 'gtFine' / f'{NAME}_gtFine_labelTrainIds.png')
    instances = read_png(tmp_path / 'out' / 'gtFine' / f'{NAME}_gtFine_instanceTrainIds.png')
    assert (
        labels.dtype == np.uint8
        and instances.dtype == np.uint16
        and labels.shape == instances.shape == (64, 128)
    )
    row = [
        0,
        15,
        45,
        75,
        105,
        115,
        122,
    ]  # columns of road, car, car, group of cars, person, rider, trailer
    assert labels[42, row].tolist() == [0, 13, 13, 13, 11, 12, 255]
    assert instances[42, row].tolist() == [0, 13000, 13001, 13, 11000, 12000, 255]
    assert (
        labels[5, 5] == instances[5, 5] == 10 and labels[60, 5] == instances[60, 5] == 255
    )  # a deleted bus; unlabelled
    image = tmp_path / 'out' / 'leftImg8bit' / f'{NAME}_leftImg8bit.png'
    assert os.path.samefile(image, download / 'leftImg8bit' / f'{NAME}_leftImg8bit.png')
    assert tree(download) == before


def test_maps_are_those_that_cityscapesscripts_writes(download, tmp_path):
    prepare_cityscapes_step(download, tmp_path / 'out')
    for script in ('createTrainIdLabelImgs', 'createTrainIdInstanceImgs'):
        done = subprocess.run(
            [sys.executable, '-m', f'cityscapesscripts.preparation.{script}'],
            capture_output=True,
            text=True,
            env={**os.environ, 'CITYSCAPES_DATASET': str(download)},
        )
        if 'cannot write mode I as PNG' in done.stderr:
            pytest.skip('this Pillow writes no 32-bit PNG, which cityscapesscripts asks it to do')
        assert done.returncode == 0, done.stderr[-2000:]
    theirs = sorted(download.glob('gtFine/*/*/*TrainIds.png'))
    assert len(theirs) == 8
    for path in theirs:
        assert np.array_equal(
            read_png(path), read_png(tmp_path / 'out' / path.relative_to(download))
        )


def test_things_of_the_data_set(download, tmp_path):
    prepare_cityscapes_step(download, tmp_path / 'out')
    data = dict(name='cityscapes_step', root=tmp_path / 'out', test=dict(split='train'))
    (frame,) = build_test_dataset(data, with_truth=True)[0]
    objects = frame.targets.objects
    things = sorted(zip(objects.labels.tolist(), objects.masks.sum((1, 2)).tolist()))
    assert things == [
        (0, 240),
        (1, 280),
        (1, 280),
    ]  # a person of 10x24 pixels, two cars of 20x14; no rider, no group


def test_archives_side_by_side(download, tmp_path):
    for part in ('leftImg8bit', 'gtFine'):
        shutil.move(download / part, tmp_path / 'archives' / f'{part}_trainvaltest' / part)
    assert [
        plan.complete()
        for plan in prepare_cityscapes_step(tmp_path / 'archives', tmp_path / 'out', nproc=2)
    ] == [3, 1]


def test_missing_city_and_missing_file(download):
    shutil.rmtree(download / 'gtFine' / 'train' / 'ulm')
    (download / 'leftImg8bit' / f'{NAME}_leftImg8bit.png').unlink()
    done = run_script(download)
    assert_one_line_error(
        done, '2 problems', 'city aachen: 1 polygon file without image', f'{NAME}_leftImg8bit.png'
    )
    assert (
        f'city ulm: 1 image without polygons, the folder {download}/gtFine/train/ulm is missing'
        in done.stderr
    )
    assert len(list((download.parent / 'out' / 'leftImg8bit').rglob('*.png'))) == 2
    write_cityscapes(download)
    assert run_script(download).returncode == 0


def test_damaged_polygons(download, tmp_path):
    paths = [
        download / 'gtFine' / f'{name}_gtFine_polygons.json'
        for name in (NAME, 'train/aachen/aachen_000001_000019', 'train/ulm/ulm_000000_000019')
    ]
    paths[0].write_text(paths[0].read_text()[:99])
    content = json.loads(paths[1].read_text())
    paths[1].write_text(json.dumps({**content, 'imgHeight': 32}))
    content['objects'][3]['label'] = 'spaceship'
    paths[2].write_text(json.dumps(content))
    train = prepare_cityscapes_step(download, tmp_path / 'out')[0]
    assert (
        train.complete() == 0
        and len(train.problems) == 3
        and not list((tmp_path / 'out').rglob('*ulm*.png'))
    )
    assert f'{paths[0]} is not a readable file of polygons' in train.problems[0]
    assert (
        'is for an image of the size (32, 128)' in train.problems[1]
        and '(64, 128)' in train.problems[1]
    )
    assert f"{paths[2]}: the class 'spaceship' is not one of Cityscapes" in train.problems[2]


def test_changed_polygons_are_drawn_again_and_others_are_not(download, tmp_path):
    prepare_cityscapes_step(download, tmp_path / 'out')
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*.png')}
    changed = download / 'gtFine' / f'{NAME}_gtFine_polygons.json'
    os.utime(changed, (changed.stat().st_mtime + 0.5,) * 2)
    os.utime(download / 'leftImg8bit' / f'{NAME}_leftImg8bit.png')
    prepare_cityscapes_step(download, tmp_path / 'out')
    assert {
        path
        for path, time in times.items()
        if path.stat().st_mtime_ns != time and 'gtFine' in path.name
    } == {
        tmp_path / 'out' / 'gtFine' / f'{NAME}_gtFine_{kind}TrainIds.png'
        for kind in ('label', 'instance')
    }


def test_mistyped_paths(download):
    assert_one_line_error(
        run_script(download / 'leftImg8bit'), 'holds no folder leftImg8bit/train', 'DATASET.md'
    )
    with pytest.raises(InputError, match='is the download itself'):
        prepare_cityscapes_step(download, download)


def test_killed_run_with_two_processes_goes_on(tmp_path, kill_halfway):
    names = tuple(f'train/ulm/ulm_{number:06d}_000019' for number in range(500))
    write_cityscapes(tmp_path / 'download', names)
    assert (
        4
        <= kill_halfway(
            tmp_path / 'out',
            'prepare_cityscapes_step',
            tmp_path / 'download',
            tmp_path / 'out',
            '--nproc',
            2,
        )
        < 1500
    )
    for out in ('out', 'whole'):
        prepare_cityscapes_step(tmp_path / 'download', tmp_path / out)
    assert (
        tree(tmp_path / 'out') == tree(tmp_path / 'whole') and len(tree(tmp_path / 'out')) == 1500
    )


def test_training_on_it(tmp_path, train_and_validate):
    names = (
        'train/ulm/ulm_000000_000019',
        'train/ulm/ulm_000001_000019',
        'val/lindau/lindau_000000_000019',
    )
    write_cityscapes(tmp_path / 'download', names)
    prepare_cityscapes_step(tmp_path / 'download', tmp_path / 'out')
    config = tmp_path / 'knet.py'
    config.write_text(f"""
_base_ = r'{ROOT}/configs/det/knet_cityscapes_step/knet_s3_r50_fpn.py'
model = dict(
    backbone=dict(depth=18, base_channels=16, frozen_stages=-1, init_cfg=None),
    num_proposals=10,
    channels=32,
    neck=dict(in_channels=[16, 32, 64, 128]),
    roi_head=dict(mask_head=dict(feedforward_channels=64)))
data = dict(workers_per_gpu=0, train=dict(repeat=1, scale=(128, 64), crop_size=(64, 128)))
log_config = dict(interval=1)
""")
    losses, figures = train_and_validate(
        tmp_path / 'out', str(config), **{'data.samples_per_gpu': 1}
    )
    assert len(losses) == 2 and 0 <= figures['PQ'] <= 1
