"""Which predicted object covers each ground-truth object over time: the raw material of "where does
tracking break"."""

from typing import Any, Dict, List

import numpy as np

from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE
from knet.evaluation.protocol import Protocol

MISSED = -1


class TrackRecorder:
    """Keeps, for each ground-truth tube of one sequence, runs of frames in which one predicted tube
    covers most of it.

    Memory grows with the number of changes, not of frames.
    """

    def __init__(self, protocol: Protocol):
        self.is_thing = protocol.member_table(protocol.label_space.thing_ids)
        # gt code -> runs [first position, last position, predicted code or MISSED]
        self.runs: Dict[int, List[List[int]]] = {}

    def add(
        self, position: np.ndarray, gt: np.ndarray, pred: np.ndarray, count: np.ndarray
    ) -> None:
        """Add the pairs of successive frames.

        Args:
            position: Position of the frame in the sequence, shape (N,), int64; later than those of
                former calls.
            gt: Ground-truth codes, shape (N,), int64.
            pred: Predicted codes, likewise.
            count: Pixels, shape (N,), int64.
        """
        rows = self.is_thing[gt >> INSTANCE_BITS] & (gt & MAX_INSTANCE > 0)
        position, gt, pred, count = position[rows], gt[rows], pred[rows], count[rows]
        tracked = self.is_thing[pred >> INSTANCE_BITS] & (pred & MAX_INSTANCE > 0)
        pred = np.where(tracked, pred, MISSED)
        order = np.lexsort((pred, -count, position, gt))
        position, gt, pred = position[order], gt[order], pred[order]
        # The first row of an object in a frame is its largest overlap.
        largest = np.ones(len(gt), bool)
        largest[1:] = (gt[1:] != gt[:-1]) | (position[1:] != position[:-1])
        position, gt, pred = position[largest], gt[largest], pred[largest]
        begins = np.ones(len(gt), bool)
        begins[1:] = (
            (gt[1:] != gt[:-1]) | (pred[1:] != pred[:-1]) | (position[1:] != position[:-1] + 1)
        )
        starts = np.flatnonzero(begins)
        ends = np.append(starts[1:], len(gt)) - 1
        for start, end in zip(starts, ends):
            self._extend(int(gt[start]), int(position[start]), int(position[end]), int(pred[start]))

    def _extend(self, gt: int, first: int, last: int, pred: int) -> None:
        runs = self.runs.setdefault(gt, [])
        if runs and runs[-1][2] == pred and runs[-1][1] + 1 == first:
            runs[-1][1] = last
        else:
            runs.append([first, last, pred])

    def broken(self, frames: List[int], limit: int) -> List[dict]:
        """The longest tubes whose predicted id changes at least once, longest first.

        Args:
            frames: Frame number of each position.
            limit: At most this many.

        Returns:
            one dict per tube: class, instance, num_frames (in which it is visible), num_switches
            (changes from one predicted id to another, with or without missed frames between them),
            runs (list of dict first_frame, last_frame, class, instance; class and instance are
            those of the prediction, None where no predicted object covers the tube).
        """
        found: List[Dict[str, Any]] = []
        for code, runs in self.runs.items():
            ids = [pred for _, _, pred in runs if pred != MISSED]
            switches = sum(a != b for a, b in zip(ids, ids[1:]))
            if switches:
                found.append(
                    {
                        'class': code >> INSTANCE_BITS,
                        'instance': code & MAX_INSTANCE,
                        'num_frames': sum(last - first + 1 for first, last, _ in runs),
                        'num_switches': switches,
                        'runs': [
                            {
                                'first_frame': frames[first],
                                'last_frame': frames[last],
                                'class': None if pred == MISSED else pred >> INSTANCE_BITS,
                                'instance': None if pred == MISSED else pred & MAX_INSTANCE,
                            }
                            for first, last, pred in runs
                        ],
                    }
                )
        found.sort(
            key=lambda track: (
                -track['num_frames'],
                -track['num_switches'],
                track['class'],
                track['instance'],
            )
        )
        return found[:limit]
