"""Write one page that shows what is wrong with predictions: figures, what became of every object,
the most expensive mistakes with their frames; of two runs also what changed:
see tools/report.py."""

import argparse
from pathlib import Path
from typing import List, Optional, Sequence

from knet.errors import InputError
from knet.evaluation import analyze_folders
from knet.evaluation.folders import find_home, find_protocol
from knet.files import read_mark
from knet.report import Run, write_report


def name_runs(paths: Sequence[Path], names: Optional[Sequence[str]]) -> List[str]:
    """Names of the runs: those given, else the parts of their paths that tell them apart.

    Raises:
        InputError: another number of names than of runs, or two that are equal.
    """
    if names is not None:
        if len(names) != len(paths) or len(set(names)) < len(names):
            raise InputError(f'--names: {len(paths)} different names are needed, got {list(names)}')
        return list(names)
    if len(paths) == 1:
        folder = paths[0].resolve()
        return [folder.parent.name if folder.name == 'results' else folder.name]
    parts = [path.resolve().parts for path in paths]
    found = ['/'.join(p for p in own if p not in other) for own, other in zip(parts, parts[::-1])]
    return found if all(found) and found[0] != found[1] else ['A', 'B']


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    if args.out.suffix.lower() not in ('.html', '.htm') or args.out.is_dir():
        raise InputError(f'--out {args.out}: give the path of a file that ends in .html')
    paths = [args.result_path, *([args.other_path] if args.other_path else [])]
    protocol = find_protocol(args.result_path, args.protocol)
    runs = []
    for path, name in zip(paths, name_runs(paths, args.names)):
        analysis = analyze_folders(
            path,
            args.gt_path,
            find_protocol(path, args.protocol, default=protocol),
            nproc=args.nproc,
            split=args.split,
            sequences=args.sequences,
        )
        runs.append(Run(name, path, analysis, read_mark(find_home(path))))
    title = args.title or f'{args.gt_path.resolve().name}: video panoptic segmentation'
    folder = write_report(runs, args.out, title, args.embed, args.width, args.nproc)
    print(f'report: {args.out} (open it in a browser)')
    if folder is not None:
        print(f'its pictures: {folder} (keep it beside the page, or use --embed)')
