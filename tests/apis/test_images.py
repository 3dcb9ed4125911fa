"""Real runs on images: K-Net trained, validated and tested on a set in the layout of
Cityscapes-STEP."""

import json
import re

import numpy as np
import pytest

from knet.step_format import read_panoptic, read_png, scan_split, write_png
from tests.conftest import ROOT, assert_one_line_error, run_tool, train_once


@pytest.fixture(scope='module')
def config(toy_root, tmp_path_factory):
    """Path of a config: a small K-Net on frames of the toy videos, as if they were images of two
    cities."""
    root = tmp_path_factory.mktemp('cityscapes')
    for split in ('train', 'val'):
        for sequence, frames in scan_split(toy_root / 'video_sequence' / split).items():
            city = ('ulm', 'bad-toelz')[sequence % 2]
            for frame, files in frames.items():
                semantic, instance = read_panoptic(files['panoptic'])
                instance = np.unique(instance, return_inverse=True)[1].reshape(instance.shape)
                name = f'{city}/{city}_{sequence:06d}_{frame:06d}'
                write_png(
                    root / 'leftImg8bit' / split / f'{name}_leftImg8bit.png',
                    read_png(files['leftImg8bit']),
                )
                write_png(root / 'gtFine' / split / f'{name}_gtFine_labelTrainIds.png', semantic)
                write_png(
                    root / 'gtFine' / split / f'{name}_gtFine_instanceTrainIds.png',
                    np.where(
                        instance > 0, semantic.astype(np.uint16) * 1000 + instance - 1, semantic
                    ).astype(np.uint16),
                )
    path = root / 'knet.py'
    path.write_text(f"""
_base_ = r'{ROOT}/configs/det/knet_cityscapes_step/knet_s3_r50_fpn.py'
model = dict(
    backbone=dict(depth=18, base_channels=16, frozen_stages=-1, norm_eval=False, init_cfg=None),
    num_proposals=10,
    channels=32,
    neck=dict(in_channels=[16, 32, 64, 128]),
    roi_head=dict(mask_head=dict(feedforward_channels=64)))
data = dict(root=r'{root}', samples_per_gpu=4, workers_per_gpu=0,
            train=dict(repeat=1, scale=(128, 64), crop_size=(64, 128)))
log_config = dict(interval=1)
runner = dict(max_epochs=1)
""")
    return str(path)


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """Work dir of a finished run, and what it printed."""
    return train_once(config, tmp_path_factory.mktemp('trained'))


def test_validation_reports_pq_and_miou(trained):
    assert re.search(r'PQ: \d\.\d+, SQ: \d\.\d+, RQ: \d\.\d+, mIoU: \d\.\d+', trained[1])
    assert 'PQ and IoU by class' in trained[1]


def test_predictions_are_named_like_the_images_and_evaluated(trained, config, tmp_path):
    out, show = tmp_path / 'results', tmp_path / 'show'
    done = run_tool(
        'test', config, trained[0] / 'latest.pth', '--out', out, '--show-dir', show, '--eval', 'PQ'
    )
    assert done.returncode == 0, done.stderr[-3000:]
    files = sorted(
        str(path.relative_to(out / 'panoptic')) for path in (out / 'panoptic').glob('*/*.png')
    )
    assert len(files) == 8 and {file.split('_')[0] for file in files} <= {
        'bad-toelz/bad-toelz',
        'ulm/ulm',
    }
    assert (
        all((show / kind / name).exists() for kind in ('semantic', 'tracks') for name in files)
        and not (show / 'videos').exists()
    )
    figures = json.loads((out / 'metrics.json').read_text())
    assert figures['num_images'] == 8 and 0 <= figures['PQ'] <= 1 and 0 < figures['mIoU'] <= 1
    assert 'PQ and IoU by class' in done.stdout


def test_metric_of_videos_is_refused(trained, config, tmp_path):
    done = run_tool(
        'test', config, trained[0] / 'latest.pth', '--out', tmp_path / 'out', '--eval', 'STQ'
    )
    assert_one_line_error(done, '--eval STQ', 'PQ')
    assert not (tmp_path / 'out').exists()


def test_image_model_on_frames_of_a_video_set(config, toy_root, tmp_path):
    """The data set is another record; the task stays that of images."""
    done = run_tool(
        'train',
        config,
        '--work-dir',
        tmp_path,
        '--seed',
        3,
        '--cfg-options',
        'data.name=toy_step',
        f'data.root={toy_root}',
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r'PQ: \d\.\d+, SQ: \d\.\d+', done.stderr + done.stdout)
    assert len(list((tmp_path / 'val' / 'panoptic').glob('*/*.png'))) == 8
