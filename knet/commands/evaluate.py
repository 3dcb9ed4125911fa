"""STQ and VPQ of predictions on disk, with depth DSTQ and DVPQ: see tools/eval_dstq_step.py and
tools/eval_dvpq_step.py."""

import argparse
import contextlib
import os
import tempfile
from pathlib import Path
from typing import Iterator, Optional

from knet.errors import InputError
from knet.evaluation.depth import DepthOptions
from knet.evaluation.evaluate import evaluate_folders
from knet.evaluation.protocol import get_protocol
from knet.evaluation.report import format_table, write_json


def run(args: argparse.Namespace) -> None:
    """Evaluate as the options say, write what was asked for and print the tables.

    Raises:
        InputError: the input cannot be evaluated or the output not be written.
    """
    for path, is_folder in ((args.json, False), (args.plot, True)):
        if path is not None:
            _check_output(path, is_folder)
    given = dict(lambdas=args.depth_lambda, thresholds=args.depth_threshold)
    given = {name: tuple(values) for name, values in given.items() if values is not None}
    if given and not args.depth:
        option = '--depth-lambda' if 'lambdas' in given else '--depth-threshold'
        raise InputError(f'{option}: only with --depth')
    depth = DepthOptions(**given) if args.depth else False
    with as_folders(args.result_path, args.protocol) as result_path:
        result = evaluate_folders(
            result_path,
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
    print(format_table(result, args.metrics))


@contextlib.contextmanager
def as_folders(result_path: Path, protocol: Optional[str]) -> Iterator[Path]:
    """A folder of results as `knet.evaluation` reads them: what the published test of
    PolyphonicFormer writes is converted for the block."""
    # names as in `knet.commands.torch_results`, which needs torch
    files = result_path.glob('[0-9]*_[0-9]*.pth') if result_path.is_dir() else iter(())
    if (result_path / 'panoptic').is_dir() or next(files, None) is None:
        yield result_path
        return
    if protocol is None:
        raise InputError(
            f'{result_path} holds torch files, which do not say of which classes; add --protocol '
            'cityscapes-dvps or semkitti-dvps'
        )
    from knet.commands.torch_results import convert_torch_results

    with tempfile.TemporaryDirectory() as folder:
        convert_torch_results(result_path, Path(folder), get_protocol(protocol).label_space)
        try:
            yield Path(folder)
        except InputError as error:  # the user knows nothing of the copy
            raise InputError(str(error).replace(folder, str(result_path))) from None


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
