"""The programs answer questions and mistyped options before they import what takes seconds."""

import subprocess
import sys

import pytest

from knet.commands.options import PROGRAMS
from tests.conftest import ROOT, run_tool

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
    assert done.stderr.strip() == f'error: {missing} does not exist'
