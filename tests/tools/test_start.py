"""The programs answer questions and mistyped options before they import what takes seconds."""

import subprocess
import sys

import pytest

from knet.commands.options import PROGRAMS
from tests.conftest import ROOT, assert_one_line_error, run, run_tool

HEAVY = ('torch', 'mmcv', 'mmdet', 'cv2', 'scipy', 'matplotlib')


@pytest.mark.parametrize('name', PROGRAMS)
def test_options_come_before_heavy_imports(name):
    code = (
        'import runpy, sys\n'
        'try:\n'
        f'    runpy.run_path("tools/{name}.py", run_name="__main__")\n'
        'finally:\n'
        f'    print(sorted(set({HEAVY}) & set(sys.modules)))\n'
    )
    for option, status in (('--help', 0), ('--mistyped', 2)):
        command = [sys.executable, '-c', code, option]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == status and done.stdout.endswith('[]\n'), done.stderr
        assert 'usage: ' in done.stdout + done.stderr


def test_settings_are_checked_too():
    done = run_tool('train', 'config.py', '--cfg-options', 'runner.max_epochs')
    assert done.returncode == 2
    assert "--cfg-options: must be KEY=VALUE, got 'runner.max_epochs'" in done.stderr


@pytest.mark.parametrize(
    'name, args, missing',
    [
        ('train', ['none.py'], 'config none.py'),
        ('train', ['setup.py', '--load-from', 'none.pth'], 'checkpoint none.pth'),
        ('test', ['setup.py', 'none.pth'], 'checkpoint none.pth'),
        ('video_demo', ['setup.py', 'setup.py', 'none.mp4', '--out', 'none'], 'video none.mp4'),
        ('video_demo', ['none.py', 'none.pth', 'none.mp4', '--out', 'none'], 'config none.py'),
    ],
)
def test_named_files_are_looked_for_before_heavy_imports(name, args, missing):
    code = (
        'import sys\n'
        'from knet.commands import main\n'
        'try:\n'
        f'    main({name!r})\n'
        'finally:\n'
        f'    print(sorted(set({HEAVY}) & set(sys.modules)))\n'
    )
    command = [sys.executable, '-c', code, *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == '[]\n', done.stderr
    assert done.stderr.strip().split(';')[0] == f'error: {missing} does not exist'


def test_a_mistyped_path_is_answered_with_a_like_one():
    done = run_tool('train', 'configs/det/toy_step/video_knet_s3_r18_toystep.py')
    path = 'configs/det/toy_step/video_knet_s3_r18_toy_step.py'
    assert_one_line_error(done, f'does not exist; did you mean {path}?')


def test_output_that_nobody_reads_is_no_fault(toy_results):
    results, root = toy_results
    script = f'{sys.executable} tools/eval_dvpq_step.py {results} {root} | head -1'
    done = run('sh', '-c', script)
    assert done.stderr == '' and done.stdout.count('\n') == 1
