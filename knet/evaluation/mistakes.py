"""Where a prediction is wrong, in which way, and what each mistake costs.

Every labelled pixel has one of the `KINDS`. With g the true object of a pixel and p the predicted
one, both of the right class:

    merged      in this frame, p covers more of another object of the class than of g
    split       in this frame, another prediction of the class covers more of g than p
    id switch   over the sequence, g has mostly another id than p, or p is mostly another object's

What a mistake costs is by how much STQ of the whole set (arXiv 2102.11859) would rise if all pixels
of an object had its class and one id that nothing else has; or, of two classes, if all pixels that
were taken for the other class had the right one, and their objects the ids that they have.
"""

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE, Pairs, group_sum
from knet.evaluation.protocol import Protocol
from knet.evaluation.result import mean_iou, stq_result
from knet.evaluation.stq import (
    STQCounts,
    count_stq,
    find_overlaps,
    freed_associations,
    pair_sizes,
    tube_associations,
)
from knet.evaluation.tracks import TrackRecorder


class Kind(NamedTuple):
    """What is the matter with a pixel.

    colour: RGB, apart for the colour-blind too.
    opacity: How much of the image such pixels hide where they are drawn, 0..1.
    """

    name: str
    colour: Tuple[int, int, int]
    opacity: float
    meaning: str


KINDS = (
    Kind('void', (0, 0, 0), 0.6, 'not labelled, not counted'),
    Kind('right', (120, 200, 120), 0.0, 'class and object are right'),
    Kind('wrong class', (240, 200, 40), 0.75, 'another class, stuff for stuff or thing for thing'),
    Kind(
        'missed',
        (225, 45, 55),
        0.75,
        'part of an object, predicted as stuff, void or without an id',
    ),
    Kind('false', (45, 120, 245), 0.75, 'stuff, predicted as a thing'),
    Kind('id switch', (230, 75, 215), 0.75, 'the id is not the one that the object has mostly'),
    Kind('merged', (250, 140, 20), 0.75, 'belongs to the prediction of another object'),
    Kind(
        'split',
        (20, 195, 200),
        0.75,
        'the object has a larger piece under another id in this frame',
    ),
)
VOID, RIGHT, WRONG_CLASS, MISSED, FALSE, ID_SWITCH, MERGED, SPLIT = range(len(KINDS))
NO_OBJECT = -1
DISK_BITS = INSTANCE_BITS + 8  # of a code on disk
DISK_MASK = (1 << DISK_BITS) - 1


@dataclass
class ObjectMistakes:
    """What became of a true object.

    Attributes:
        code: Its class (index of the protocol) and id, `(class << 16) | id`.
        association: Its term of AQ, 0..1.
        gain: By how much the sum of all terms of AQ in the sequence would rise with an id of its
            own for all of its pixels.
        predicted: Its pixels that were predicted as each class, (size of the protocol,), int64.
        kinds: Its pixels of each kind, (len(KINDS),), int64.
        runs: [first position, last position, predicted code or -1] of stretches of frames in which
            the same prediction covers most of it; positions between runs: it is not visible.
        worst: Position of the frame in which most of its pixels are wrong.
    """

    code: int
    association: float
    gain: float
    predicted: np.ndarray
    kinds: np.ndarray
    runs: List[List[int]]
    worst: int

    @property
    def switches(self) -> int:
        """How often its predicted id changes."""
        ids = [pred for *_, pred in self.runs if pred != NO_OBJECT]
        return sum(a != b for a, b in zip(ids, ids[1:]))


@dataclass
class FalseTrack:
    """A predicted object that lies mostly where no object of its class is.

    Attributes:
        code: Predicted class and id.
        positions: Of the frames in which it is there, (n,), rising.
        pixels: Labelled ones that it covers.
    """

    code: int
    positions: np.ndarray
    pixels: int


@dataclass
class SequenceMistakes:
    """The mistakes of a sequence.

    Attributes:
        frames: Number of each frame.
        stq: Sums of STQ.
        kinds: Pixels of each kind in each frame, (frames, len(KINDS)), int64.
        objects: True objects, by class and id.
        false_tracks: Largest first.
        confusions: (true class, predicted class) → position of the frame with most such pixels.
    """

    frames: List[int]
    stq: STQCounts
    kinds: np.ndarray
    objects: List[ObjectMistakes]
    false_tracks: List[FalseTrack]
    confusions: Dict[Tuple[int, int], int]
    _rows: List[Tuple[np.ndarray, np.ndarray]]
    _table: np.ndarray
    _void: int

    def error_map(self, position: int, gt: np.ndarray, pred: np.ndarray) -> np.ndarray:
        """The kind of each pixel of a frame, (H, W), uint8.

        Args:
            position: Of the frame.
            gt, pred: Codes as on disk, (H, W), uint32, see `FrameMaps`.
        """
        keys, kinds = self._rows[position]
        both = gt.astype(np.int64).ravel() << DISK_BITS | pred.ravel()
        starts = np.concatenate(([0], np.flatnonzero(both[1:] != both[:-1]) + 1))
        index = np.searchsorted(keys, self._keys_of(both[starts]))
        return np.repeat(kinds[index], np.diff(starts, append=both.size)).reshape(gt.shape)

    def _keys_of(self, both: np.ndarray) -> np.ndarray:
        """Pairs of codes on disk as pairs of codes of the protocol."""
        gt, pred = both >> DISK_BITS, both & DISK_MASK
        gt, pred = (
            self._table[code >> INSTANCE_BITS] << INSTANCE_BITS | code & MAX_INSTANCE
            for code in (gt, pred)
        )
        void = self._void << INSTANCE_BITS
        pred = np.where(pred >> INSTANCE_BITS == self._void, void, pred)
        return gt << DISK_BITS | pred


def find_mistakes(
    protocol: Protocol, frames: Sequence[int], pairs: Sequence[Pairs]
) -> SequenceMistakes:
    """The mistakes of a sequence.

    Args:
        protocol: Classes and rules that the pairs were counted by.
        frames: Number of each frame, rising.
        pairs: Joint histogram of each frame (`VideoPanopticEvaluator.count`).
    """
    position = np.repeat(np.arange(len(frames)), [len(frame.keys) for frame in pairs])
    gt = np.concatenate([frame.gt for frame in pairs])
    pred = np.concatenate([frame.pred for frame in pairs])
    count = np.concatenate([frame.counts for frame in pairs])
    kind = kinds_of_pairs(protocol, position, gt, pred, count)
    kinds = np.zeros((len(frames), len(KINDS)), np.int64)
    np.add.at(kinds, (position, kind), count)
    ends = np.cumsum([len(frame.keys) for frame in pairs])[:-1]
    keys = np.split(gt << DISK_BITS | pred, ends)
    whole = Pairs(
        *group_sum(
            np.concatenate([frame.keys for frame in pairs]),
            np.concatenate([frame.counts for frame in pairs]),
        )
    )
    return SequenceMistakes(
        frames=list(frames),
        stq=count_stq(whole, protocol),
        kinds=kinds,
        objects=_objects(protocol, whole, position, gt, pred, count, kind),
        false_tracks=_false_tracks(protocol, position, gt, pred, count),
        confusions=_confusions(protocol, position, gt, pred, count),
        _rows=list(zip(keys, np.split(kind, ends))),
        _table=protocol.class_table(),
        _void=protocol.void_class,
    )


def kinds_of_pairs(
    protocol: Protocol, position: np.ndarray, gt: np.ndarray, pred: np.ndarray, count: np.ndarray
) -> np.ndarray:
    """The kind of the pixels of each row, (N,), uint8.

    Args:
        protocol: Classes and rules.
        position: Frame of each row, (N,), int64.
        gt, pred: Codes of the protocol, (N,), int64; a pair is there once per frame.
        count: Pixels, (N,), int64.
    """
    is_thing = protocol.member_table(protocol.label_space.thing_ids)
    gt_class, pred_class = gt >> INSTANCE_BITS, pred >> INSTANCE_BITS
    gt_thing, pred_thing = is_thing[gt_class], is_thing[pred_class]
    kind = np.full(len(gt), WRONG_CLASS, np.uint8)
    kind[gt_thing & ~pred_thing] = MISSED
    kind[~gt_thing & pred_thing] = FALSE
    same = gt_class == pred_class
    kind[same] = RIGHT
    tracked = same & gt_thing & (gt & MAX_INSTANCE > 0)
    kind[tracked & (pred & MAX_INSTANCE == 0)] = MISSED
    rows = np.flatnonzero(tracked & (pred & MAX_INSTANCE > 0))
    here, truth, guess, pixels = position[rows], gt[rows], pred[rows], count[rows]
    frame = here << DISK_BITS
    id_switch = ~_is_largest(truth, guess, pixels) | ~_is_largest(guess, truth, pixels)
    split = ~_is_largest(frame | truth, guess, pixels)
    merged = ~_is_largest(frame | guess, truth, pixels)
    for wrong, value in ((id_switch, ID_SWITCH), (split, SPLIT), (merged, MERGED)):
        kind[rows[wrong]] = value
    kind[gt_class == protocol.void_class] = VOID
    return kind


def _is_largest(group: np.ndarray, member: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Whether the member of each row has the most pixels of its group, (N,), bool; of equal ones
    it is the smallest member."""
    if not len(group):
        return np.zeros(0, bool)
    order = np.lexsort((member, group))
    starts = np.ones(len(group), bool)
    starts[1:] = np.diff(group[order]) != 0
    starts[1:] |= np.diff(member[order]) != 0
    first = np.flatnonzero(starts)
    sums = np.add.reduceat(pixels[order], first)
    groups, members = group[order][first], member[order][first]
    by_size = np.lexsort((members, -sums, groups))
    leads = np.ones(len(groups), bool)
    leads[1:] = np.diff(groups[by_size]) != 0
    is_lead = np.zeros(len(groups), bool)
    is_lead[by_size[leads]] = True
    found = np.zeros(len(group), bool)
    found[order] = is_lead[np.cumsum(starts) - 1]
    return found


def _objects(
    protocol: Protocol,
    whole: Pairs,
    position: np.ndarray,
    gt: np.ndarray,
    pred: np.ndarray,
    count: np.ndarray,
    kind: np.ndarray,
) -> List[ObjectMistakes]:
    tracks = TrackRecorder(protocol)
    tracks.add(position, gt, pred, count)
    overlaps = find_overlaps(*pair_sizes(whole), protocol)
    association = tube_associations(overlaps)
    gain = 1 - association + freed_associations(overlaps)
    terms = dict(zip(overlaps.tubes.tolist(), zip(association.tolist(), gain.tolist())))
    found = []
    for code, runs in sorted(tracks.runs.items()):
        rows = gt == code
        predicted = _totals(pred[rows] >> INSTANCE_BITS, count[rows], protocol.size)
        kinds = _totals(kind[rows], count[rows], len(KINDS))
        term, gained = terms.get(code, (0.0, 0.0))  # none of a class without tubes
        wrong = np.bincount(position[rows], count[rows] * (kind[rows] != RIGHT))
        worst = int(wrong.argmax()) if wrong.any() else runs[0][0]
        found.append(ObjectMistakes(code, term, gained, predicted, kinds, runs, worst))
    return found


def _totals(index: np.ndarray, count: np.ndarray, length: int) -> np.ndarray:
    """Sum of the counts of each index, (length,), int64."""
    return np.bincount(index, count, length).astype(np.int64)


def _false_tracks(
    protocol: Protocol, position: np.ndarray, gt: np.ndarray, pred: np.ndarray, count: np.ndarray
) -> List[FalseTrack]:
    is_thing = protocol.member_table(protocol.label_space.thing_ids)
    labelled = gt >> INSTANCE_BITS != protocol.void_class
    rows = labelled & is_thing[pred >> INSTANCE_BITS] & (pred & MAX_INSTANCE > 0)
    position, gt, pred, count = position[rows], gt[rows], pred[rows], count[rows]
    codes, index = np.unique(pred, return_inverse=True)
    pixels = np.bincount(index, count, len(codes)).astype(np.int64)
    good = gt >> INSTANCE_BITS == pred >> INSTANCE_BITS
    on_object = np.bincount(index, count * good, len(codes)).astype(np.int64)
    found = [
        FalseTrack(int(codes[i]), np.unique(position[index == i]), int(pixels[i]))
        for i in np.flatnonzero(2 * on_object < pixels)
    ]
    return sorted(found, key=lambda track: -track.pixels)


def _confusions(
    protocol: Protocol, position: np.ndarray, gt: np.ndarray, pred: np.ndarray, count: np.ndarray
) -> Dict[Tuple[int, int], int]:
    gt_class, pred_class = gt >> INSTANCE_BITS, pred >> INSTANCE_BITS
    rows = (gt_class != pred_class) & (gt_class != protocol.void_class)
    key = gt_class[rows] << 8 | pred_class[rows]
    lead = _is_largest(key, position[rows], count[rows])
    return {
        (int(pair >> 8), int(pair & 255)): int(frame)
        for pair, frame in zip(key[lead], position[rows][lead])
    }


class Mistake(NamedTuple):
    """A mistake and its price.

    sequence: Where it is.
    position: Of the frame that shows it best.
    cost: By how much STQ of the set would rise without it, 0..1.
    object: Index in `SequenceMistakes.objects`; -1 for confused classes.
    classes: True and predicted class; of an object its class twice.
    pixels: That are wrong.
    """

    sequence: Any
    position: int
    cost: float
    object: int
    classes: Tuple[int, int]
    pixels: int


def rank_mistakes(
    protocol: Protocol, sequences: Mapping[Any, SequenceMistakes], limit: int
) -> List[Mistake]:
    """The most expensive mistakes of a set, the most expensive first.

    Args:
        protocol: Classes and rules.
        sequences: Those of each sequence.
        limit: At most so many.
    """
    total = stq_result(protocol, [mistakes.stq for mistakes in sequences.values()])
    if total['SQ'] is None:
        return []
    confusion = np.array(total['confusion'])

    def gain(true: int, predicted: np.ndarray, association: float = 0.0) -> float:
        """What STQ gains by pixels of a class, predicted as other ones, and by association."""
        fixed = confusion.copy()
        fixed[true] -= predicted
        fixed[true, true] += predicted.sum()
        aq = total['AQ'] + association / max(1, total['num_tubes'])
        return math.sqrt(aq * mean_iou(fixed)) - total['STQ']

    found = []
    for sequence, mistakes in sequences.items():
        for index, item in enumerate(mistakes.objects):
            number = item.code >> INSTANCE_BITS
            cost = gain(number, item.predicted, item.gain)
            wrong = int(item.kinds.sum() - item.kinds[RIGHT])
            found.append(Mistake(sequence, item.worst, cost, index, (number, number), wrong))
        for (true, guess), position in mistakes.confusions.items():
            pixels = int(mistakes.stq.confusion[true, guess])
            cost = gain(true, pixels * (np.arange(protocol.size) == guess))
            found.append(Mistake(sequence, position, cost, -1, (true, guess), pixels))
    return sorted(found, key=lambda mistake: -mistake.cost)[:limit]
