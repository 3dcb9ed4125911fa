"""Pictures of a result: where the segmentation and where the tracking fails."""

from pathlib import Path
from typing import Callable, Dict, List, Union

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from knet.files import whole_file

THING, STUFF, DARK, PALE, MISSED = '#d1495b', '#2e6f95', '#22333b', '#c9ced6', '#e3e6ea'
PIECES = (
    '#2e6f95',
    '#edae49',
    '#66a182',
    '#8d6a9f',
    '#d1495b',
    '#00798c',
    '#b5838d',
    '#7f7f3f',
    '#e07a5f',
    '#5c677d',
)
MAX_CONFUSIONS, MAX_TRACKS, MAX_NAMED_SEQUENCES = 15, 15, 40
DPI = 150


def write_plots(result: dict, folder: Union[str, Path]) -> List[Path]:
    """Draw a result (see `knet.evaluation.result`) into PNG files; each is there whole or not at
    all.

    Returns:
        the paths: class_quality.png, sequence_stq.png, vpq_windows.png, confused_classes.png and
        broken_tracks.png. The last two are left out where nothing is confused or broken.

    Raises:
        InputError: a file cannot be written.
    """
    drawings: Dict[str, Callable[[dict], Figure]] = {
        'class_quality': draw_class_quality,
        'sequence_stq': draw_sequence_stq,
        'vpq_windows': draw_vpq_windows,
    }
    if _confusions(result):
        drawings['confused_classes'] = draw_confused_classes
    if result['broken_tracks']:
        drawings['broken_tracks'] = draw_broken_tracks
    figures = {name: draw(result) for name, draw in drawings.items()}
    paths = []
    for name, figure in figures.items():
        paths.append(Path(folder) / f'{name}.png')
        with whole_file(paths[-1]) as partial:
            figure.savefig(partial, format='png', dpi=DPI)
    return paths


def draw_class_quality(result: dict) -> Figure:
    """IoU of every class that occurs (the parts of SQ), best first, and AQ of the classes whose
    objects are tracked."""
    stq = result['stq']
    rows = [
        (iou, name, stq['aq_per_class'][i], i in result['thing_classes'])
        for i, (iou, name) in enumerate(zip(stq['iou_per_class'], result['classes']))
        if iou is not None
    ]
    if stq['iou_void'] is not None:
        rows.append((stq['iou_void'], 'void', None, False))
    rows.sort(key=lambda row: row[0])
    figure, axes = _figure(
        f'Quality by class: SQ {_text(stq["SQ"])}, AQ {_text(stq["AQ"])}, STQ {_text(stq["STQ"])}',
        len(rows),
    )
    for y, (iou, _, aq, thing) in enumerate(rows):
        axes.barh(y, 100 * iou, color=THING if thing else STUFF, height=0.7)
        axes.text(
            100 * iou + 1,
            y,
            f'{100 * iou:.1f}',
            va='center',
            fontsize=8,
            color=DARK,
            path_effects=[withStroke(linewidth=3, foreground='white')],
        )
        if aq is not None:
            axes.plot(
                100 * aq, y, marker='D', color='white', markeredgecolor=DARK, markersize=6, zorder=3
            )
    axes.set_yticks(range(len(rows)), [row[1] for row in rows])
    axes.set(xlim=(0, 109), xlabel='percent', ylim=(-0.6, len(rows) - 0.4))
    handles: List[Artist] = [
        Patch(color=THING, label='IoU, thing'),
        Patch(color=STUFF, label='IoU, stuff'),
    ]
    if any(row[2] is not None for row in rows):
        handles.append(
            Line2D(
                [], [], marker='D', linestyle='', color='white', markeredgecolor=DARK, label='AQ'
            )
        )
    if stq['SQ'] is not None:
        axes.axvline(100 * stq['SQ'], color=DARK, linewidth=1, linestyle='--', zorder=0)
        handles.append(
            Line2D([], [], color=DARK, linewidth=1, linestyle='--', label='SQ, mean of IoU')
        )
    _legend(axes, handles)
    return figure


def draw_sequence_stq(result: dict) -> Figure:
    """STQ of every sequence, worst first, between its AQ and its SQ. Sequences without objects have
    SQ only."""
    rows = [
        (values['stq'], sequence, values['num_frames'])
        for sequence, values in result['sequences'].items()
        if values['stq']['STQ'] is not None
    ]
    rows.sort(key=lambda row: (row[0]['num_tubes'] > 0, -row[0]['STQ']))
    tracked = [y for y, row in enumerate(rows) if row[0]['num_tubes']]
    figure, axes = _figure(
        f'STQ by sequence: {_text(result["stq"]["STQ"])} over all',
        min(len(rows), MAX_NAMED_SEQUENCES),
    )
    for y in tracked:
        ends = [100 * rows[y][0]['AQ'], 100 * rows[y][0]['SQ']]
        axes.plot(ends, [y, y], color=PALE, linewidth=3, solid_capstyle='round', zorder=1)
    for key, colour, marker in (('AQ', THING, 'D'), ('SQ', STUFF, 's'), ('STQ', DARK, 'o')):
        shown = range(len(rows)) if key == 'SQ' else tracked
        axes.scatter(
            [100 * rows[y][0][key] for y in shown],
            shown,
            color=colour,
            marker=marker,
            zorder=2,
            s=64 if key == 'STQ' else 32,
            label=key,
        )
    if len(rows) <= MAX_NAMED_SEQUENCES:
        labels = [
            f'{sequence} ({frames} frames, {_count(stq["num_tubes"], "object")})'
            for stq, sequence, frames in rows
        ]
        axes.set_yticks(range(len(rows)), labels)
        for y, (stq, _, _) in enumerate(rows):
            axes.text(
                102,
                y,
                f'{100 * stq["STQ"]:.1f}' if stq['num_tubes'] else '-',
                va='center',
                fontsize=8,
                color=DARK,
            )
    else:
        axes.set(yticks=[], ylabel=f'{len(rows)} sequences')
    if result['stq']['STQ'] is not None:
        axes.axvline(
            100 * result['stq']['STQ'],
            color=DARK,
            linewidth=1,
            linestyle='--',
            zorder=0,
            label='STQ of the set',
        )
    axes.set(xlim=(0, 108), xlabel='percent', ylim=(-0.6, max(len(rows), 1) - 0.4))
    _legend(axes, axes.get_legend_handles_labels()[0])
    return figure


def draw_vpq_windows(result: dict) -> Figure:
    """VPQ over the window size, for all, thing and stuff classes; every sequence as a thin line."""
    vpq, sizes = result['vpq'], result['window_sizes']
    figure, axes = _figure(f'VPQ over the window size: mean {_text(vpq["VPQ"])}', 12)

    def line(windows: dict, key: str) -> np.ndarray:
        return np.array([windows['k'][str(k)][key] for k in sizes], float) * 100

    for values in result['sequences'].values():
        axes.plot(sizes, line(values['vpq'], 'VPQ'), color=PALE, linewidth=1, zorder=1)
    styles = (
        ('VPQ', DARK, 'o', 'all'),
        ('VPQ_thing', THING, 'D', 'thing'),
        ('VPQ_stuff', STUFF, 's', 'stuff'),
    )
    lines = [line(vpq, key) for key, _, _, _ in styles]
    for values, (_, colour, marker, label) in zip(lines, styles):
        axes.plot(sizes, values, color=colour, marker=marker, linewidth=2, label=label, zorder=2)
    axes.set_xticks(
        sizes,
        [
            '\n'.join(
                [str(k)]
                + [f'{label} {value:.1f}' for value, (_, _, _, label) in zip(column, styles)]
            )
            for k, column in zip(sizes, zip(*lines))
        ],
    )
    axes.set(xlabel='frames per window', ylabel='VPQ, percent')
    axes.margins(x=0.08, y=0.12)
    _legend(
        axes,
        axes.get_legend_handles_labels()[0]
        + [Line2D([], [], color=PALE, label='all, one sequence')],
    )
    return figure


def draw_confused_classes(result: dict) -> Figure:
    """The most frequent wrong labels: which class is taken for which."""
    rows = _confusions(result)[::-1]
    wrong = sum(row[0] for row in _confusions(result, limit=None))
    figure, axes = _figure('Most confused classes', len(rows))
    for y, (pixels, gt, _, share, thing) in enumerate(rows):
        value = 100 * pixels / wrong
        axes.barh(y, value, color=THING if thing else STUFF, height=0.7)
        axes.text(value, y, f'  {100 * share:.1f} % of {gt}', va='center', fontsize=8, color=DARK)
    axes.set_yticks(
        range(len(rows)), [f'{gt} \N{RIGHTWARDS ARROW} {pred}' for _, gt, pred, _, _ in rows]
    )
    axes.set(xlabel='share of all wrongly labelled pixels, percent', ylim=(-0.6, len(rows) - 0.4))
    axes.set_xlim(0, 1.3 * 100 * rows[-1][0] / wrong)
    _legend(
        axes,
        [
            Patch(color=THING, label='true class is a thing'),
            Patch(color=STUFF, label='true class is stuff'),
        ],
    )
    return figure


def draw_broken_tracks(result: dict) -> Figure:
    """The longest ground-truth objects whose predicted id changes, as time lines: one colour per
    predicted id."""
    tracks = result['broken_tracks'][:MAX_TRACKS][::-1]
    figure, axes = _figure('Longest broken tracks', len(tracks))
    origins = []
    for y, track in enumerate(tracks):
        origin = track['runs'][0]['first_frame']
        origins.append(origin)
        colours: Dict[tuple, str] = {}
        for run in track['runs']:
            key = run['class'], run['instance']
            colour = (
                MISSED
                if run['instance'] is None
                else colours.setdefault(key, PIECES[len(colours) % len(PIECES)])
            )
            first, length = run['first_frame'] - origin, run['last_frame'] - run['first_frame'] + 1
            other = run['class'] is not None and run['class'] != track['class']
            axes.barh(
                y,
                length,
                left=first,
                color=colour,
                height=0.7,
                edgecolor='white',
                linewidth=0.5,
                hatch='////' if other else None,
            )
    axes.set_yticks(
        range(len(tracks)),
        [
            f'sequence {track["sequence"]}, {result["classes"][track["class"]]} '
            f'{track["instance"]} '
            f'({_count(track["num_switches"], "switch", "es")})'
            for track in tracks
        ],
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(
        xlabel='frames since the object appears (a new colour is a new predicted id)',
        ylim=(-0.6, len(tracks) - 0.4),
    )
    _legend(
        axes,
        [
            Patch(color=MISSED, label='no predicted object'),
            Patch(
                facecolor='white', edgecolor=DARK, hatch='////', label='predicted as another class'
            ),
        ],
    )
    return figure


def _confusions(result: dict, limit: Union[int, None] = MAX_CONFUSIONS) -> List[tuple]:
    """(pixels, true class, predicted class, share of the true class's pixels, whether it is a
    thing), most pixels first."""
    confusion = np.array(result['stq']['confusion'], float)
    names = result['classes'] + ['void']
    rows = [
        (
            confusion[gt, pred],
            names[gt],
            names[pred],
            confusion[gt, pred] / confusion[gt].sum(),
            gt in result['thing_classes'],
        )
        for gt, pred in zip(*np.nonzero(confusion))
        if gt != pred
    ]
    return sorted(rows, key=lambda row: -row[0])[:limit]


def _figure(title: str, rows: int):
    """A figure with one clean axes, high enough for the rows of a bar chart."""
    figure = Figure(figsize=(9, max(3.0, 1.7 + 0.3 * rows)), layout='constrained')
    axes = figure.add_subplot()
    axes.set_title(title, loc='left', fontsize=12, color=DARK, pad=28)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(labelsize=9)
    return figure, axes


def _legend(axes: Axes, handles: list) -> None:
    """A legend in one line between title and axes."""
    axes.legend(
        handles=handles,
        loc='lower left',
        bbox_to_anchor=(-0.01, 1.0),
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        borderaxespad=0.2,
        columnspacing=1.5,
        handletextpad=0.5,
    )


def _count(number: int, noun: str, plural: str = 's') -> str:
    return f'{number} {noun}{"" if number == 1 else plural}'


def _text(value: Union[float, None]) -> str:
    return 'undefined' if value is None else f'{100 * value:.2f}'
