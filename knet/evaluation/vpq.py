"""Video panoptic quality (VPSNet, arXiv 2006.11339): panoptic quality of segments that reach over k
successive frames.

A segment is one code in a window of k frames, stride 1. Segments of the same class match if their
IoU exceeds 0.5, where pixels of the prediction on void are left out of the union. An unmatched
prediction counts unless more than half of it lies on void. (As in the published code, void with an
instance id is void for the second rule only.) Per class, over all windows: SQ = sum of IoU / TP, RQ
= TP / (TP + FN/2 + FP/2), PQ = SQ * RQ.
"""

from typing import NamedTuple, Tuple

import numpy as np

from knet.evaluation.histogram import INSTANCE_BITS, group_sum

CODE_BITS = 24
CODE_MASK = (1 << CODE_BITS) - 1


class PanopticCounts(NamedTuple):
    """Sums over windows, per class; all of shape (C,).

    iou: Summed IoU of the matches, float64. tp, fn, fp: Segments, int64.
    """

    iou: np.ndarray
    tp: np.ndarray
    fn: np.ndarray
    fp: np.ndarray

    @classmethod
    def zeros(cls, size: int) -> 'PanopticCounts':
        return cls(np.zeros(size), *(np.zeros(size, np.int64) for _ in range(3)))

    def add(self, other: 'PanopticCounts') -> None:
        """Add other sums in place."""
        for mine, theirs in zip(self, other):
            mine += theirs


def window_rows(
    frame: np.ndarray, first: int, last: int, size: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Assign the rows of frames to the windows that hold them.

    Args:
        frame: Position of the frame of each row, shape (N,), int64.
        first: Position of the first frame of the first window.
        last: Position of the first frame of the last window.
        size: Frames per window.

    Returns:
        index of a row, shape (M,), and its window (position of the window's first frame), shape
        (M,).
    """
    rows = np.tile(np.arange(len(frame)), size)
    windows = (frame[None] - np.arange(size)[:, None]).reshape(-1)
    inside = (windows >= first) & (windows <= last)
    return rows[inside], windows[inside]


def match_segments(
    window: np.ndarray,
    gt: np.ndarray,
    pred: np.ndarray,
    count: np.ndarray,
    void_class: int,
    totals: PanopticCounts,
) -> None:
    """Match the segments of windows and add the outcome to `totals`.

    The IoU are added one by one in the order of the windows, so the sums do not depend on how
    windows are spread over calls.

    Args:
        window: Window of each row, shape (N,), int64, 0..32767.
        gt: Ground-truth code, shape (N,), int64, classes below `len(totals.iou)`.
        pred: Predicted code, likewise.
        count: Pixels, shape (N,), int64; rows may repeat.
        void_class: Class of void in `gt` and `pred`.
    """
    key, count = group_sum(((window << CODE_BITS | gt) << CODE_BITS | pred).astype(np.int64), count)
    gt_index, gt_size, gt_class = _segments(key >> CODE_BITS, count)
    pred_key = key >> 2 * CODE_BITS << CODE_BITS | key & CODE_MASK
    pred_index, pred_size, pred_class = _segments(pred_key, count)
    row_gt = (key >> CODE_BITS) & CODE_MASK
    on_void = row_gt >> INSTANCE_BITS == void_class
    pred_void, pred_plain_void = (
        _sum_at(pred_index[rows], count[rows], len(pred_size))
        for rows in (on_void, row_gt == void_class << INSTANCE_BITS)
    )

    union = gt_size[gt_index] + pred_size[pred_index] - count - pred_plain_void[pred_index]
    matched = (gt_class[gt_index] == pred_class[pred_index]) & ~on_void & (2 * count > union)
    match_class = gt_class[gt_index[matched]]
    np.add.at(totals.iou, match_class, count[matched] / union[matched])
    np.add.at(totals.tp, match_class, 1)
    missed = gt_class != void_class
    missed[gt_index[matched]] = False
    np.add.at(totals.fn, gt_class[missed], 1)
    false = (pred_class != void_class) & (2 * pred_void <= pred_size)
    false[pred_index[matched]] = False
    np.add.at(totals.fp, pred_class[false], 1)


def _segments(key: np.ndarray, count: np.ndarray):
    """The segment of each row, shape (N,), and the pixels and class of each segment, shape (M,),
    from (window, code) keys."""
    segments, index = np.unique(key, return_inverse=True)
    return index, _sum_at(index, count, len(segments)), (segments & CODE_MASK) >> INSTANCE_BITS


def _sum_at(index: np.ndarray, count: np.ndarray, size: int) -> np.ndarray:
    """Sum of the counts of each index, shape (size,), int64."""
    total = np.zeros(size, np.int64)
    np.add.at(total, index, count)
    return total
