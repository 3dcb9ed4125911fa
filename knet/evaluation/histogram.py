"""Joint histogram of a frame: how many pixels carry which (ground-truth code, predicted code).

A code is `(class << 16) | instance`. A street scene has about 50 such pairs, so STQ and VPQ for all
window sizes follow from this sparse table and the pixels are visited once. Pairs are packed into
one uint64 key, so that a sort groups them:

    ground-truth code (24 bits) | predicted code (24 bits) | coverage (8 bits) | depth bin (8 bits)

Coverage is the number of cameras that see a pixel (weighted STQ), 1 without one. The depth bin is
the number of depth error thresholds that the pixel exceeds (`knet.evaluation.depth`), 0 without
depth.
"""

from typing import NamedTuple, Optional, Tuple

import numpy as np

from knet.errors import InputError

INSTANCE_BITS = 16
MAX_INSTANCE = (1 << INSTANCE_BITS) - 1
MAX_CLASS = 255
CODE_BITS = np.uint64(24)
CODE_MASK = np.uint64((1 << 24) - 1)
GT_SHIFT, PRED_SHIFT, COVERAGE_SHIFT = np.uint64(40), np.uint64(16), np.uint64(8)
BYTE_MASK = np.uint64(255)


class Pairs(NamedTuple):
    """A sparse joint histogram.

    keys: Packed pairs, shape (N,), uint64, rising and without repetition.
    counts: Pixels of each pair, shape (N,), int64.
    """

    keys: np.ndarray
    counts: np.ndarray

    @property
    def gt(self) -> np.ndarray:
        """Ground-truth codes, shape (N,), int64."""
        return (self.keys >> GT_SHIFT).astype(np.int64)

    @property
    def pred(self) -> np.ndarray:
        """Predicted codes, shape (N,), int64."""
        return ((self.keys >> PRED_SHIFT) & CODE_MASK).astype(np.int64)

    @property
    def coverage(self) -> np.ndarray:
        """Number of cameras, shape (N,), int64, 0..255."""
        return ((self.keys >> COVERAGE_SHIFT) & BYTE_MASK).astype(np.int64)

    @property
    def depth_bin(self) -> np.ndarray:
        """Number of exceeded depth error thresholds, shape (N,), int64, 0..255."""
        return (self.keys & BYTE_MASK).astype(np.int64)


def encode(semantic: np.ndarray, instance: np.ndarray, where: str) -> np.ndarray:
    """Codes `(class << 16) | instance`, shape (H, W), uint32.

    Args:
        semantic: Class ids, shape (H, W), any integer type, 0..255.
        instance: Instance ids, shape (H, W), any integer type, 0..65535.
        where: Names the frame and the map in errors.

    Raises:
        InputError: wrong shape, type or range.
    """
    if semantic.ndim != 2 or semantic.shape != instance.shape or not semantic.size:
        raise InputError(
            f'{where}: the class map has shape {semantic.shape}, the instance map '
            f'{instance.shape}; both must be '
            '(height, width)'
        )
    for values, name, largest in (
        (semantic, 'class', MAX_CLASS),
        (instance, 'instance id', MAX_INSTANCE),
    ):
        if values.dtype.kind not in 'iu':
            raise InputError(f'{where}: {name} map of type {values.dtype}; integers are needed')
        if np.iinfo(values.dtype).max > largest or values.dtype.kind == 'i':
            low, high = values.min(), values.max()
            if low < 0 or high > largest:
                raise InputError(
                    f'{where}: {name} {low if low < 0 else high} is out of range; it must lie in '
                    f'0..{largest}'
                )
    return semantic.astype(np.uint32) << np.uint32(INSTANCE_BITS) | instance.astype(np.uint32)


def split_codes(codes: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Classes, uint8, and instance ids, int32, of codes, all (H, W); see `encode`."""
    return (codes >> INSTANCE_BITS).astype(np.uint8), (codes & MAX_INSTANCE).astype(np.int32)


def group_sum(keys: np.ndarray, counts: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Sum the counts of equal keys.

    Args:
        keys: Shape (N,), any integer type.
        counts: Shape (N,), int64.

    Returns:
        the distinct keys, rising, shape (M,), and their sums, shape (M,), int64.
    """
    if keys.size == 0:
        return keys, counts
    order = np.argsort(keys, kind='stable')
    keys = keys[order]
    starts = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1))
    return keys[starts], np.add.reduceat(counts[order], starts)


def pack(gt: np.ndarray, pred: np.ndarray, coverage=1, depth_bin=0) -> np.ndarray:
    """Keys of pairs, shape (N,), uint64, from codes below 2**24 and bytes (arrays of shape (N,), or
    numbers)."""
    low = np.asarray(coverage, np.uint64) << COVERAGE_SHIFT | np.asarray(depth_bin, np.uint64)
    return gt.astype(np.uint64) << GT_SHIFT | pred.astype(np.uint64) << PRED_SHIFT | low


def joint_histogram(
    gt: np.ndarray,
    pred: np.ndarray,
    coverage: Optional[np.ndarray] = None,
    depth_bin: Optional[np.ndarray] = None,
) -> Pairs:
    """Count the pairs of a frame.

    Neighbouring pixels mostly carry the same pair, so runs of equal pairs are found first and only
    the runs are sorted: about forty times less than the pixels.

    Args:
        gt: Ground-truth codes, shape (H, W), uint32, below 2**24.
        pred: Predicted codes, likewise.
        coverage: Number of cameras that see each pixel, shape (H, W), uint8.
        depth_bin: Depth bin of each pixel, shape (H, W), uint8.
    """
    gt, pred = gt.reshape(-1), pred.reshape(-1)
    changes = gt[1:] != gt[:-1]
    changes |= pred[1:] != pred[:-1]
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    lengths = np.diff(starts, append=gt.size)
    keys = pack(gt[starts], pred[starts])
    if coverage is None and depth_bin is None:
        return Pairs(*group_sum(keys, lengths))
    # Depth errors change from pixel to pixel, so runs would be short; the few distinct values are
    # counted per pair instead.
    keys, index = np.unique(keys, return_inverse=True)
    coverage = np.ones(1, np.uint8) if coverage is None else coverage.reshape(-1)
    depth_bin = np.zeros(1, np.uint8) if depth_bin is None else depth_bin.reshape(-1)
    shape = len(keys), int(coverage.max()) + 1, int(depth_bin.max()) + 1
    counts = np.bincount(
        (np.repeat(index, lengths) * shape[1] + coverage) * shape[2] + depth_bin,
        minlength=np.prod(shape),
    )
    index, coverage, depth_bin = np.nonzero(counts.reshape(shape))
    keys = (
        (keys[index] >> PRED_SHIFT << PRED_SHIFT)
        | coverage.astype(np.uint64) << COVERAGE_SHIFT
        | depth_bin.astype(np.uint64)
    )
    return Pairs(keys, counts[counts > 0])
