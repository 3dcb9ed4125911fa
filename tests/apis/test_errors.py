"""Bad input to the command lines: one clear line, exit status 1, nothing half-written."""
import importlib.util
import logging
import shutil
import sys

import numpy as np
import pytest
import torch
from mmcv.utils.logging import logger_initialized

from knet.step_format import scan_split, write_panoptic
from tests.conftest import ROOT, assert_one_line_error, run_tool

CONFIG = str(ROOT / 'configs/det/toy_step/video_knet_s3_r18_toy_step.py')
TRAIN_ROOT, TEST_ROOT = 'data.train.dataset.data_root', 'data.test.data_root'


@pytest.fixture
def call(monkeypatch, capsys):
    """Call a tool in this process; gives its one line on stderr."""
    def call_tool(tool, *args):
        from knet.errors import report_input_errors
        spec = importlib.util.spec_from_file_location(tool, ROOT / 'tools' / f'{tool}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        for name in ('mmdet', 'mmcv'):  # loggers of an earlier call hold its captured stderr
            logging.getLogger(name).handlers.clear()
            logger_initialized.pop(name, None)
        with pytest.raises(SystemExit) as ended, report_input_errors():
            module.main()
        assert ended.value.code == 1
        line, = [text for text in capsys.readouterr().err.splitlines() if text.startswith('error: ')]
        return line
    return call_tool


@pytest.fixture
def copy(toy_root, tmp_path):
    """A copy of the toy videos that may be damaged, and its training frames."""
    shutil.copytree(toy_root / 'video_sequence', tmp_path / 'copy' / 'video_sequence')
    return tmp_path / 'copy', next(iter(scan_split(tmp_path / 'copy' / 'video_sequence' / 'train').values()))


@pytest.mark.parametrize('options, message', [
    (['modle.type=KNet'], "the config has no key 'modle'; did you mean model?"),
    (['model.backbone.dept=18'], "model.backbone has no key 'dept'; did you mean model.backbone.depth?"),
    (['data.train.dataset.pipelin=3'], 'did you mean data.train.dataset.pipeline?'),
    (['model.backbone.depth.deep=3'], "model.backbone.depth has no key 'deep'"),
])
def test_unknown_option(call, tmp_path, options, message):
    assert message in call('train', CONFIG, '--work-dir', tmp_path / 'new', '--cfg-options', *options)
    assert not (tmp_path / 'new').exists()


def test_missing_config(call, tmp_path):
    assert 'no_such.py' in call('train', tmp_path / 'no_such.py')


def test_missing_data_root(call, tiny_config, tmp_path):
    line = call('train', tiny_config, '--work-dir', tmp_path / 'w', '--cfg-options', f'{TRAIN_ROOT}={tmp_path}/nothing')
    assert 'nothing/video_sequence/train is not a folder' in line


def test_empty_split(call, tiny_config, tmp_path):
    (tmp_path / 'video_sequence' / 'train').mkdir(parents=True)
    assert 'holds no frames' in call('train', tiny_config, '--work-dir', tmp_path / 'w', '--cfg-options', f'{TRAIN_ROOT}={tmp_path}')


def test_image_without_map(call, tiny_config, copy, tmp_path):
    root, frames = copy
    frames[min(frames)]['panoptic'].unlink()
    assert 'has an image but no map' in call('train', tiny_config, '--work-dir', tmp_path / 'w', '--cfg-options', f'{TRAIN_ROOT}={root}')


@pytest.mark.parametrize('damage, message', [('truncate', 'is not a readable image'), ('size', 'its image (64, 128)'),
                                             ('class', 'class id 77 is outside 0..18 and 255')])
@pytest.mark.parametrize('workers', [0, 1])
def test_bad_maps_end_training(call, tiny_config, copy, tmp_path, damage, message, workers):
    root, frames = copy
    for files in frames.values():
        path = files['panoptic']
        if damage == 'truncate':
            path.write_bytes(path.read_bytes()[:100])
        else:
            semantic = np.full((64, 128) if damage == 'class' else (60, 128), 77 if damage == 'class' else 0, np.uint8)
            write_panoptic(path, semantic, np.zeros(semantic.shape, np.int32))
    line = call('train', tiny_config, '--work-dir', tmp_path / 'w', '--no-validate', '--cfg-options', f'{TRAIN_ROOT}={root}',
                f'data.workers_per_gpu={workers}')
    assert message in line and str(root) in line
    assert not list((tmp_path / 'w').glob('*.pth'))


def test_checkpoint_of_another_model(call, tiny_config, tmp_path):
    torch.save(dict(state_dict={'rpn_head.rpn_cls.weight': torch.zeros(3)}), tmp_path / 'other.pth')
    for tool, args in (('train', ['--load-from', tmp_path / 'other.pth']), ('test', [])):
        if tool == 'test':
            args = [tmp_path / 'other.pth', '--out', tmp_path / 'out']
        line = call(tool, tiny_config, *args, *(['--work-dir', tmp_path / 'w'] if tool == 'train' else []))
        assert 'is of another model than VideoKNet' in line
    assert not (tmp_path / 'out').exists()


def test_unwritable_work_dir(call, tiny_config, tmp_path):
    (tmp_path / 'file').touch()
    assert 'cannot be written to' in call('train', tiny_config, '--work-dir', tmp_path / 'file' / 'w')


def test_pretrained_backbone_that_cannot_be_fetched(call, toy_root, tmp_path):
    config = ROOT / 'configs/det/video_knet_kitti_step/video_knet_s3_r50_rpn_1x_kitti_step_sigmoid_stride2_mask_embed_link_ffn_joint_train.py'
    line = call('train', config, '--work-dir', tmp_path, '--no-validate', '--cfg-options', f'{TRAIN_ROOT}={toy_root}',
                f'model.backbone.init_cfg.checkpoint={tmp_path}/none.pth')
    assert 'none.pth cannot be loaded' in line and 'model.backbone.init_cfg=None' in line


def test_as_a_process(tiny_config, tmp_path):
    assert_one_line_error(run_tool('train', tiny_config, '--work-dir', tmp_path, '--load-from', tmp_path / 'none.pth'),
                          'checkpoint', 'none.pth does not exist')


@pytest.mark.skipif(torch.cuda.is_available(), reason='float16 is no error where there is a GPU')
@pytest.mark.parametrize('options, message', [
    (['fp16.loss_scale=dynamic'], 'fp16 needs a GPU; on the CPU use bf16=True'),
    (['fp16.loss_scale=dynamic', 'bf16=True'], 'exclude each other'),
    (['fp16.scale=dynamic'], "fp16 must be dict(loss_scale='dynamic')"),
])
def test_precision_that_cannot_be_had(call, tiny_config, tmp_path, options, message):
    assert message in call('train', tiny_config, '--work-dir', tmp_path, '--cfg-options', *options)
