"""Shared by the tests of the command lines: call one in this process."""

import importlib.util

import pytest

from knet.commands import PROGRAMS, call
from tests.conftest import ROOT


@pytest.fixture
def load_tool():
    """Module of tools/<name>.py."""

    def load(name):
        spec = importlib.util.spec_from_file_location(
            name.replace('/', '_'), ROOT / 'tools' / f'{name}.py'
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def tool(load_tool, capsys):
    """Call the program of tools/<name>.py with arguments; gives what it printed on stdout."""

    def run(name, *args):
        arguments = [str(arg) for arg in args]
        if name in PROGRAMS:
            call(name, arguments)
        else:
            load_tool(name).main(arguments)
        return capsys.readouterr().out

    return run
