"""tools/misc/check_environment.py."""

import shutil
import sys
from types import SimpleNamespace

import pytest
import torch

from knet.commands import call
from knet.commands.check_environment import has_kernels
from tests.conftest import assert_one_line_error, run

PINNED = ['sm_70', 'sm_75', 'sm_80', 'sm_86', 'sm_90', 'sm_100', 'sm_120']  # torch 2.10.0


@pytest.mark.parametrize(
    'capability, architectures, works',
    [
        ((7, 0), PINNED, True),  # V100
        ((7, 0), ['sm_75', 'sm_80', 'sm_90'], False),
        ((8, 9), PINNED, True),  # code of sm_86 runs on sm_89
        ((8, 6), ['sm_70', 'sm_89', 'sm_90'], False),  # but not the other way round
        ((10, 0), PINNED, True),
        ((12, 0), ['sm_90a', 'compute_90'], True),  # compiled when it is needed
        ((12, 0), ['sm_90', 'sm_100'], False),
        ((9, 0), [], False),
    ],
)
def test_kernels_for_a_gpu(capability, architectures, works):
    assert has_kernels(capability, architectures) is works


@pytest.fixture
def machine(monkeypatch, capsys):
    """Run the program on a machine with an empty disk and no NVIDIA driver; gives its status and
    what it printed."""
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: SimpleNamespace(free=50e9))
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)

    def check():
        try:
            call('misc/check_environment', [])
            status = 0
        except SystemExit as end:
            status = end.code
        return status, capsys.readouterr().out

    return check


def test_complete_environment(machine):
    status, out = machine()
    assert status == 0, out
    assert torch.__version__.split('+')[0] in out and 'mmcv.ops:' in out and 'ffmpeg:' in out
    assert out.splitlines()[-1] == 'everything is there'


def test_missing_operators_of_mmcv_are_said(machine, monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv.ops', raising=False)
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)
    for name in [name for name in sys.modules if name.startswith('mmcv.ops.')]:
        monkeypatch.delitem(sys.modules, name)
    status, out = machine()
    assert (
        status == 1
        and 'problem: mmcv.ops cannot be imported' in out
        and 'built against the installed torch' in out
    )


def test_full_disk_and_driver_without_usable_gpu(machine, monkeypatch):
    monkeypatch.setattr(shutil, 'which', lambda name: name)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(
        torch.cuda, 'device_count', lambda: 8
    )  # as NVML says even where CUDA cannot start
    monkeypatch.setattr(shutil, 'disk_usage', lambda folder: SimpleNamespace(free=1e9))
    status, out = machine()
    assert status == 1 and '1.0 GB of free disk' in out and 'driver may be older' in out


class V100:
    """What torch says of a GPU."""

    name, major, minor, total_memory = 'Tesla V100-SXM2-16GB', 7, 0, 16 << 30


def test_gpu_without_kernels_is_said(machine, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda index: V100)
    monkeypatch.setattr(torch.cuda, 'get_arch_list', lambda: ['sm_75', 'sm_80'])
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    status, out = machine()
    assert status == 1 and 'NO kernels for it' in out
    assert (
        'has no kernels for GPU 0 (Tesla V100-SXM2-16GB, sm_70; it was built for sm_75 sm_80)'
        in out
    )


def test_bare_interpreter_gets_a_report_and_no_traceback(tmp_path):
    """The packages of the environment are hidden; its standard library alone must do."""
    done = run(sys.executable, '-I', '-S', 'tools/misc/check_environment.py', tmp_path)
    assert done.returncode == 1 and done.stderr == ''
    assert 'problem: not installed: torch, torchvision, mmcv-full' in done.stdout
    assert done.stdout.splitlines()[-1].endswith(('problem', 'problems'))


def test_missing_folder(tmp_path):
    done = run(sys.executable, 'tools/misc/check_environment.py', tmp_path / 'none')
    assert_one_line_error(done, f'{tmp_path / "none"} is no folder')
