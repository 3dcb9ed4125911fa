"""The launchers of tools/ in real processes (gloo): what they write, how they fail, and how they
are stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from knet.apis import build_model, load_config
from knet.models.checkpoint import published_state_dict
from tests.conftest import ROOT, run

CONFIG = 'configs/det/toy_step/video_knet_s3_r18_toy_step.py'


@pytest.fixture(scope='module')
def checkpoint(tiny_config, tmp_path_factory):
    """Path of a checkpoint with random weights."""
    path = tmp_path_factory.mktemp('model') / 'epoch_2.pth'
    torch.manual_seed(0)
    model = build_model(load_config(tiny_config))
    torch.save(dict(state_dict=published_state_dict(model)), path)
    return path


def launch(script, *args, **env):
    return run('sh', f'tools/{script}.sh', *args, PYTHON=sys.executable, **env)


def error_lines(done):
    return [line for line in done.stderr.splitlines() if line.startswith('error: ')]


def predictions(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in (folder / 'panoptic').glob('*/*.png')
    }


def test_a_folder_and_two_processes_give_what_a_file_and_one_process_give(
    checkpoint, tiny_config, toy_root, tmp_path
):
    one = launch('dist_test', tiny_config, checkpoint, 1, '--out', tmp_path / 'one')
    old = checkpoint.with_name('epoch_1.pth')
    old.touch()
    os.utime(old, (0, 0))
    two = launch(
        'dist_step_test', tiny_config, checkpoint.parent, 2, '--work-dir', tmp_path / 'two'
    )
    assert one.returncode == two.returncode == 0, two.stderr[-3000:]
    results = tmp_path / 'two' / 'results'
    assert predictions(tmp_path / 'one') == predictions(results) and len(predictions(results)) == 8
    assert (results / 'metrics.json').exists() and len(
        list((tmp_path / 'two' / 'show' / 'tracks').glob('*/*.png'))
    ) == 8
    for tool in ('eval_dstq_step', 'eval_dvpq_step'):
        assert f'tools/{tool}.py {results} {toy_root}/video_sequence/val' in two.stdout


def test_bad_input_is_one_line_for_all_processes(tiny_config, tmp_path):
    (tmp_path / 'latest.pth').write_text('no checkpoint')
    done = launch('dist_test', tiny_config, tmp_path / 'latest.pth', 2, '--out', tmp_path / 'work')
    (line,) = error_lines(done)
    assert done.returncode == 1 and 'latest.pth' in line and line == done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stderr and not (tmp_path / 'work').exists()
    assert (
        'STQ' not in done.stdout and 'predictions' not in done.stdout
    )  # gloo says there that the processes have met


@pytest.fixture
def in_workers(tmp_path):
    """Environment in which the processes that a launcher starts run `program`, before anything
    else."""

    def prepare(program):
        (tmp_path / 'sitecustomize.py').write_text(
            f"import os, time\nif 'RANK' in os.environ:\n    {program}\n"
        )
        return dict(PYTHONPATH=str(tmp_path), PYTHON=sys.executable)

    return prepare


def test_a_process_that_dies_ends_the_job_with_its_status(in_workers, tmp_path):
    done = run(
        'sh',
        'tools/dist_train.sh',
        CONFIG,
        2,
        '--work-dir',
        tmp_path / 'work',
        **in_workers("time.sleep(600) if os.environ['RANK'] == '0' else os._exit(7)"),
    )
    assert (
        done.returncode == 7
        and done.stderr == 'error: process 1 ended with status 7; its messages are above\n'
    )


def test_signals_end_all_processes(in_workers, tmp_path):
    env = {
        **os.environ,
        **in_workers(
            f"open(os.path.join(r'{tmp_path}', f'{{os.getpid()}}.pid'), 'w').close(); "
            'time.sleep(600)'
        ),
    }
    jobs = [
        subprocess.Popen(
            ['sh', 'tools/dist_train.sh', 'job', CONFIG, '2'],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        for _ in range(2)
    ]
    deadline = time.time() + 60
    while len(list(tmp_path.glob('*.pid'))) < 4 and time.time() < deadline:
        time.sleep(0.1)
    workers = [int(path.stem) for path in tmp_path.glob('*.pid')]
    assert len(workers) == 4
    for job, number in zip(jobs, (signal.SIGINT, signal.SIGTERM)):
        job.send_signal(number)
    for job, status in zip(jobs, (130, 143)):
        words = job.communicate(timeout=30)[1]
        assert job.returncode == status and 'SignalException' not in words, words[-2000:]
    assert not [pid for pid in workers if os.path.exists(f'/proc/{pid}')]


def start_training(config, work_dir, *args):
    """A training of two processes that has begun, and their process ids."""
    command = ['sh', 'tools/dist_train.sh', config, '2', '--work-dir', str(work_dir)]
    command += ['--no-validate', '--checkpoint-minutes', '1e-6', *args]
    command += ['--cfg-options', 'runner.max_epochs=1000', 'data.workers_per_gpu=1']
    env = {**os.environ, 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'}
    job = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=env)
    deadline = time.time() + 120
    while not list(work_dir.glob('*_iter_*.pth')) and time.time() < deadline:
        time.sleep(0.1)
    return job, children(job.pid)


def children(pid):
    """Process ids of the children of a process."""
    text = Path(f'/proc/{pid}/task/{pid}/children').read_text()
    return [int(child) for child in text.split()]


def listening(pid):
    """Addresses, in hexadecimal, that a process listens on."""
    links = [os.readlink(path) for path in Path(f'/proc/{pid}/fd').iterdir() if path.is_symlink()]
    addresses = []
    for kind in ('tcp', 'tcp6'):
        for line in Path(f'/proc/{pid}/net/{kind}').read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == '0A' and f'socket:[{fields[9]}]' in links:
                addresses.append(fields[1].split(':')[0])
    return addresses


def test_nothing_is_open_to_others_and_nothing_outlives_a_killed_launcher(tiny_config, tmp_path):
    job, workers = start_training(tiny_config, tmp_path)
    deadline, loaders = time.time() + 30, []
    while len(loaders) < 2 and time.time() < deadline:  # they come anew with each short epoch
        loaders = [child for worker in workers for child in children(worker)]
    assert len(workers) == 2 and len(loaders) == 2
    addresses = [address for pid in (job.pid, *workers) for address in listening(pid)]
    assert addresses and set(addresses) <= {'0100007F'}  # 127.0.0.1
    job.kill()
    deadline = time.time() + 5
    while any(os.path.exists(f'/proc/{pid}') for pid in (*workers, *loaders)):
        assert time.time() < deadline
        time.sleep(0.1)


def test_a_process_that_does_not_answer(tiny_config, tmp_path):
    job, workers = start_training(tiny_config, tmp_path, '--timeout-minutes', '0.05')
    os.kill(workers[1], signal.SIGSTOP)
    words = job.communicate(timeout=60)[1]
    assert job.returncode == 1 and 'Traceback' not in words, words[-3000:]
    assert 'error: process 0 has lost the others' in words.splitlines()[-1]
    assert not any(os.path.exists(f'/proc/{pid}') for pid in workers)


@pytest.mark.parametrize(
    'script, args, message',
    [
        ('dist_train', [CONFIG], ''),
        (
            'dist_train',
            ['job', CONFIG, '--work-dir'],
            "GPUS must be a positive number, got '--work-dir'",
        ),
        ('dist_test', [CONFIG, 'model.pth'], ''),
        ('dist_test', [CONFIG, 'model.pth', '0'], "GPUS must be a positive number, got '0'"),
        ('dist_step_test', [CONFIG], ''),
        ('dist_step_test', [CONFIG, 'model.pth', 'x8'], "got 'x8'"),
        ('slurm_train', ['gpu', 'job', CONFIG], ''),
        ('slurm_train', ['gpu', 'job', CONFIG, '--no-validate'], 'WORK_DIR is missing'),
        ('slurm_test', ['gpu', 'job', CONFIG], ''),
    ],
)
def test_wrong_arguments(script, args, message):
    done = launch(script, *args)
    assert (
        done.returncode == 2
        and message in done.stderr.splitlines()[-1]
        and f'sh tools/{script}.sh' in done.stderr
        and 'set -eu' not in done.stderr
    )


@pytest.mark.parametrize(
    'script, args, message',
    [
        ('dist_train', ['job', 'none.py', '2', 'work'], 'config none.py does not exist'),
        ('dist_test', [CONFIG, 'none.pth', '2'], 'checkpoint none.pth does not exist'),
        ('dist_step_test', [CONFIG, 'none.pth'], 'checkpoint none.pth does not exist'),
        ('dist_step_test', [CONFIG, 'configs'], 'configs holds no .pth file; name a'),
        ('slurm_train', ['gpu', 'job', 'none.py', 'work'], 'config none.py does not exist'),
        ('slurm_test', ['gpu', 'job', CONFIG, 'none.pth'], 'checkpoint none.pth does not exist'),
    ],
)
def test_missing_files_are_found_before_anything_starts(script, args, message):
    done = launch(script, *args)
    assert done.returncode == 1 and done.stderr.startswith(f'error: {message}') and not done.stdout


def test_interpreter_without_torch():
    done = run('sh', 'tools/dist_train.sh', CONFIG, 1, PYTHON='no-such-python')
    assert done.returncode == 1 and done.stderr.startswith(
        'error: no-such-python has no torch or no knet; run '
    )
