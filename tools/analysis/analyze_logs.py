"""Draw the curves of training logs, and say how long an iteration takes.

    python tools/analysis/analyze_logs.py LOG.json [LOG.json ...] --keys loss STQ --out curves.png

Keys are those of the log: losses of training, and figures of validation (STQ, AQ, SQ, VPQ). Keys of
one kind share a panel; each log has its line style.
"""

import argparse
import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure
from terminaltables import AsciiTable

from knet.errors import InputError, report_input_errors
from knet.files import whole_file

LINE_STYLES = ('-', '--', ':', '-.')
NOT_DRAWN = {'mode', 'epoch', 'iter'}


class Log(NamedTuple):
    """Rows of a log, of training and of validation; each row has `epoch`, `iter` and figures."""

    name: str
    train: List[Dict]
    val: List[Dict]


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(
        description='Draw curves of training logs; print iteration times'
    )
    parser.add_argument(
        'logs', nargs='+', type=Path, metavar='LOG.json', help='*.log.json of a work dir'
    )
    parser.add_argument('--keys', nargs='+', default=['loss'], help='what to draw (default: loss)')
    parser.add_argument(
        '--out',
        type=Path,
        metavar='PICTURE',
        help='write the curves into this file: .png, .pdf or .svg',
    )
    return parser.parse_args(arguments)


def read_log(path: Path) -> Log:
    """Read a log as mmcv's TextLoggerHook writes it.

    Raises:
        InputError: it cannot be read, or holds no iterations.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f'log {path} cannot be read: {error}') from None
    rows: Dict[str, List[Dict]] = dict(train=[], val=[])
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if 'mode' in row:  # the first line tells of the run
                rows[row['mode']].append(
                    {**row, 'epoch': int(row['epoch']), 'iter': int(row['iter'])}
                )
        except (ValueError, KeyError, TypeError):
            if number == len(lines) and not line.endswith('\n'):
                break  # the run that writes it is in the middle of a line, or was killed there
            raise InputError(
                f'log {path}, line {number} is not of a log.json of mmcv: {line.strip()[:80]}'
            ) from None
    if not rows['train']:
        raise InputError(f'log {path} holds no iterations of training')
    return Log(str(path), rows['train'], rows['val'])


def curve(log: Log, key: str) -> Tuple[np.ndarray, np.ndarray]:
    """Epochs (fractions in training) and values of a key, both (n,) float.

    Raises:
        InputError: the log has no such key.
    """
    for rows in (log.train, log.val):
        if any(key in row for row in rows):
            length = max(row['iter'] for row in log.train)
            return np.array(
                [
                    (
                        row['epoch'] - 1 + row['iter'] / length
                        if rows is log.train
                        else row['epoch'],
                        row[key],
                    )
                    for row in rows
                    if key in row
                ],
                float,
            ).T
    known = sorted({name for row in log.train + log.val for name in row} - NOT_DRAWN)
    raise InputError(f'log {log.name} has no key {key!r}; it has {", ".join(known)}')


def draw_curves(logs: Sequence[Log], keys: Sequence[str]) -> Figure:
    """Figure with a panel for the keys of training and one for those of validation, where there are
    any."""
    of_training = [key for key in keys if any(key in row for log in logs for row in log.train)]
    panels = [
        names for names in (of_training, [key for key in keys if key not in of_training]) if names
    ]
    figure = Figure(figsize=(8, 4.5 * len(panels)), layout='constrained')
    for axes, names in zip(np.atleast_1d(figure.subplots(len(panels))), panels):
        for i, key in enumerate(names):
            for j, log in enumerate(logs):
                epochs, values = curve(log, key)
                axes.plot(
                    epochs,
                    values,
                    LINE_STYLES[j % len(LINE_STYLES)],
                    color=f'C{i % 10}',
                    marker='o' if len(values) < 40 else None,
                    markersize=3,
                    label=key if len(logs) == 1 else f'{key}, {log.name}',
                )
        axes.set_xlabel('epoch')
        axes.grid(alpha=0.3)
        axes.legend(fontsize='small')
    return figure


def time_table(logs: Sequence[Log]) -> str:
    """Seconds per iteration: mean, minimum and maximum of all logged ones, means of the fastest and
    of the slowest epoch."""
    rows = [['log', 'logged', 'mean (s)', 'min (s)', 'max (s)', 'fastest epoch', 'slowest epoch']]
    for log in logs:
        times = {
            epoch: np.array(
                [row['time'] for row in log.train if row['epoch'] == epoch and 'time' in row]
            )
            for epoch in sorted({row['epoch'] for row in log.train if 'time' in row})
        }
        if not times:
            raise InputError(f'log {log.name} has no times of iterations')
        every = np.concatenate(list(times.values()))
        means = {epoch: values.mean() for epoch, values in times.items()}
        ends = [
            f'{epoch}: {means[epoch]:.3f}'
            for epoch in (min(means, key=means.get), max(means, key=means.get))
        ]
        rows.append(
            [
                log.name,
                str(len(every)),
                *(f'{value:.3f}' for value in (every.mean(), every.min(), every.max())),
                *ends,
            ]
        )
    return AsciiTable(rows).table


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Print the times and write the picture."""
    args = parse_args(arguments)
    logs = [read_log(path) for path in args.logs]
    figure = draw_curves(logs, args.keys)
    print(time_table(logs))
    if args.out:
        kinds = figure.canvas.get_supported_filetypes()
        kind = args.out.suffix[1:].lower()
        if kind not in kinds:
            raise InputError(
                f'--out {args.out}: the name must end in one of .{", .".join(sorted(kinds))}'
            )
        with whole_file(args.out) as partial:
            figure.savefig(partial, format=kind, dpi=150)
        print(f'curves: {args.out}')


if __name__ == '__main__':
    with report_input_errors():
        main()
