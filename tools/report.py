"""Write one page that shows what is wrong with predictions: figures, what became of every object,
the most expensive mistakes with their frames; of two runs also what changed.

    python tools/report.py RESULT GT [RESULT2] --out report.html
"""

import argparse
from pathlib import Path
from typing import List, Optional, Sequence

from knet.errors import InputError, report_input_errors
from knet.evaluation import analyze_folders
from knet.evaluation.cli import add_look_options
from knet.evaluation.folders import find_home, find_protocol
from knet.files import read_mark
from knet.options import at_least
from knet.report import Run, write_report


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(
        description='Write a page that shows what is wrong with predictions'
    )
    parser.add_argument('result_path', type=Path, metavar='RESULT', help='folder with panoptic/')
    parser.add_argument(
        'gt_path',
        type=Path,
        metavar='GT',
        help='data root, holding video_sequence/<split>, or the folder of the split itself',
    )
    parser.add_argument(
        'other_path', type=Path, nargs='?', metavar='RESULT2', help='another run to compare with'
    )
    parser.add_argument('--out', type=Path, default=Path('report.html'), help='the page (.html)')
    parser.add_argument('--title', help='of the page (default: the folder of the data)')
    parser.add_argument(
        '--names', nargs='+', metavar='NAME', help='of the runs (default: their folders)'
    )
    parser.add_argument(
        '--embed',
        action=argparse.BooleanOptionalAction,
        help='put the pictures into the page, or into a folder beside it (default: into the page '
        'for up to 400 frames)',
    )
    parser.add_argument(
        '--width',
        type=at_least(64, 4096),
        default=560,
        metavar='PIXELS',
        help='of the pictures (default: 560)',
    )
    add_look_options(parser)
    return parser.parse_args(arguments)


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


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Write the page."""
    args = parse_args(arguments)
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


if __name__ == '__main__':
    with report_input_errors():
        main()
