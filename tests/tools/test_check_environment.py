"""tools/misc/check_environment.py."""
import shutil
import sys

import pytest
import torch

from tests.conftest import ROOT, run

PINNED = ['sm_70', 'sm_75', 'sm_80', 'sm_86', 'sm_90', 'sm_100', 'sm_120']  # torch 2.10.0


@pytest.mark.parametrize('capability, architectures, works', [
    ((7, 0), PINNED, True),  # V100
    ((7, 0), ['sm_75', 'sm_80', 'sm_90'], False),
    ((8, 9), PINNED, True),  # code of sm_86 runs on sm_89
    ((8, 6), ['sm_70', 'sm_89', 'sm_90'], False),  # but not the other way round
    ((10, 0), PINNED, True),
    ((12, 0), ['sm_90a', 'compute_90'], True),  # compiled when it is needed
    ((12, 0), ['sm_90', 'sm_100'], False),
    ((9, 0), [], False)])
def test_kernels_for_a_gpu(load_tool, capability, architectures, works):
    assert load_tool('misc/check_environment').has_kernels(capability, architectures) is works


def test_complete_environment():
    done = run(sys.executable, 'tools/misc/check_environment.py')
    assert done.returncode == 0, done.stdout
    assert torch.__version__.split('+')[0] in done.stdout and 'mmcv.ops:' in done.stdout and 'ffmpeg:' in done.stdout
    assert done.stdout.splitlines()[-1] == 'everything is there'


class V100:
    """What torch says of a GPU."""
    name, major, minor, total_memory = 'Tesla V100-SXM2-16GB', 7, 0, 16 << 30


def test_gpu_without_kernels_is_said(load_tool, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda index: V100)
    monkeypatch.setattr(torch.cuda, 'get_arch_list', lambda: ['sm_75', 'sm_80'])
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    assert load_tool('misc/check_environment').main([]) == 1
    out = capsys.readouterr().out
    assert 'NO kernels for it' in out and 'has no kernels for GPU 0 (Tesla V100-SXM2-16GB, sm_70; it was built for sm_75 sm_80)' in out


def test_bare_interpreter_gets_a_report_and_no_traceback(tmp_path):
    """The packages of the environment are hidden; its standard library alone must do."""
    script = shutil.copy(ROOT / 'tools/misc/check_environment.py', tmp_path)
    done = run(sys.executable, '-I', '-S', script, tmp_path)
    assert done.returncode == 1 and done.stderr == ''
    assert 'problem: not installed: torch, torchvision, mmcv-full' in done.stdout
    assert 'sh tools/setup_env.sh' in done.stdout.splitlines()[-2] and done.stdout.splitlines()[-1].endswith('problems')


def test_missing_folder(tmp_path):
    done = run(sys.executable, 'tools/misc/check_environment.py', tmp_path / 'none')
    assert done.returncode == 1 and done.stderr == f'error: {tmp_path / "none"} is no folder\n'
