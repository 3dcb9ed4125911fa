"""Draw the curves of training logs, and say how long an iteration takes.

    python tools/analysis/analyze_logs.py LOG [LOG ...] --keys loss STQ --out curves.png
    python tools/analysis/analyze_logs.py work_dirs/seed_* --mean --keys loss STQ --out curves.png

A LOG is the work dir of a run, or a *.log.json in it. A run that was resumed has several: what a
later one repeats takes the place of what an earlier one says. Keys are those of the log: losses of
training, and figures of validation (STQ, AQ, SQ, VPQ). Keys of one kind share a panel; each run has
its line style.

--mean takes runs of one config (with other seeds) together: the curve is their mean, the band
reaches from the lowest to the highest run, and a table gives mean ± standard deviation of the last
and of the best values. All of that is only where every run of the group has a value.
"""

import argparse
import itertools
import json
import math
import os
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure
from terminaltables import AsciiTable

from knet.errors import InputError, report_input_errors
from knet.files import whole_file

LINE_STYLES = ('-', '--', ':', '-.')
KINDS = ('png', 'pdf', 'svg')
NOT_DRAWN = {'mode', 'epoch', 'iter'}
STAMPED = re.compile(r'\d{8}_\d{6}\.log\.json')
"""Names that training gives its logs."""


class Log(NamedTuple):
    """A file: what its first line tells of the run, and its rows in order; each has `mode` ('train'
    or 'val'), `epoch`, `iter` and figures."""

    path: Path
    about: Dict[str, Any]
    rows: List[Dict]


class Run(NamedTuple):
    """A run, over all times that it was resumed; `config` and `seed` are None where its logs do not
    tell them."""

    name: str
    config: Optional[str]
    seed: Optional[int]
    train: List[Dict]
    val: List[Dict]


class Group(NamedTuple):
    """Runs that are drawn as one curve."""

    name: str
    runs: List[Run]


class Curve(NamedTuple):
    """Values of a key where all runs of a group have one.

    Attributes:
        epochs: (points,), float; fractions in training.
        values: (runs, points), float.
        highest_is_best: Whether the highest value is the best one.
        ends: (runs,), float; where the curve of each run ends.
    """

    epochs: np.ndarray
    values: np.ndarray
    highest_is_best: bool
    ends: np.ndarray


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(
        description='Draw curves of training logs; print iteration times'
    )
    parser.add_argument(
        'logs', nargs='+', type=Path, metavar='LOG', help='work dir, or a *.log.json in one'
    )
    parser.add_argument('--keys', nargs='+', default=['loss'], help='what to draw (default: loss)')
    parser.add_argument(
        '--mean',
        action='store_true',
        help='take runs of one config together: mean, and lowest to highest as a band; print mean '
        'and standard deviation of last and best values',
    )
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
        InputError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f'log {path} cannot be read: {getattr(error, "strerror", error)}'
        ) from None
    about: Dict[str, Any] = {}
    rows: List[Dict] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if 'mode' not in row:  # the first line tells of the run
                about = dict(row)
            elif row['mode'] in ('train', 'val'):
                rows.append({**row, 'epoch': int(row['epoch']), 'iter': int(row['iter'])})
            else:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            if number == len(lines) and not line.endswith('\n'):
                break  # the run that writes it is in the middle of a line, or was killed there
            raise InputError(
                f'log {path}, line {number} is not of a log.json of mmcv: {line.strip()[:80]}'
            ) from None
    return Log(path, about, rows)


def read_runs(paths: Sequence[Path]) -> List[Run]:
    """The runs that work dirs and logs belong to, in the order in which they are named.

    Files of one folder that are named as training names them, and have one seed, are of one run;
    other files are runs of their own.

    Raises:
        InputError: a log cannot be read, a run has no iterations, or a folder holds no logs, or
            those of several seeds.
    """
    parts: Dict[Tuple, Dict[Path, Log]] = {}
    names: Dict[Tuple, Path] = {}
    for path in paths:
        for log in read_folder(path) if path.is_dir() else [read_log(path)]:
            file = log.path.resolve()
            is_part = path.is_dir() or STAMPED.fullmatch(file.name)
            run = (file.parent, log.about.get('seed')) if is_part else (file,)
            parts.setdefault(run, {})[file] = log
            is_whole = path.is_dir() or len(parts[run]) == 1
            names[run] = path if is_whole else path.parent
    return [join(str(names[run]), list(logs.values())) for run, logs in parts.items()]


def read_folder(folder: Path) -> List[Log]:
    """All logs of a work dir."""
    logs = [read_log(path) for path in sorted(folder.glob('*.log.json'))]
    if not logs:
        raise InputError(f'{folder} holds no *.log.json; expected the work dir of a run')
    seeds = sorted({str(log.about['seed']) for log in logs if 'seed' in log.about})
    if len(seeds) > 1:
        raise InputError(
            f'{folder} holds logs of runs with seeds {", ".join(seeds)}; name the log.json files '
            'of one of them'
        )
    return logs


def join(name: str, logs: Sequence[Log]) -> Run:
    """One run of its logs: each continues at its first row what the ones before it, by name, say.

    Raises:
        InputError: none holds iterations of training.
    """
    logs = sorted(logs, key=lambda log: log.path.name)
    rows: List[Dict] = []
    for log in logs:
        if log.rows:
            rows = [row for row in rows if _place(row) < _place(log.rows[0])] + log.rows
    train = [row for row in rows if row['mode'] == 'train']
    if not train:
        raise InputError(f'log {name} holds no iterations of training')
    about = logs[-1].about
    val = [row for row in rows if row['mode'] == 'val']
    return Run(name, about.get('config'), about.get('seed'), train, val)


def _place(row: Dict) -> Tuple[int, float]:
    """Epoch and iteration of a row; validations come at the end of an epoch."""
    return row['epoch'], row['iter'] if row['mode'] == 'train' else float('inf')


def group_runs(runs: Sequence[Run]) -> List[Group]:
    """Runs of one config together, in the order in which they are named.

    Raises:
        InputError: no two of them have one config.
    """
    configs: Dict[Any, List[Run]] = {}
    for run in runs:
        configs.setdefault(run.name if run.config is None else (run.config,), []).append(run)
    groups = list(configs.values())
    if max(len(group) for group in groups) == 1:
        raise InputError(f'--mean needs two runs of one config or more; {_difference(runs)}')
    return [Group(_group_name(group, runs), group) for group in groups]


def _difference(runs: Sequence[Run]) -> str:
    """Why runs are not of one config."""
    unknown = [run.name for run in runs if run.config is None]
    if unknown:
        return f'{unknown[0]} does not tell its config'
    if len(runs) == 1:
        return f'there is only {runs[0].name}'
    configs = [str(run.config).splitlines() for run in runs[:2]]
    pairs = itertools.zip_longest(*configs, fillvalue='')
    lines = next((pair for pair in pairs if len({*pair}) > 1), ('', ''))  # ends of lines
    one, other = (f'"{line.strip()[:80]}" in {run.name}' for run, line in zip(runs, lines))
    return f'there is {one}, and {other}'


def _group_name(group: Sequence[Run], runs: Sequence[Run]) -> str:
    """What the names of its runs, and of no others, have in common; else the first name."""
    if len(group) == 1:
        return group[0].name
    begin = os.path.commonprefix([run.name for run in group])
    if begin and all(run in group for run in runs if run.name.startswith(begin)):
        return f'{begin}*'
    return f'{group[0].name} and {len(group) - 1} more'


def curve(group: Group, key: str) -> Curve:
    """Values of a key.

    Raises:
        InputError: a run has no such key, or the runs have it nowhere in common.
    """
    of_training = any(key in row for run in group.runs for row in run.train)
    points: List[Dict[Tuple, float]] = []
    for run in group.runs:
        rows = run.train if of_training else run.val
        has_value = [row for row in rows if isinstance(row.get(key), (int, float))]
        points.append({_place(row): row[key] for row in has_value})
        if not points[-1]:
            known = sorted({name for row in run.train + run.val for name in row} - NOT_DRAWN)
            raise InputError(f'log {run.name} has no key {key!r}; it has {", ".join(known)}')
    common = sorted(set.intersection(*map(set, points)))
    if not common:
        raise InputError(
            f'the runs of {group.name} have no iteration in common at which all of them log '
            f'{key!r}; was log_config.interval the same?'
        )
    length = max(row['iter'] for run in group.runs for row in run.train)

    def position(place: Tuple[int, float]) -> float:
        return place[0] - 1 + min(place[1] / length, 1)

    return Curve(
        np.array([position(place) for place in common], float),
        np.array([[run[place] for place in common] for run in points], float),
        not of_training or 'acc' in key,
        np.array([position(max(run)) for run in points]),
    )


def draw_curves(groups: Sequence[Group], keys: Sequence[str]) -> Figure:
    """Figure with a panel for the keys of training and one for those of validation, where there are
    any."""
    runs = [run for group in groups for run in group.runs]
    of_training = [key for key in keys if any(key in row for run in runs for row in run.train)]
    panels = [
        names for names in (of_training, [key for key in keys if key not in of_training]) if names
    ]
    figure = Figure(figsize=(8, 4.5 * len(panels)), layout='constrained')
    with_bands = len(runs) > len(groups)
    for axes, names in zip(np.atleast_1d(figure.subplots(len(panels))), panels):
        for i, key in enumerate(names):
            for j, group in enumerate(groups):
                # bands of one colour could not be told apart
                color = f'C{(i * len(groups) + j if with_bands else i) % 10}'
                label = key if len(groups) == 1 else f'{key}, {group.name}'
                _draw(axes, curve(group, key), label, color, LINE_STYLES[j % len(LINE_STYLES)])
        axes.set_xlabel('epoch')
        axes.grid(alpha=0.3)
        axes.legend(fontsize='small')
    return figure


def _draw(axes: Any, points: Curve, label: str, color: str, style: str) -> None:
    """Draw a curve, with a band where it is of several runs."""
    number = len(points.values)
    if number > 1:
        label += f': mean of {number} runs, lowest to highest'
        low, high = points.values.min(0), points.values.max(0)
        axes.fill_between(points.epochs, low, high, color=color, alpha=0.2, linewidth=0)
    axes.plot(
        points.epochs,
        points.values.mean(0),
        style,
        color=color,
        marker='o' if len(points.epochs) < 40 else None,
        markersize=3,
        label=label,
    )


def mean_table(groups: Sequence[Group], keys: Sequence[str]) -> str:
    """Mean ± standard deviation (of a sample) of the last values and of each run's best one, with
    the number of runs; a line below for each curve that not all of its runs go on with."""
    rows = [['runs', 'seeds', 'key', 'at epoch', 'last value (n)', 'best value (n)']]
    notes = []
    for group in groups:
        seeds = ', '.join('?' if run.seed is None else str(run.seed) for run in group.runs)
        for key in keys:
            points = curve(group, key)
            best = points.values.max(1) if points.highest_is_best else points.values.min(1)
            rows.append(
                [
                    group.name,
                    seeds,
                    key,
                    f'{points.epochs[-1]:.4g}',
                    mean_and_deviation(points.values[:, -1]),
                    f'{"max" if points.highest_is_best else "min"} {mean_and_deviation(best)}',
                ]
            )
            if points.ends.max() > points.epochs[-1]:
                first = group.runs[int(points.ends.argmin())].name
                notes.append(
                    f'{key}: {first} ends at epoch {points.ends.min():.4g}, others go on to '
                    f'{points.ends.max():.4g}; only what all {len(points.ends)} runs have counts'
                )
    return '\n'.join([AsciiTable(rows).table, *notes])


def mean_and_deviation(values: np.ndarray) -> str:
    """Mean ± standard deviation (number); of a single run there is no deviation."""
    mean, number = values.mean(), len(values)
    deviation = values.std(ddof=1) if number > 1 else 0
    if number == 1 or not 0 < deviation < np.inf:
        return f'{mean:.4g}{f" ± {deviation:g}" if number > 1 else ""} ({number})'
    decimals = max(0, 1 - math.floor(math.log10(deviation)))  # two digits of the deviation
    return f'{mean:.{decimals}f} ± {deviation:.{decimals}f} ({number})'


def time_table(runs: Sequence[Run]) -> str:
    """Seconds per iteration: mean, minimum and maximum of all logged ones, means of the fastest and
    of the slowest epoch."""
    rows = [['log', 'logged', 'mean (s)', 'min (s)', 'max (s)', 'fastest epoch', 'slowest epoch']]
    for run in runs:
        times: Dict[int, List[float]] = {}
        for row in run.train:
            if isinstance(row.get('time'), (int, float)):
                times.setdefault(row['epoch'], []).append(row['time'])
        if not times:
            raise InputError(f'log {run.name} has no times of iterations')
        every = np.concatenate(list(times.values()))
        means = {epoch: np.mean(values) for epoch, values in times.items()}
        ends = [
            f'{epoch}: {means[epoch]:.3f}'
            for epoch in (min(means, key=means.__getitem__), max(means, key=means.__getitem__))
        ]
        figures = [f'{value:.3f}' for value in (every.mean(), every.min(), every.max())]
        rows.append([run.name, str(len(every)), *figures, *ends])
    return AsciiTable(rows).table


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Print the tables and write the picture."""
    args = parse_args(arguments)
    runs = read_runs(args.logs)
    groups = group_runs(runs) if args.mean else [Group(run.name, [run]) for run in runs]
    figure = draw_curves(groups, args.keys)
    print(time_table(runs))
    if args.mean:
        print(mean_table(groups, args.keys))
    if args.out:
        kind = args.out.suffix[1:].lower()
        if kind not in KINDS:
            raise InputError(f'--out {args.out}: the name must end in .{", .".join(KINDS)}')
        with whole_file(args.out) as partial:
            figure.savefig(partial, format=kind, dpi=150)
        print(f'curves: {args.out}')


if __name__ == '__main__':
    with report_input_errors():
        main()
