"""What users add from outside, as docs/extending.md says it: a data set, a backbone, a branch, a
link, a metric, named in a config."""

import sys

import numpy as np
import pytest
import torch
from mmdet.models.builder import BACKBONES

from knet.apis import build_model, init_model, load_config, segment_image
from knet.data import build_train_dataset, build_train_loader
from knet.models.kernels.branches import BRANCHES
from knet.models.kernels.links import LINKS
from knet.models.kernels.stages import KernelIterHead
from knet.step_format import write_panoptic, write_png
from tests.conftest import ROOT, run, run_tool
from tests.documents import blocks

*PARTS, CONFIG = (block.text for block in blocks('docs/extending.md'))
TOY_CONFIG = 'configs/det/toy_step/video_knet_s3_r18_toy_step.py'


@pytest.fixture
def config(tiny_config, tmp_path, monkeypatch):
    """Path of a config with a part of each kind in a module of the user's."""
    (tmp_path / 'my_parts.py').write_text('\n'.join(PARTS))
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop('my_parts', None)
    for registry, name in ((BACKBONES, 'Pyramid'), (BRANCHES, 'AreaBranch'), (LINKS, 'MeanLink')):
        registry.module_dict.pop(name, None)  # of the test before
    for split in ('train', 'val'):
        for frame in range(4):
            semantic = np.full((64, 128), 2, np.uint8)
            semantic[40:], semantic[20:50, 10 + frame : 60 + frame] = 0, 1
            name = f'{tmp_path}/video_sequence/{split}/000000_{frame:06d}'
            write_png(f'{name}_leftImg8bit.png', np.repeat(semantic[..., None] * 80, 3, 2))
            write_panoptic(f'{name}_panoptic.png', semantic, (semantic == 1) * 7)
    path = tmp_path / 'config.py'
    assert TOY_CONFIG in CONFIG and 'data/rail' in CONFIG
    path.write_text(CONFIG.replace(TOY_CONFIG, tiny_config).replace('data/rail', str(tmp_path)))
    return path


def test_parts_of_the_user_are_trained(config):
    cfg = load_config(str(config))
    model = build_model(cfg).train()
    assert model.kernel_set.num_thing_classes == 1 and model.kernel_set.num_classes == 3
    batch = next(iter(build_train_loader(build_train_dataset(cfg.data, 1), 2, 0)))
    losses = model(*batch)
    assert {f's{stage}_loss_area' for stage in range(3)} | {'s2_loss_area_ref'} <= set(losses)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert model.roi_head.mask_head[-1].track_link.weight.grad.abs().sum() > 0
    assert isinstance(model.roi_head, KernelIterHead)


def test_output_of_a_branch_reaches_the_result(config):
    model = init_model(load_config(str(config)), device='cpu')
    result = segment_image(model, np.zeros((64, 128, 3), np.uint8))
    assert result.outputs['areas'].shape == (len(result.segments),)
    assert ((result.outputs['areas'] > 0) & (result.outputs['areas'] < 1)).all()


def test_from_training_to_figures(config, tmp_path):
    """tools/train.py validates with the classes of the set, tools/test.py reads the checkpoint."""
    environment = dict(PYTHONPATH=f'{tmp_path}:{ROOT}')
    done = run_tool('train', config, '--work-dir', tmp_path / 'w', '--seed', 3, **environment)
    assert done.returncode == 0 and 'STQ' in done.stderr, done.stderr[-3000:]
    assert 'recall: 0.' in done.stderr
    checkpoint = tmp_path / 'w' / 'latest.pth'
    names = torch.load(checkpoint, weights_only=True)['state_dict']
    assert {'roi_head.mask_head.2.track_link.weight', 'roi_head.mask_head.0.fc_cls.bias'} <= set(
        names
    )
    assert 'roi_head.mask_head.0.branches.areas.fc.weight' in names
    args = ('--out', tmp_path / 'out', '--eval')
    done = run_tool('test', config, checkpoint, *args, **environment)
    assert done.returncode == 0 and 'train' in done.stdout, done.stderr[-3000:]
    assert 'recall of things: ' in done.stdout
    # the other tools learn these classes from the results
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith('next: ')]
    command = next(line for line in lines if 'tools/eval_dstq_step.py' in line)
    again = run(*command[1:])
    assert 'protocol rail' in again.stdout and again.returncode == 0, again.stderr
    for line in again.stdout.splitlines():
        assert line in done.stdout


def test_fine_tuning_from_other_classes(config, tiny_config, tmp_path):
    """A checkpoint of the 19 classes of STEP goes into a model of 3, with an explicit option."""
    environment = dict(PYTHONPATH=f'{tmp_path}:{ROOT}')
    options = ('--no-validate', '--cfg-options', 'runner.max_epochs=1')
    done = run_tool('train', tiny_config, '--work-dir', tmp_path / 'step', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    plain = tmp_path / 'plain.py'
    plain.write_text(
        f"_base_ = r'{tiny_config}'\ncustom_imports = dict(imports=['my_parts'])\n"
        f"data = dict(name='rail', root=r'{tmp_path}')\n"
    )
    start = ('--load-from', tmp_path / 'step' / 'latest.pth', *options)
    refused = run_tool('train', plain, '--work-dir', tmp_path / 'a', *start, **environment)
    assert refused.returncode == 1 and '--ignore-mismatched' in refused.stderr
    args = ('--ignore-mismatched', *start)
    done = run_tool('train', plain, '--work-dir', tmp_path / 'b', *args, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'of another shape: rpn_head.conv_seg.weight ((19, 32, 1, 1) there and (3,' in done.stderr
