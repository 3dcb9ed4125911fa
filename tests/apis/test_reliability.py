"""Nothing is lost and no number is wrong: full disks, two runs in one folder, diverged training,
frames of several sizes, statistics of norms."""

import json
import os
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch

from knet.step_format import read_panoptic, read_png, write_panoptic, write_png
from tests.conftest import ROOT, assert_one_line_error, run, run_tool, train_once


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory):
    """Work dir of a finished run."""
    return train_once(tiny_config, tmp_path_factory.mktemp('trained'))[0]


def copy_of(root, target):
    shutil.copytree(root / 'video_sequence', target / 'video_sequence')
    return target


def last_line(done):
    return done.stderr.splitlines()[-1]


def test_results_are_of_one_test_and_say_of_which(trained, tiny_config, tmp_path):
    out, show = tmp_path / 'out', tmp_path / 'show'
    args = ['--out', out, '--show-dir', show]
    first = run_tool('test', tiny_config, trained / 'epoch_1.pth', *args, '--eval')
    figures = json.loads((out / 'metrics.json').read_text())
    assert first.returncode == 0 and figures['made_of']['checkpoint'].endswith('epoch_1.pth')
    assert len(figures['made_of']['checkpoint_sha256']) == 64 and figures['made_of']['version']
    stale = [out / 'panoptic' / '9' / '000009_000000.png', show / 'tracks' / '9' / 'old.png']
    for path in stale:
        path.parent.mkdir(parents=True)
        write_png(path, np.zeros((4, 4), np.uint8))
    second = run_tool('test', tiny_config, trained / 'epoch_2.pth', *args)
    assert second.returncode == 0, second.stderr[-3000:]
    assert not (out / 'metrics.json').exists() and not any(path.exists() for path in stale)
    mark = json.loads((out / 'made_by.json').read_text())
    assert mark['finished'] and mark['made_of']['checkpoint'].endswith('epoch_2.pth')


def test_a_test_that_was_killed_is_known_as_unfinished(trained, tiny_config, toy_root, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import os\n'
        'real = os.replace\n'
        'def replace(one, other):\n'
        "    real(one, other)\n    'panoptic' in str(other) and os.kill(os.getpid(), 9)\n"
        'os.replace = replace\n'
    )
    args = ['--out', tmp_path / 'out']
    killed = run_tool('test', tiny_config, trained, *args, PYTHONPATH=str(tmp_path))
    assert killed.returncode == -9
    truth = toy_root / 'video_sequence' / 'val'
    assert_one_line_error(
        run_tool('eval_dstq_step', tmp_path / 'out', truth), 'did not finish', 'run it again'
    )


def test_a_folder_has_one_owner(trained, tiny_config, tmp_path):
    """The second test of two at once is refused, and so is a second training."""
    holder = (
        'import sys, time; from knet.files import lock_folder\n'
        'with lock_folder(sys.argv[1]): print("locked", flush=True); time.sleep(60)'
    )
    for folder, args in (
        ('out', ['test', tiny_config, trained, '--out', tmp_path / 'out']),
        ('work', ['train', tiny_config, '--work-dir', tmp_path / 'work', '--seed', 1]),
    ):
        command = [sys.executable, '-c', holder, str(tmp_path / folder)]
        owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert owner.stdout.readline() == 'locked\n'
        assert_one_line_error(run_tool(*args), f'in use by process {owner.pid} on', 'name another')
        owner.kill()
        owner.communicate()
    assert run_tool('test', tiny_config, trained, '--out', tmp_path / 'out').returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason='only root can mount a small disk')
def test_full_disk(trained, tiny_config, tmp_path):
    """No file is half there, and the status says it: maps, videos, checkpoints."""
    disk = tmp_path / 'disk'
    disk.mkdir()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], check=False)
    if mounted.returncode:
        pytest.skip('no file system can be mounted here')
    try:
        for args in (
            ['test', tiny_config, trained, '--out', disk / 'out'],
            ['test', tiny_config, trained, '--out', tmp_path / 'out', '--show-dir', disk / 'show'],
            ['train', tiny_config, '--work-dir', disk / 'work', '--no-validate'],
        ):
            (disk / 'ballast').write_bytes(bytes(45000))
            assert_one_line_error(run_tool(*args), 'cannot write')
            for path in disk.rglob('*.png'):
                read_png(path)
            assert not list(disk.rglob('*.pth')) and not list(disk.rglob('*.mp4'))
            assert not list(disk.rglob('*.part*'))
            for path in disk.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        subprocess.run(['umount', disk], check=True)


BAD_LOSS = '''
"""A hook that makes the loss of some iterations NaN."""
from mmcv.runner import HOOKS, Hook

@HOOKS.register_module()
class BadLoss(Hook):
    def __init__(self, iterations):
        self.iterations = iterations

    def after_train_iter(self, runner):
        if runner.iter + 1 in self.iterations:
            runner.outputs['loss'] = runner.outputs['loss'] * float('nan')
            runner.outputs['log_vars'].update(loss=float('nan'), loss_rpn_dice=float('nan'))
'''


@pytest.fixture
def with_bad_losses(tiny_config, tmp_path):
    """Function that trains 3 epochs of 4 iterations with NaN in the loss of some of them."""
    (tmp_path / 'bad_loss.py').write_text(BAD_LOSS)

    def train(iterations, work_dir, *options):
        config = tmp_path / 'bad.py'
        config.write_text(f"""
_base_ = r'{tiny_config}'
data = dict(samples_per_gpu=2)
runner = dict(max_epochs=3)
custom_imports = dict(imports=['bad_loss'], allow_failed_imports=False)
custom_hooks = [dict(type='BadLoss', iterations={list(iterations)}, priority='VERY_HIGH')]
""")
        args = ['--work-dir', work_dir, '--seed', 1, '--no-validate']
        args += ['--cfg-options', *options] if options else []
        return run_tool('train', config, *args, PYTHONPATH=str(tmp_path))

    return train


def assert_finite(path):
    state = torch.load(path, weights_only=True)['state_dict']
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())


def test_one_bad_step_is_left_out_and_a_run_of_them_ends_the_training(with_bad_losses, tmp_path):
    done = with_bad_losses([4, 8], tmp_path / 'few')  # the last ones of two epochs
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count('step left out: loss_rpn_dice, loss not finite; iteration') == 2
    assert '2 of 12 steps were left out' in done.stderr
    for number in (1, 2, 3):
        assert_finite(tmp_path / 'few' / f'epoch_{number}.pth')
    done = with_bad_losses(range(6, 13), tmp_path / 'many', 'optimizer_config.max_skipped=6')
    assert_one_line_error(done, 'diverged', 'loss_rpn_dice', 'iteration 11', 'leftImg8bit.png')
    names = sorted(path.name for path in (tmp_path / 'many').glob('*.pth'))
    assert names == ['epoch_1.pth', 'latest.pth']
    assert_finite(tmp_path / 'many' / 'latest.pth')


def test_training_without_objects_that_diverges(tiny_config, toy_root, tmp_path):
    root = copy_of(toy_root, tmp_path / 'set')
    for path in root.glob('video_sequence/train/*_panoptic.png'):
        semantic, instance = read_panoptic(path)
        write_panoptic(path, np.where(instance > 0, 255, semantic), instance * 0)
    options = [f'data.root={root}', 'optimizer.lr=1e8', 'optimizer_config.grad_clip=None']
    options += ['runner.max_epochs=8', 'lr_config.warmup_ratio=1.0']
    args = ['--work-dir', tmp_path / 'w', '--seed', 1, '--no-validate', '--cfg-options', *options]
    assert_one_line_error(run_tool('train', tiny_config, *args), 'diverged', 'learning rate')
    for path in (tmp_path / 'w').glob('*.pth'):
        assert_finite(path)


def test_weights_that_are_not_finite(trained, tiny_config, tmp_path):
    checkpoint = torch.load(trained / 'epoch_2.pth', weights_only=True)
    checkpoint['state_dict']['neck.fpn_convs.0.conv.weight'][0, 0] = float('nan')
    torch.save(checkpoint, tmp_path / 'nan.pth')
    done = run_tool('test', tiny_config, tmp_path / 'nan.pth', '--out', tmp_path / 'out')
    assert_one_line_error(done, 'neck.fpn_convs.0.conv.weight', 'not finite')


def test_a_users_config_in_the_work_dir_is_left_alone(tiny_config, tmp_path):
    config = tmp_path / 'my.py'
    config.write_text(f"# mine\n_base_ = r'{tiny_config}'\n")
    args = ['--work-dir', tmp_path, '--seed', 1, '--no-validate', '--dry-run']
    args += ['--cfg-options', 'optimizer.lr=0.5']
    for _ in range(2):
        done = run_tool('train', config, *[arg for arg in args if arg != '--dry-run'])
        assert done.returncode == 0 or 'earlier run' in last_line(done), done.stderr[-3000:]
    assert config.read_text().startswith('# mine')
    assert 'lr=0.5' in (tmp_path / 'my.full.py').read_text()


def test_frames_of_several_sizes_in_a_sequence(tiny_config, toy_root, tmp_path):
    root = copy_of(toy_root, tmp_path / 'set')
    for split, size in (('train', (160, 96)), ('val', (112, 56))):
        for path in root.glob(f'video_sequence/{split}/*[13]_leftImg8bit.png'):
            write_png(path, cv2.resize(read_png(path), size))
            truth = path.with_name(path.name.replace('leftImg8bit', 'panoptic'))
            write_png(truth, cv2.resize(read_png(truth), size, interpolation=cv2.INTER_NEAREST))
    done = run_tool(
        'train', tiny_config, '--work-dir', tmp_path / 'w', '--cfg-options', f'data.root={root}'
    )
    assert done.returncode == 0, done.stderr[-3000:]
    done = run_tool(
        'test', tiny_config, tmp_path / 'w', '--out', tmp_path / 'out', '--eval',
        '--show-dir', tmp_path / 'show', '--cfg-options', f'data.root={root}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((tmp_path / 'show' / 'videos').glob('*.mp4'))) == 2


def test_validation_tests_the_weights_that_are_saved(tiny_config, tmp_path):
    """Each of two processes has running statistics of its own."""
    args = ['--work-dir', tmp_path / 'w', '--seed', 1]
    env = dict(PYTHON=sys.executable)
    done = run('sh', 'tools/dist_train.sh', tiny_config, 2, *args, **env)
    assert done.returncode == 0, done.stderr[-3000:]
    assert run_tool('test', tiny_config, tmp_path / 'w', '--out', tmp_path / 'out').returncode == 0
    maps = [
        {path.name: path.read_bytes() for path in folder.glob('panoptic/*/*.png')}
        for folder in (tmp_path / 'w' / 'val', tmp_path / 'out')
    ]
    assert maps[0] == maps[1] and len(maps[0]) == 8


def test_dry_run_and_long_ends(tiny_config, tmp_path):
    start = time.time()
    args = ['--work-dir', tmp_path / 'w', '--dry-run']
    done = run_tool('train', tiny_config, *args)
    assert done.returncode == 0 and 'everything is ready' in done.stderr
    assert not list((tmp_path / 'w').glob('*.pth')) and time.time() - start < 120
    for seed in (-1, 2**32, 'x'):
        done = run_tool('train', tiny_config, *args, '--seed', seed)
        assert done.returncode == 2 and '--seed' in done.stderr and 'Traceback' not in done.stderr
