"""What the report page shows, as plain values that JSON holds.

    title, version, classes, things, kinds, protocols
    runs: name, results by protocol (figures of `knet.evaluation.result`), made_of
    sequences: name, frames, boxes and sizes of panels, objects, figures and false
        tracks of each run
    mistakes: of each run, the most expensive first; changes between two runs
    pictures: panels, width, height

Positions of frames are counted from 0 in their sequence. Lists over runs are in their order.
"""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

import knet
from knet.errors import InputError
from knet.evaluation.evaluate import Analysis
from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE
from knet.evaluation.mistakes import (
    KINDS,
    NO_OBJECT,
    RIGHT,
    FalseTrack,
    Mistake,
    ObjectMistakes,
    rank_mistakes,
)
from knet.evaluation.protocol import Protocol
from knet.visualization import track_colours

MAX_MISTAKES = 60
MAX_FALSE_TRACKS = 20


class Run(NamedTuple):
    """A run to report on.

    name: What the page calls it.
    path: Its folder of predictions.
    analysis: What is known of it.
    made_of: What the test noted of it.
    """

    name: str
    path: Path
    analysis: Analysis
    made_of: Dict[str, Any]


def collect(runs: Sequence[Run], title: str) -> Dict[str, Any]:
    """Everything the page shows but the pictures.

    Args:
        runs: One, or two of the same frames and classes.
        title: Of the page.

    Raises:
        InputError: the runs are of different frames or classes.
    """
    first = runs[0].analysis
    check_alike(runs)
    protocol = first.protocol
    ranked = [rank_mistakes(protocol, run.analysis.mistakes, 10**9) for run in runs]
    costs = [{(m.sequence, m.object): m.cost for m in found if m.object >= 0} for found in ranked]
    return dict(
        title=title,
        version=knet.__version__,
        classes=class_names(protocol),
        things=list(protocol.label_space.thing_ids),
        kinds=[dict(name=k.name, colour=_hex(k.colour), meaning=k.meaning) for k in KINDS],
        protocols=list(first.results),
        runs=[
            dict(
                name=run.name,
                path=str(run.path),
                results=run.analysis.results,
                made_of=_flat(run.made_of),
                confusions=_confusions(run.analysis),
            )
            for run in runs
        ],
        sequences=[_sequence(sequence, runs, costs) for sequence in first.mistakes],
        mistakes=[
            [_mistake(mistake, run.analysis) for mistake in found[:MAX_MISTAKES]]
            for run, found in zip(runs, ranked)
        ],
        changes=_changes(runs, ranked) if len(runs) == 2 else [],
    )


def check_alike(runs: Sequence[Run]) -> None:
    """Raise InputError unless all runs are of the same frames and classes."""
    first = runs[0].analysis
    for run in runs[1:]:
        other = run.analysis
        if _rules(other.protocol) != _rules(first.protocol):
            raise InputError(
                f'{runs[0].path} has the classes and rules of {first.protocol.name}, {run.path} '
                f'others ({other.protocol.name}); they cannot be compared'
            )
        frames = [{s: m.frames for s, m in found.mistakes.items()} for found in (first, other)]
        if frames[0] != frames[1]:
            raise InputError(f'{runs[0].path} and {run.path} are of different frames')


def _rules(protocol: Protocol) -> Dict[str, Any]:
    """All that decides on figures."""
    fields = dataclasses.asdict(protocol)
    del fields['name'], fields['label_space']['palette']
    return fields


def _flat(made_of: Dict[str, Any]) -> Dict[str, str]:
    """What is worth a line on the page."""
    return {key: str(value) for key, value in made_of.items() if key != 'protocol' and value}


def _confusions(analysis: Analysis) -> List[List[Any]]:
    """True class, predicted class, pixels, and sequence and position of the frame with most of
    them, of each pair of classes that were confused."""
    found: Dict[Any, List[Any]] = {}
    for sequence, mistakes in analysis.mistakes.items():
        for pair, position in mistakes.confusions.items():
            pixels = int(mistakes.stq.confusion[pair])
            row = found.setdefault(pair, [*pair, 0, None, None, 0])
            row[2] += pixels
            if pixels > row[5]:
                row[3:] = [str(sequence), position, pixels]
    return [row[:5] for row in found.values()]


def _sequence(
    sequence: Any, runs: Sequence[Run], costs: Sequence[Dict[Any, float]]
) -> Dict[str, Any]:
    found = [run.analysis.mistakes[sequence] for run in runs]
    classes = runs[0].analysis.protocol.label_space.classes
    # all runs have the same true objects
    objects = [
        _object(sequence, index, [mistakes.objects[index] for mistakes in found], costs)
        for index in range(len(found[0].objects))
    ]
    return dict(
        name=str(sequence),
        frames=found[0].frames,
        objects=objects,
        runs=[
            dict(
                results={
                    name: result['sequences'][str(sequence)]
                    for name, result in run.analysis.results.items()
                },
                kinds=mistakes.kinds.tolist(),
                false_tracks=[
                    _false_track(track, classes)
                    for track in mistakes.false_tracks[:MAX_FALSE_TRACKS]
                ],
            )
            for run, mistakes in zip(runs, found)
        ],
    )


def _object(
    sequence: Any,
    index: int,
    found: Sequence[ObjectMistakes],
    costs: Sequence[Dict[Any, float]],
) -> Dict[str, Any]:
    code = found[0].code
    return {
        'class': code >> INSTANCE_BITS,
        'id': code & MAX_INSTANCE,
        'runs': [
            dict(
                association=item.association,
                cost=cost[sequence, index],
                switches=item.switches,
                kinds=item.kinds.tolist(),
                pieces=[_piece(*piece) for piece in item.runs],
            )
            for item, cost in zip(found, costs)
        ],
    }


def _piece(first: int, last: int, pred: int) -> List[Any]:
    """First and last position, and predicted class, id and colour; None where it is missed."""
    if pred == NO_OBJECT:
        return [first, last, None, None, None]
    number = pred & MAX_INSTANCE
    return [first, last, pred >> INSTANCE_BITS, number, id_colour(number)]


def id_colour(number: int) -> str:
    """Colour of a track id, as pictures have it, in CSS's form."""
    return _hex(track_colours(np.array([number]))[0])


def _hex(colour: Sequence[int]) -> str:
    return '#%02x%02x%02x' % tuple(int(value) for value in colour)


def _false_track(track: FalseTrack, classes: Sequence[str]) -> Dict[str, Any]:
    starts = np.flatnonzero(np.diff(track.positions, prepend=-2) > 1)
    ends = np.append(starts[1:], len(track.positions)) - 1
    pieces = [
        _piece(int(track.positions[a]), int(track.positions[b]), track.code)
        for a, b in zip(starts, ends)
    ]
    number = track.code & MAX_INSTANCE
    name = f'{classes[track.code >> INSTANCE_BITS]} {number}'
    return dict(name=name, pixels=track.pixels, pieces=pieces)


def _mistake(mistake: Mistake, analysis: Analysis) -> Dict[str, Any]:
    return dict(
        sequence=str(mistake.sequence),
        position=mistake.position,
        object=mistake.object,
        cost=mistake.cost,
        text=': '.join(describe(mistake, analysis)),
    )


def describe(mistake: Mistake, analysis: Analysis) -> Tuple[str, str]:
    """A mistake in words: of what, and what is wrong."""
    names = class_names(analysis.protocol)
    if mistake.object < 0:
        true, guess = (names[index] for index in mistake.classes)
        return f'{true} predicted as {guess}', f'{mistake.pixels:,} pixels'
    item = analysis.mistakes[mistake.sequence].objects[mistake.object]
    total = int(item.kinds.sum())
    worst = int(item.kinds[RIGHT + 1 :].argmax()) + RIGHT + 1
    ids = {pred for *_, pred in item.runs if pred != NO_OBJECT}
    missed = sum(last - first + 1 for first, last, pred in item.runs if pred == NO_OBJECT)
    frames = sum(last - first + 1 for first, last, _ in item.runs)
    words = ['never found']
    if ids:
        words = [_times(len(ids), 'id')]
    if item.switches:
        words[0] += f', {_times(item.switches, "change")}'
    if missed and ids:
        words.append(f'missed in {missed} of {_times(frames, "frame")}')
    if item.kinds[worst]:
        words.append(f'{KINDS[worst].name}: {item.kinds[worst] / total:.0%} of its pixels')
    return f'{names[item.code >> INSTANCE_BITS]} {item.code & MAX_INSTANCE}', '; '.join(words)


def class_names(protocol: Protocol) -> List[str]:
    """Names of the indices of a protocol."""
    space = protocol.label_space
    return [*space.classes, *['void'] * (protocol.size - space.num_classes)]


def _times(number: int, word: str) -> str:
    return f'{number} {word}' if number == 1 else f'{number} {word}s'


def _changes(runs: Sequence[Run], ranked: Sequence[Sequence[Mistake]]) -> List[Dict[str, Any]]:
    """What the second run made better or worse, the largest change of cost first."""
    tables = [{(m.sequence, m.object, m.classes): m for m in found} for found in ranked]
    rows: List[Dict[str, Any]] = []
    for key in {**tables[0], **tables[1]}:
        pair = [table.get(key) for table in tables]
        costs = [mistake.cost if mistake else 0.0 for mistake in pair]
        words = [describe(m, run.analysis) if m else ('', 'none') for m, run in zip(pair, runs)]
        worse = pair[int(costs[1] > costs[0])]  # the run that shows it better
        if worse is None or costs[0] == costs[1]:
            continue
        subject = words[0][0] or words[1][0]
        row = dict(
            sequence=str(worse.sequence),
            position=worse.position,
            object=worse.object,
            cost=costs[1] - costs[0],
            text=f'{subject}: {words[0][1]} → {words[1][1]}',
        )
        rows.append(row)
    rows.sort(key=lambda row: -abs(row['cost']))
    return rows[:MAX_MISTAKES]
