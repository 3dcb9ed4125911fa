"""The lock that the set-up installs and the ranges that setup.py asks for fit together."""

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def requirements(path):
    lines = (line.strip() for line in (ROOT / path).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith('#')]


@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12', '3.13'])
def test_lock_pins_what_setup_asks_for(python):
    machine = dict(
        python_version=python,
        python_full_version=f'{python}.1',
        sys_platform='linux',
        platform_machine='x86_64',
    )
    pins = {}
    for pin in requirements('requirements/lock.txt'):
        if pin.marker is None or pin.marker.evaluate(machine):
            name = canonicalize_name(pin.name)
            assert name not in pins, f'{name} is there twice'
            (pins[name],) = (specifier.version for specifier in pin.specifier)
    assert pins['torch'] == '2.10.0', (
        'its wheels have kernels for V100 (sm_70) to B200; look at torch.cuda.get_arch_list() of '
        'another'
    )
    for asked in requirements('requirements.txt'):
        assert asked.specifier.contains(pins[canonicalize_name(asked.name)]), asked


def test_ranges_leave_room():
    """`pip install .` must not replace the torch of the environment that it is installed into."""
    exact = [
        str(asked) for asked in requirements('requirements.txt') if '==' in str(asked.specifier)
    ]
    assert exact == []
