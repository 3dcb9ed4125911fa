"""STQ or VPQ of predictions on disk, with depth DSTQ or DVPQ: see tools/eval_dstq_step.py and
tools/eval_dvpq_step.py."""

import argparse
import os
from pathlib import Path

from knet.errors import InputError
from knet.evaluation.depth import DepthOptions
from knet.evaluation.evaluate import evaluate_folders
from knet.evaluation.report import format_table, write_json


def run(args: argparse.Namespace) -> None:
    """Evaluate as the options say, write what was asked for and print the tables.

    Raises:
        InputError: the input cannot be evaluated or the output not be written.
    """
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
    print(format_table(result, (args.metric,)))


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
