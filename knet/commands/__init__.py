"""The programs: what their command lines can say (`options`), and a module each that does it, with
a function `run`. The files in tools/ start them.

Options are read before anything heavy is imported: help, mistyped options and mistyped paths of
configs and checkpoints answer at once.
"""

import importlib
from pathlib import Path
from typing import Optional, Sequence

from knet.commands.options import PROGRAMS
from knet.errors import InputError, report_input_errors
from knet.parallel import keep_freed_memory

FILES = dict(
    config='config', checkpoint='checkpoint', load_from='checkpoint', resume_from='checkpoint'
)
"""Options that name a file that must be there, and what it is."""


def call(name: str, arguments: Optional[Sequence[str]] = None) -> None:
    """Do what a command line says.

    Args:
        name: Of the program, one of `PROGRAMS`.
        arguments: The command line; None takes that of the process.

    Raises:
        InputError: it cannot be done.
        SystemExit: the options are wrong (status 2), or the program has ended early.
    """
    args = PROGRAMS[name].parser().parse_args(arguments)
    for option, what in FILES.items():
        path = getattr(args, option, None)
        # latest.pth stands for the newest checkpoint of its folder where there is no such link
        if path and not Path(path).exists() and Path(path).name != 'latest.pth':
            raise InputError(f'{what} {path} does not exist')
    if name != 'train':  # which has the memory of a batch to lose by it
        keep_freed_memory()
    importlib.import_module(f'knet.commands.{PROGRAMS[name].module}').run(args)


def main(name: str) -> None:
    """The program of a process: `call`, with errors of the user as one line on stderr."""
    with report_input_errors():
        call(name)
