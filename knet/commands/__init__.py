"""The programs: what their command lines can say (`options`), and a module each that does it, with
a function `run`. The files in tools/ start them, and so does `video-knet`, which `pip install` puts
on the PATH.

Options are read before anything heavy is imported: help, mistyped options and mistyped paths of
configs and checkpoints answer at once.
"""

import argparse
import contextlib
import difflib
import importlib
import logging
import os
import re
import warnings
from pathlib import Path
from typing import Optional, Sequence

from knet import __version__
from knet.commands.options import PROGRAMS, SUBCOMMANDS, Program
from knet.errors import InputError, report_input_errors
from knet.files import find_config
from knet.parallel import keep_freed_memory

FILES = dict(
    config='config',
    checkpoint='checkpoint',
    load_from='checkpoint',
    resume_from='checkpoint',
    input='video',
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
    perform(PROGRAMS[name], PROGRAMS[name].parser().parse_args(arguments))


def perform(program: Program, args: argparse.Namespace) -> None:
    """Do what the options of a program say; raises as `call`."""
    if hasattr(args, 'config'):
        args.config = find_config(args.config)
    for option, what in FILES.items():
        path = getattr(args, option, None)
        if not path or Path(path).exists():
            continue
        # latest.pth stands for the newest checkpoint of its folder where there is no such link;
        # videos may be cameras and addresses
        if Path(path).name != 'latest.pth' and not re.fullmatch(r'\d+|\w+://.*', path):
            raise InputError(f'{what} {path} does not exist{_similar(path)}')
    # mmcv's announcement of its next version, mmdet's of threads, torch's of CUDA without a GPU
    warnings.filterwarnings('ignore', 'On January 1|Setting (OMP|MKL)_NUM_THREADS', UserWarning)
    logging.getLogger('torch.utils.cpp_extension').setLevel(logging.ERROR)
    if program.module != 'train':  # which has the memory of a batch to lose by it
        keep_freed_memory()
    importlib.import_module(f'knet.commands.{program.module}').run(args)


def _similar(path: str) -> str:
    """The end of a message: a file beside `path` that may have been meant."""
    folder, name = os.path.split(path)
    names = []
    with contextlib.suppress(OSError):  # no such folder, or no right to list it
        names = os.listdir(folder or '.')
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return f'; did you mean {os.path.join(folder, close[0])}?' if close else ''


def main(name: str) -> None:
    """The program of a process: `call`, with errors of the user as one line on stderr."""
    with report_input_errors():
        call(name)


def video_knet(arguments: Optional[Sequence[str]] = None) -> None:
    """The program `video-knet`: the first word of the command line names one of `SUBCOMMANDS`."""
    parser = argparse.ArgumentParser(
        prog='video-knet', description='Video panoptic segmentation with Video K-Net'
    )
    parser.add_argument('--version', action='version', version=f'video-knet {__version__}')
    commands = parser.add_subparsers(metavar='COMMAND', dest='command', required=True)
    for name, program in SUBCOMMANDS.items():
        program.add_options(
            commands.add_parser(name, help=program.description, description=program.description)
        )
    args = parser.parse_args(arguments)
    with report_input_errors():
        perform(SUBCOMMANDS[args.command], args)
