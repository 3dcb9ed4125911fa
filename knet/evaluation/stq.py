"""Segmentation and tracking quality, STQ = sqrt(AQ * SQ) (STEP, arXiv 2102.11859), of one
sequence's joint histogram.

SQ is the mean IoU of the classes. AQ follows every ground-truth tube g, the pixels of one object
over the whole sequence:

    AQ = 1/|G| * sum_g 1/|g| * sum_p |g ∩ p| * |g ∩ p| / |g ∪ p|

over the predicted tubes p; the classes of g and p need not agree, so that recognition is left to
SQ.
"""

from typing import NamedTuple, Tuple

import numpy as np

from knet.evaluation.histogram import (
    CODE_BITS,
    CODE_MASK,
    INSTANCE_BITS,
    MAX_INSTANCE,
    PRED_SHIFT,
    Pairs,
)
from knet.evaluation.protocol import Protocol

EPSILON = 1e-15
MIN_COVERAGE = np.float32(1e-8)


class STQCounts(NamedTuple):
    """What STQ needs to know of one sequence; C = `protocol.size`.

    confusion: Pixels (or their weight) of each ground-truth class by predicted class, shape (C, C),
        int64 or float64.
    association: Sum of the association of the tubes of each class, shape (C,), float64.
    tubes: Ground-truth tubes of each class, shape (C,), int64.
    """

    confusion: np.ndarray
    association: np.ndarray
    tubes: np.ndarray


def count_stq(pairs: Pairs, protocol: Protocol, weighted: bool = False) -> STQCounts:
    """Reduce a sequence's joint histogram to what STQ needs.

    Args:
        pairs: All frames of one sequence together, classes as indices of the protocol.
        weighted: Count a pixel as 1 / max(coverage, 1e-8): weighted STQ (arXiv 2206.07704).
    """
    gt, pred, size = pair_sizes(pairs, weighted)
    gt_class, pred_class = gt >> INSTANCE_BITS, pred >> INSTANCE_BITS
    labelled = gt_class != protocol.void_class
    confusion = np.zeros((protocol.size, protocol.size), size.dtype)
    np.add.at(confusion, (gt_class[labelled], pred_class[labelled]), size[labelled])
    overlaps = find_overlaps(gt, pred, size, protocol)
    tube_class = overlaps.tubes >> INSTANCE_BITS
    association = np.zeros(protocol.size)
    np.add.at(association, tube_class, tube_associations(overlaps))
    return STQCounts(confusion, association, np.bincount(tube_class, minlength=protocol.size))


def pair_sizes(pairs: Pairs, weighted: bool = False) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground-truth codes and predicted codes of all different pairs, (N,), int64, and their pixels,
    int64, or weights, float64; for the arguments see `count_stq`."""
    if weighted:
        # The reference code forms the weights in float32 and sums them in float64.
        weight = (
            np.float32(1) / np.maximum(pairs.coverage.astype(np.float32), MIN_COVERAGE)
        ).astype(np.float64)
    else:
        weight = np.ones(len(pairs.counts), np.int64)
    key, inverse = np.unique(pairs.keys >> PRED_SHIFT, return_inverse=True)
    size = np.zeros(len(key), weight.dtype)
    np.add.at(size, inverse, pairs.counts * weight)
    return (key >> CODE_BITS).astype(np.int64), (key & CODE_MASK).astype(np.int64), size


class Overlaps(NamedTuple):
    """Where true and predicted tubes of a sequence overlap.

    tubes: Codes of the true tubes, (M,), int64, rising.
    tube_sizes: Their pixels or weight, (M,).
    gt, pred: Indices of the tubes of each overlap, (N,), int64.
    size, union: Pixels or weight of each overlap, and of its tubes together, (N,).
    """

    tubes: np.ndarray
    tube_sizes: np.ndarray
    gt: np.ndarray
    pred: np.ndarray
    size: np.ndarray
    union: np.ndarray


def find_overlaps(
    gt: np.ndarray, pred: np.ndarray, size: np.ndarray, protocol: Protocol
) -> Overlaps:
    """Overlaps of tubes.

    Args:
        gt, pred, size: See `pair_sizes`.
        protocol: Classes and rules.
    """
    labelled = gt >> INSTANCE_BITS != protocol.void_class
    is_tube_class = protocol.member_table(protocol.tube_ids)
    gt_thing = is_tube_class[gt >> INSTANCE_BITS]
    crowd = gt_thing & (gt & MAX_INSTANCE == 0)
    in_gt = gt_thing & ~crowd
    in_pred = is_tube_class[pred >> INSTANCE_BITS] & ~crowd
    if protocol.drop_void:
        in_pred &= labelled
    gt_ids, gt_index, gt_size = _sizes(gt, size, in_gt)
    _, pred_index, pred_size = _sizes(pred, size, in_pred)
    both = in_gt & in_pred
    overlap, gt_index, pred_index = size[both], gt_index[both], pred_index[both]
    union = gt_size[gt_index] + pred_size[pred_index] - overlap
    return Overlaps(gt_ids, gt_size, gt_index, pred_index, overlap, union)


def tube_associations(found: Overlaps) -> np.ndarray:
    """The association of each true tube, the terms of AQ, (M,), float64, 0..1."""
    per_tube = np.zeros(len(found.tubes))
    np.add.at(per_tube, found.gt, found.size * (found.size / found.union))
    return per_tube / found.tube_sizes


def freed_associations(found: Overlaps) -> np.ndarray:
    """What the terms of AQ of all other tubes gain together if the predicted tubes give up the
    pixels of a true one, (M,), float64, for each true tube."""
    # every overlap with every one of the same predicted tube
    order = np.argsort(found.pred, kind='stable')
    number = np.bincount(found.pred)[found.pred[order]]
    starts = np.searchsorted(found.pred[order], found.pred[order])
    rank = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    giving, gaining = np.repeat(order, number), order[np.repeat(starts, number) + rank]
    others = giving != gaining
    giving, gaining = giving[others], gaining[others]
    overlap, union = found.size[gaining], found.union[gaining]
    gain = overlap * (overlap / (union - found.size[giving]) - overlap / union)
    freed = np.zeros(len(found.tubes))
    np.add.at(freed, found.gt[giving], gain / found.tube_sizes[found.gt[gaining]])
    return freed


def _sizes(codes: np.ndarray, size: np.ndarray, mask: np.ndarray):
    """Distinct codes under the mask (M,), the position of each row among them (N,), and their
    summed sizes (M,)."""
    ids, inverse = np.unique(codes[mask], return_inverse=True)
    total = np.zeros(len(ids), size.dtype)
    np.add.at(total, inverse, size[mask])
    index = np.full(len(codes), -1, np.int64)
    index[mask] = inverse
    return ids, index, total
