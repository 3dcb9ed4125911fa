"""The command line that `tools/eval_dstq_step.py` and `tools/eval_dvpq_step.py` share."""

import argparse
import os
from pathlib import Path
from typing import Optional, Sequence

from knet.errors import InputError
from knet.evaluation.depth import DepthOptions
from knet.evaluation.evaluate import evaluate_folders
from knet.evaluation.protocol import PROTOCOLS
from knet.evaluation.report import format_table, write_json
from knet.options import at_least


def build_parser(description: str) -> argparse.ArgumentParser:
    """The options of both tools."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        'result_path',
        type=Path,
        help='folder that holds panoptic/ (and depth/), or panoptic/ itself',
    )
    parser.add_argument(
        'gt_path',
        type=Path,
        help='data root, holding video_sequence/<split>, or the folder of the split itself',
    )
    add_rule_options(parser)
    parser.add_argument(
        '--window-size',
        type=at_least(1),
        nargs='+',
        default=[1, 2, 3, 4],
        metavar='K',
        help='frames per window of VPQ (default: 1 2 3 4)',
    )
    parser.add_argument('--depth', action='store_true', help='evaluate depth too: DSTQ and DVPQ')
    parser.add_argument(
        '--depth-threshold',
        type=_positive,
        nargs='+',
        default=[1.25],
        metavar='T',
        help='factors up to which DSTQ takes a depth as right (default: 1.25)',
    )
    parser.add_argument(
        '--depth-lambda',
        type=_positive,
        nargs='+',
        default=[0.5, 0.25, 0.1],
        metavar='L',
        help='relative depth errors above which DVPQ drops a pixel (default: 0.5 0.25 0.1)',
    )
    parser.add_argument(
        '--coverage', type=Path, metavar='DIR', help='camera coverage maps: weighted STQ'
    )
    parser.add_argument(
        '--tracked',
        type=Path,
        metavar='DIR',
        help='masks: ground truth where they are 0 loses its instance id',
    )
    parser.add_argument(
        '--nproc',
        type=at_least(1),
        default=1,
        metavar='N',
        help='cores to use (default: 1); the numbers do not depend on it',
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write all numbers, STQ and VPQ, as JSON'
    )
    parser.add_argument('--plot', type=Path, metavar='DIR', help='write plots')
    return parser


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """Which frames count, by which rules."""
    parser.add_argument(
        '--protocol',
        choices=tuple(PROTOCOLS),
        help="step (default): the benchmark's own rules; video-knet: those of Video K-Net's "
        'published tables; waymo: the 29 native Waymo classes. Results that tools/test.py wrote '
        'for a data set with other classes bring their own rules',
    )
    parser.add_argument('--split', default='val', help='split of a data root (default: val)')


def add_look_options(parser: argparse.ArgumentParser) -> None:
    """The options of what looks at mistakes: rules, sequences, threads."""
    add_rule_options(parser)
    parser.add_argument(
        '--sequences', type=int, nargs='+', default=(), metavar='N', help='look at these only'
    )
    parser.add_argument(
        '--nproc',
        type=at_least(1),
        default=min(8, os.cpu_count() or 1),
        metavar='N',
        help='threads, each of which holds some frames (default: one for each core, up to 8)',
    )


def run(description: str, metric: str, arguments: Optional[Sequence[str]] = None) -> str:
    """Evaluate as the command line says and write what was asked for.

    Args:
        description: What the tool does, for --help.
        metric: 'stq' or 'vpq'.
        arguments: The command line; None takes that of the process.

    Returns:
        the tables of the metric.

    Raises:
        InputError: the input cannot be evaluated or the output not be written.
    """
    args = build_parser(description).parse_args(arguments)
    for path, is_folder in ((args.json, False), (args.plot, True)):
        if path is not None:
            _check_output(path, is_folder)
    depth = (
        DepthOptions(tuple(args.depth_lambda), tuple(args.depth_threshold)) if args.depth else False
    )
    result = evaluate_folders(
        args.result_path,
        args.gt_path,
        args.protocol,
        args.window_size,
        args.nproc,
        depth,
        args.split,
        args.coverage,
        args.tracked,
    )
    if args.json is not None:
        write_json(result, args.json)
    if args.plot is not None:
        # matplotlib takes as long to load as fifty frames to evaluate.
        from knet.evaluation.plots import write_plots

        write_plots(result, args.plot)
    return format_table(result, (metric,))


def _check_output(path: Path, is_folder: bool) -> None:
    """Raise an InputError now if `path` could not be written after the evaluation."""
    if path.exists() and path.is_dir() != is_folder:
        kinds = ('file', 'folder') if is_folder else ('folder', 'file')
        raise InputError(f'{path} is a {kinds[0]}; give the path of a {kinds[1]}')
    there = path if path.is_dir() else path.parent
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f'cannot write {path}: {there} is not a writable folder')


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return number
