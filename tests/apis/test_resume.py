"""Training that is cut off anywhere, in real processes, goes on as if nothing had happened."""

import os
import re
import signal
import sys

import pytest
import torch

from knet.apis.work_dir import list_checkpoints, newest_checkpoint
from tests.conftest import assert_one_line_error, read_events, run, run_tool, train_once

KILLER = '''
"""A hook that kills the run where the variable KILL says: <signal> <iteration|file> <number>."""
import os, pathlib
import torch
from mmcv.runner import HOOKS, Hook

SIGNAL, PLACE, NUMBER = os.environ.get('KILL', '0 nowhere 0').split()
real_save, count = torch.save, 0

def save(content, path):
    """Half a file, and the end."""
    global count
    count += 1
    if count == int(NUMBER):
        pathlib.Path(path).write_bytes(b'PK' + bytes(1000))
        os.kill(os.getpid(), int(SIGNAL))
    real_save(content, path)

if PLACE == 'file':
    torch.save = save

@HOOKS.register_module()
class Killer(Hook):
    def before_run(self, runner):
        noisy = lambda module, inputs, maps: [m + 0.01 * torch.randn_like(m) for m in maps]
        runner.model.module.neck.register_forward_hook(noisy)

    def after_train_iter(self, runner):
        if PLACE == 'iteration' and runner.iter + 1 == int(NUMBER):
            if os.environ.get('RANK', '0') == os.environ.get('KILLED_RANK', '0'):
                os.kill(os.getpid(), int(SIGNAL))
'''
ALWAYS = ['--checkpoint-minutes', 1e-6]
"""Save after every iteration."""


@pytest.fixture(scope='module')
def config(tiny_config, tmp_path_factory):
    """A config of 3 epochs of 4 iterations (2 with two processes), whose runs can be killed, with
    random numbers inside the model."""
    folder = tmp_path_factory.mktemp('killer')
    (folder / 'killer.py').write_text(KILLER)
    path = folder / 'config.py'
    path.write_text(f"""
_base_ = r'{tiny_config}'
data = dict(samples_per_gpu=2)
runner = dict(max_epochs=3)
log_config = dict(interval=100)
custom_imports = dict(imports=['killer'], allow_failed_imports=False)
custom_hooks = [dict(type='Killer')]
""")
    return path


def start(config, work_dir, *args, processes=1, kill='', **env):
    """Train with seed 5 and without validation."""
    args = ['--work-dir', work_dir, '--no-validate', '--auto-resume', *args]
    env = {'PYTHONPATH': str(config.parent), **({'KILL': kill} if kill else {}), **env}
    if processes == 1:
        return run_tool('train', config, *args, **env)
    return run('sh', 'tools/dist_train.sh', config, processes, *args, PYTHON=sys.executable, **env)


def content(work_dir, name='epoch_3.pth'):
    """All tensors of a checkpoint, weights and optimizer, by name; the optimizer's settings."""
    checkpoint = torch.load(work_dir / name, weights_only=True)
    tensors = dict(checkpoint['state_dict'])
    for number, values in checkpoint['optimizer']['state'].items():
        tensors.update({f'optimizer.{number}.{name}': value for name, value in values.items()})
    return tensors, checkpoint['optimizer']['param_groups']


def assert_equal(one, two):
    """Bit by bit."""
    (tensors, groups), (others, other_groups) = one, two
    assert groups == other_groups and list(tensors) == list(others)
    different = [name for name, value in tensors.items() if not torch.equal(value, others[name])]
    assert not different, f'{len(different)} of {len(tensors)} differ, such as {different[0]}'


@pytest.fixture(scope='module')
def whole(config, tmp_path_factory):
    """What uninterrupted runs end with, by the number of processes."""
    results = {}
    for processes in (1, 2):
        work_dir = tmp_path_factory.mktemp('whole')
        done = start(config, work_dir, '--seed', 5, processes=processes)
        assert done.returncode == 0, done.stderr[-3000:]
        results[processes] = content(work_dir)
    return results


@pytest.mark.parametrize(
    'processes, kill',
    [
        (1, f'{signal.SIGKILL} iteration 7'),  # in the middle of an epoch
        (1, f'{signal.SIGKILL} file 9'),  # while a checkpoint is written
        (1, f'{signal.SIGTERM} iteration 4'),  # in the last iteration of an epoch
        (2, f'{signal.SIGKILL} iteration 3'),
        (2, f'{signal.SIGUSR1} iteration 5'),
    ],
)
def test_a_run_that_was_cut_off_ends_like_one_that_was_not(
    config, whole, tmp_path, processes, kill
):
    number = int(kill.split()[0])
    args = ['--seed', 5, *(ALWAYS if number == signal.SIGKILL else [])]
    done = start(config, tmp_path, *args, processes=processes, kill=kill)
    if number == signal.SIGKILL:
        assert done.returncode in (-9, 137) and not (tmp_path / 'epoch_3.pth').exists()
    else:
        assert done.returncode == 75 and 'go on with --auto-resume' in done.stderr.splitlines()[-1]
    again = start(config, tmp_path, processes=processes)
    assert again.returncode == 0 and 'resumed epoch' in again.stderr, again.stderr[-3000:]
    assert_equal(content(tmp_path), whole[processes])
    assert not list(tmp_path.glob('.*part*')) and not list(tmp_path.glob('*_iter_*'))


def test_place_in_the_schedule_stays_where_epochs_get_longer(config, tmp_path):
    done = start(config, tmp_path, '--seed', 5, processes=2, kill=f'{signal.SIGTERM} iteration 2')
    assert done.returncode == 75, done.stderr[-3000:]
    meta = torch.load(tmp_path / 'epoch_1_iter_1.pth', weights_only=True)['meta']
    assert (meta['epoch'], meta['iter'], meta['iterations_per_epoch']) == (1, 3, 2)
    again = start(config, tmp_path)
    assert 'resumed epoch 1, iter 6' in again.stderr and 'had 2 iterations' in again.stderr
    # of epochs that are shorter than the interval of the log there is a line too
    lines = re.findall(r'Epoch \[(\d)\]\[(\d/\d)\].* loss: ', again.stderr)
    assert lines == [('2', '4/4'), ('3', '4/4')]
    assert torch.load(tmp_path / 'epoch_3.pth', weights_only=True)['meta']['iter'] == 12


def test_the_newest_checkpoint_is_that_of_the_longest_run_not_of_the_most_iterations(tmp_path):
    """A run that goes on with twice the processes counts half the iterations."""
    for name, epoch, iteration, length in (
        ('epoch_1', 1, 100, 100),
        ('epoch_2', 2, 200, 100),
        ('epoch_2_iter_40', 2, 140, 50),
        ('iter_130', 2, 130, 50),
    ):
        meta = dict(epoch=epoch, iter=iteration, iterations_per_epoch=length)
        torch.save(dict(meta=meta, state_dict={}), tmp_path / f'{name}.pth')
    (tmp_path / 'epoch_3.pth').write_bytes(b'PK')
    names = [path.stem for path in list_checkpoints(tmp_path)]
    assert names == ['epoch_3', 'epoch_2_iter_40', 'iter_130', 'epoch_2', 'epoch_1']
    assert newest_checkpoint(tmp_path).stem == 'epoch_2_iter_40'


def test_another_seed_and_checkpoints_in_the_way(config, tmp_path):
    done = start(config, tmp_path, '--seed', 5, '--cfg-options', 'runner.max_epochs=2')
    assert done.returncode == 0, done.stderr[-3000:]
    before = (tmp_path / 'epoch_1.pth').read_bytes()
    assert_one_line_error(start(config, tmp_path, '--seed', 6), '--seed 6', 'began with seed 5')
    options = ['--work-dir', tmp_path, '--no-validate', '--cfg-options', 'runner.max_epochs=1']
    env = dict(PYTHONPATH=str(config.parent))
    for args in ([], ['--resume-from', tmp_path / 'epoch_1.pth']):
        refused = run_tool('train', config, *args, *options, **env)
        assert_one_line_error(refused, 'epoch_2.pth', '--overwrite')
    assert (tmp_path / 'epoch_1.pth').read_bytes() == before
    done = run_tool('train', config, '--overwrite', *options, **env)
    assert done.returncode == 0 and not (tmp_path / 'epoch_2.pth').exists()


def test_the_newest_checkpoint_is_found_without_links_and_damage_is_passed_over(config, tmp_path):
    (tmp_path / 'no_links').mkdir()
    (tmp_path / 'no_links' / 'sitecustomize.py').write_text(
        "import os\ndef no(*a, **k): raise PermissionError(1, 'no')\nos.symlink = no\n"
    )
    work_dir = tmp_path / 'run'
    path = f'{tmp_path / "no_links"}{os.pathsep}{config.parent}'
    two = ['--seed', 5, '--cfg-options', 'runner.max_epochs=2']
    done = start(config, work_dir, *two, PYTHONPATH=path)
    assert done.returncode == 0 and not (work_dir / 'latest.pth').is_symlink(), done.stderr[-3000:]
    os.utime(work_dir / 'epoch_1.pth')  # the newer file is not the newer checkpoint
    env = dict(PYTHONPATH=path)
    tested = run_tool('test', config, work_dir / 'latest.pth', '--out', tmp_path / 'out', **env)
    assert tested.returncode == 0, tested.stderr[-3000:]
    assert 'epoch_2.pth' in (tmp_path / 'out' / 'made_by.json').read_text()
    data = bytearray((work_dir / 'epoch_2.pth').read_bytes())
    data[len(data) // 2] ^= 4
    (work_dir / 'epoch_2.pth').write_bytes(data)
    assert_one_line_error(
        run_tool('test', config, work_dir / 'epoch_2.pth', '--out', tmp_path / 'out', **env),
        'damaged',
    )
    again = start(config, work_dir, PYTHONPATH=path)
    assert again.returncode == 0 and 'resumed epoch 1' in again.stderr
    assert f'checkpoint {work_dir}/epoch_2.pth is damaged' in again.stderr


def test_checkpoints_by_iteration_are_named_and_kept_by_it(config, tmp_path):
    options = ['checkpoint_config.interval=3', 'checkpoint_config.by_epoch=False']
    options += ['checkpoint_config.max_keep_ckpts=2']
    done = start(config, tmp_path, '--seed', 5, '--cfg-options', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.name for path in tmp_path.glob('*_*.pth')) == ['iter_12.pth', 'iter_9.pth']
    meta = torch.load(tmp_path / 'iter_9.pth', weights_only=True)['meta']
    assert (meta['epoch'], meta['iter']) == (2, 9)


def test_a_validation_that_was_cut_off_is_made_up_for(tiny_config, tmp_path):
    work_dir, _ = train_once(tiny_config, tmp_path)
    mark = work_dir / 'val' / 'made_by.json'
    mark.write_text(mark.read_text().replace('"finished": true', '"finished": false'))
    again = run_tool('train', tiny_config, '--work-dir', work_dir, '--auto-resume')
    assert again.returncode == 0, again.stderr[-3000:]
    assert 'the validation after epoch 2 was cut off' in again.stderr and 'STQ' in again.stderr
    once_more = run_tool('train', tiny_config, '--work-dir', work_dir, '--auto-resume')
    assert 'cut off' not in once_more.stderr and 'STQ' not in once_more.stderr
    args = ['--work-dir', work_dir, '--resume-from', work_dir / 'epoch_1.pth', '--overwrite']
    from_before = run_tool('train', tiny_config, *args)
    assert 'cut off' not in from_before.stderr and from_before.stderr.count('AQ: ') == 1
    # what the runs have written after the first epoch is replaced, and nothing else
    assert len(list(work_dir.glob('tf_logs/*'))) == 4
    curves, pictures = read_events(work_dir)
    for tag, points in [*curves.items(), *pictures.items()]:
        steps = [2, 4] if tag.startswith('val/') else [1, 2, 3, 4]
        assert [step for step, _ in points] == steps, tag
    assert len(pictures) == 4
