"""Bad input to the command lines: one clear line, exit status 1, nothing half-written."""

import logging
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from mmcv import Config
from mmcv.utils.logging import logger_initialized

from knet.apis import build_model, load_config
from knet.commands import main
from knet.models.checkpoint import published_state_dict
from knet.step_format import scan_split, write_panoptic
from tests.conftest import ROOT, assert_one_line_error, run_tool
from tests.models.test_reference import R50

CONFIG = str(ROOT / 'configs/det/toy_step/video_knet_s3_r18_toy_step.py')
DATA_ROOT = 'data.root'


@pytest.fixture
def call(monkeypatch, capsys):
    """Call a tool in this process; gives its one line on stderr."""

    def call_tool(tool, *args):
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
        for name in ('mmdet', 'mmcv'):  # loggers of an earlier call hold its captured stderr
            logging.getLogger(name).handlers.clear()
            logger_initialized.pop(name, None)
        with pytest.raises(SystemExit) as ended:
            main(tool)
        assert ended.value.code == 1
        (line,) = [
            text for text in capsys.readouterr().err.splitlines() if text.startswith('error: ')
        ]
        return line

    return call_tool


@pytest.fixture
def copy(toy_root, tmp_path):
    """A copy of the toy videos that may be damaged, and its training frames."""
    shutil.copytree(toy_root / 'video_sequence', tmp_path / 'copy' / 'video_sequence')
    return tmp_path / 'copy', next(
        iter(scan_split(tmp_path / 'copy' / 'video_sequence' / 'train').values())
    )


@pytest.mark.parametrize(
    'options, message',
    [
        (['modle.type=KNet'], "the config has no key 'modle'; did you mean model?"),
        (
            ['model.backbone.dept=18'],
            "model.backbone has no key 'dept'; did you mean model.backbone.depth?",
        ),
        (['data.train.crop_siz=3'], 'did you mean data.train.crop_size?'),
        (['model.backbone.depth.deep=3'], "model.backbone.depth has no key 'deep'"),
    ],
)
def test_unknown_option(call, tmp_path, options, message):
    assert message in call(
        'train', CONFIG, '--work-dir', tmp_path / 'new', '--cfg-options', *options
    )
    assert not (tmp_path / 'new').exists()


def test_classes_stand_in_the_data_set_alone(call, tiny_config, tmp_path):
    """A model of other classes than its data set cannot be asked for."""
    config = tmp_path / 'five.py'
    config.write_text(f"_base_ = r'{tiny_config}'\nmodel = dict(num_thing_classes=5)\n")
    line = call('train', config, '--work-dir', tmp_path / 'w')
    assert 'model of the config cannot be built' in line and 'num_thing_classes' in line
    args = ('--work-dir', tmp_path / 'w', '--cfg-options', 'data.name=kity')
    line = call('train', tiny_config, *args)
    assert "unknown data set 'kity'; there are cityscapes_dvps, cityscapes_step" in line


@pytest.mark.parametrize(
    'option, message',
    [
        ('data.train.scale=5', 'data.train.scale must be two positive numbers, got 5'),
        ('data.train.crop_size=[1]', 'crop_size must be two positive numbers'),
        ('data.train.ratio_range=1.0', 'ratio_range must be two positive numbers'),
        ('data.train.flip_ratio=abc', 'flip_ratio must be a number from 0 to 1'),
        ('data.train.ref_offsets=abc', 'ref_offsets must be a list of whole numbers'),
        ('data.train.split=None', 'data.train.split must be the name of a folder, got None'),
        ('data.train.repeat=0', 'data.train.repeat must be a whole number from 1 on, got 0'),
        ('data.root=5', 'data.root must be the path of a folder, got 5'),
        ('data.samples_per_gpu=0', 'data.samples_per_gpu must be a whole number from 1 on'),
        ('data.workers_per_gpu=many', 'data.workers_per_gpu: must be a number, as 0 is'),
        ('data.workers_per_gpu=-1', 'data.workers_per_gpu must be a whole number from 0 on'),
        ('model.roi_head.num_stages=0', 'num_stages must be a whole number from 1 on, got 0'),
        (
            'model.roi_head.mask_head.num_heads=7',
            'model.roi_head.mask_head of the config cannot be',
        ),
        ('optimizer.type=Nope', "optimizer.type: there is no 'Nope'; there are"),
        ('runner.max_epochs=abc', "must be a number, as 2 is, got 'abc'"),
        ('runner.max_epochs=0', 'runner.max_epochs must be a whole number from 1 on'),
        ('data.train.ratio_range=[2,1]', 'ratio_range must be (minimum, maximum)'),
        ('data=3', 'data of the config'),
        ('lr_config.policy=CosineAnealing', "no 'CosineAnealing'; did you mean CosineAnnealing?"),
        ('optimizer.lr=None', 'optimizer of the config cannot be built: TypeError: '),
        ('optimizer_config.grad_clip=5', 'optimizer_config of the config cannot be built'),
        ('log_config.hooks=None', 'log_config of the config cannot be built'),
        ('checkpoint_config.interval=0', 'error: checkpoint_config.interval must be a whole'),
        ('custom_hooks.0.type=Bar', "custom_hooks.0.type: there is no 'Bar'"),
        ('log_level=LOUD', 'log_level must be one of DEBUG, INFO'),
        ('checkpoint_config.max_keep_ckpts=x', 'max_keep_ckpts must be a whole number'),
        ('model.neck.in_channels=[1,2,3,4]', 'the first training step fails: RuntimeError: '),
        ('model.neck.in_channels=[1,2,3]', 'AssertionError (mmdet/models/necks/fpn.py:'),
        ('model.roi_head.mask_assign_stride=0', 'mask_assign_stride must be a whole number'),
        ('lr_config.policy=nope', "lr_config.policy: there is no 'Nope'; there are Cosine"),
        ('task=image_panoptic', 'task image_panoptic gives a VideoKNet 0 reference frames'),
        ('task=depth', "unknown task 'depth'; expected task = '...', one of image_depth"),
    ],
)
def test_settings_of_another_type_or_range(call, tiny_config, tmp_path, option, message):
    args = ('--work-dir', tmp_path / 'w', '--no-validate', '--cfg-options', option)
    assert message in call('train', tiny_config, *args)
    assert not list((tmp_path / 'w').glob('*.pth'))


@pytest.mark.parametrize(
    'key',
    [
        *('data.name', 'data.samples_per_gpu', 'data.workers_per_gpu', 'data.train', 'data.val'),
        *('runner', 'optimizer', 'optimizer_config', 'lr_config', 'checkpoint_config'),
    ],
)
def test_config_without_a_key(call, tiny_config, tmp_path, key):
    cfg = Config.fromfile(tiny_config)
    *section, name = key.split('.')
    del (cfg._cfg_dict[section[0]] if section else cfg._cfg_dict)[name]
    del cfg._cfg_dict['log_level']  # which has a default
    cfg.dump(str(tmp_path / 'own.py'))
    line = call('train', tmp_path / 'own.py', '--work-dir', tmp_path / 'w')
    assert line == f'error: the config {tmp_path}/own.py has no {key} (see configs/det)'
    assert not (tmp_path / 'w').exists()


@pytest.mark.parametrize(
    'options, message',
    [
        (['--ignore-mismatched'], '--ignore-mismatched: only with --load-from'),
        (['--load-from', 'FILE', '--resume-from', 'FILE'], 'name one of them; a run that goes on'),
    ],
)
def test_options_that_would_do_nothing(call, tiny_config, tmp_path, options, message):
    (tmp_path / 'a.pth').touch()
    options = [tmp_path / 'a.pth' if option == 'FILE' else option for option in options]
    assert message in call('train', tiny_config, '--work-dir', tmp_path / 'w', *options)
    assert not (tmp_path / 'w').exists()


def test_missing_ground_truth_of_the_validation_is_found_at_once(call, tiny_config, copy, tmp_path):
    root, _ = copy
    next((root / 'video_sequence' / 'val').glob('*_panoptic.png')).unlink()
    args = ('--work-dir', tmp_path / 'w', '--cfg-options', f'{DATA_ROOT}={root}')
    assert 'has no ground truth, which video_panoptic is evaluated against' in call(
        'train', tiny_config, *args
    )


def test_resuming_from_weights_alone_and_executing_nothing(call, tiny_config, tmp_path):
    """mmcv would run the config that a checkpoint holds."""
    model = build_model(load_config(tiny_config))
    weights = published_state_dict(model)
    code = f"import os\nos.mkdir(r'{tmp_path}/executed')\n"
    for meta in ({}, dict(config=code, epoch=1, iter=2)):
        torch.save(dict(state_dict=weights, meta=meta), tmp_path / 'weights.pth')
        args = ('--work-dir', tmp_path / 'w', '--resume-from', tmp_path / 'weights.pth')
        assert 'holds no state of a training run' in call('train', tiny_config, *args)
    assert not (tmp_path / 'executed').exists()


class Attack:
    """Pickled, it makes a folder where it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_that_a_file_names_is_executed(call, tiny_config, tmp_path):
    target = tmp_path / 'executed'
    torch.save(dict(state_dict={}, meta=Attack(target)), tmp_path / 'attack.pth')
    args = ('--work-dir', tmp_path / 'w')
    for option in ('--load-from', '--resume-from'):
        line = call('train', tiny_config, *args, option, tmp_path / 'attack.pth')
        assert 'could run code of its author' in line
    init = f"dict(_delete_=True, type='Pretrained', checkpoint=r'{tmp_path}/attack.pth')"
    config = tmp_path / 'own.py'
    config.write_text(f"_base_ = r'{tiny_config}'\nmodel = dict(backbone=dict(init_cfg={init}))\n")
    assert 'attack.pth cannot be loaded' in call('train', config, *args)
    (tmp_path / 'own.yaml').write_text(f'model: !!python/object/apply:os.mkdir ["{target}"]\n')
    assert 'own.yaml cannot be read' in call('train', tmp_path / 'own.yaml', *args)
    assert not target.exists()


def test_module_of_a_config_that_cannot_be_imported(call, tiny_config, tmp_path):
    config = tmp_path / 'own.py'
    config.write_text(f"_base_ = r'{tiny_config}'\ncustom_imports = dict(imports=['no_such'])\n")
    line = call('train', config)
    assert 'no_such' in line and 'on the PYTHONPATH?' in line


@pytest.mark.parametrize(
    'metric, message',
    [
        ('PQ', '--eval PQ: task video_panoptic of the config has the metrics STQ, VPQ'),
        ('stq', 'is damaged, or not a file of torch.save (UnpicklingError: '),
    ],
)
def test_metrics_of_the_task_in_any_case(call, tiny_config, tmp_path, metric, message):
    (tmp_path / 'a.pth').write_text('no checkpoint')
    args = (tmp_path / 'a.pth', '--out', tmp_path / 'out', '--eval', metric)
    assert message in call('test', tiny_config, *args)


def test_missing_config(call, tmp_path):
    assert 'no_such.py' in call('train', tmp_path / 'no_such.py')


def test_missing_data_root(call, tiny_config, tmp_path):
    line = call(
        'train',
        tiny_config,
        '--work-dir',
        tmp_path / 'w',
        '--cfg-options',
        f'{DATA_ROOT}={tmp_path}/nothing',
    )
    assert 'nothing/video_sequence/train does not exist' in line and 'set data.root' in line


def test_empty_split(call, tiny_config, tmp_path):
    (tmp_path / 'video_sequence' / 'train').mkdir(parents=True)
    assert 'holds no images' in call(
        'train',
        tiny_config,
        '--work-dir',
        tmp_path / 'w',
        '--cfg-options',
        f'{DATA_ROOT}={tmp_path}',
    )


def test_image_without_map(call, tiny_config, copy, tmp_path):
    root, frames = copy
    frames[min(frames)]['panoptic'].unlink()
    assert 'has an image but no map' in call(
        'train', tiny_config, '--work-dir', tmp_path / 'w', '--cfg-options', f'{DATA_ROOT}={root}'
    )


@pytest.mark.parametrize(
    'damage, message',
    [
        ('truncate', 'is not a readable image'),
        ('size', 'its image (64, 128)'),
        ('class', 'class id 77 is outside 0..18 and 255'),
    ],
)
@pytest.mark.parametrize('workers', [0, 1])
def test_bad_maps_end_training(call, tiny_config, copy, tmp_path, damage, message, workers):
    root, frames = copy
    for files in frames.values():
        path = files['panoptic']
        if damage == 'truncate':
            path.write_bytes(path.read_bytes()[:100])
        else:
            semantic = np.full(
                (64, 128) if damage == 'class' else (60, 128),
                77 if damage == 'class' else 0,
                np.uint8,
            )
            write_panoptic(path, semantic, np.zeros(semantic.shape, np.int32))
    line = call(
        'train',
        tiny_config,
        '--work-dir',
        tmp_path / 'w',
        '--no-validate',
        '--cfg-options',
        f'{DATA_ROOT}={root}',
        f'data.workers_per_gpu={workers}',
    )
    assert message in line and str(root) in line
    assert not list((tmp_path / 'w').glob('*.pth'))


def test_checkpoint_of_another_model(call, tiny_config, tmp_path):
    torch.save(dict(state_dict={'rpn_head.rpn_cls.weight': torch.zeros(3)}), tmp_path / 'other.pth')
    for tool, args in (('train', ['--load-from', tmp_path / 'other.pth']), ('test', [])):
        if tool == 'test':
            args = [tmp_path / 'other.pth', '--out', tmp_path / 'out']
        line = call(
            tool, tiny_config, *args, *(['--work-dir', tmp_path / 'w'] if tool == 'train' else [])
        )
        assert 'is of another model than VideoKNet' in line
    assert not (tmp_path / 'out').exists()


def test_unwritable_work_dir(call, tiny_config, tmp_path):
    (tmp_path / 'file').touch()
    args = ('train', tiny_config, '--work-dir')
    assert f'{tmp_path}/file is a file; name a folder' in call(*args, tmp_path / 'file')
    assert 'file/w: Not a directory; name another folder' in call(*args, tmp_path / 'file' / 'w')


def test_pretrained_backbone_that_cannot_be_fetched(call, toy_root, tmp_path):
    config = ROOT / 'configs/det' / R50
    line = call(
        'train',
        config,
        '--work-dir',
        tmp_path,
        '--no-validate',
        '--cfg-options',
        f'{DATA_ROOT}={toy_root}',
        f'model.backbone.init_cfg.checkpoint={tmp_path}/none.pth',
    )
    assert 'none.pth cannot be loaded' in line and 'model.backbone.init_cfg=None' in line


def test_as_a_process(tiny_config, tmp_path):
    assert_one_line_error(
        run_tool(
            'train', tiny_config, '--work-dir', tmp_path, '--load-from', tmp_path / 'none.pth'
        ),
        'checkpoint',
        'none.pth does not exist',
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason='float16 is no error where there is a GPU')
@pytest.mark.parametrize(
    'options, message',
    [
        (['fp16.loss_scale=dynamic'], 'fp16 needs a GPU; on the CPU use bf16 or fp32'),
        (['fp16.loss_scale=dynamic', 'bf16=True'], 'exclude each other'),
        (['fp16.scale=dynamic'], "fp16 must be dict(loss_scale='dynamic')"),
    ],
)
def test_precision_that_cannot_be_had(call, tiny_config, tmp_path, options, message):
    assert message in call('train', tiny_config, '--work-dir', tmp_path, '--cfg-options', *options)
