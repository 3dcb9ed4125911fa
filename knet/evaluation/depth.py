"""Depth terms of the depth-aware metrics (ViP-DeepLab, arXiv 2012.05258). Depth maps are uint16,
metres * 256, 0 = no value.

DVPQ: a pixel whose relative depth error exceeds lambda loses its predicted class. DSTQ: (STQ^2 *
DQ)^(1/3), where DQ is the share of labelled pixels whose depth is within a factor t of the truth.
Beside them the usual measures of depth alone (Eigen et al., arXiv 1406.2283), of each image, then
the mean over images.
"""

from typing import NamedTuple, Sequence, Tuple

import numpy as np


class DepthOptions(NamedTuple):
    """Thresholds of the depth-aware metrics.

    lambdas: Relative errors above which DVPQ drops a pixel's prediction.
    thresholds: Factors t between predicted and true depth up to which DQ counts a pixel as an
        inlier.
    """

    lambdas: Tuple[float, ...] = (0.5, 0.25, 0.1)
    thresholds: Tuple[float, ...] = (1.25,)


DEPTH_MEASURES = (
    'abs_rel',
    'sq_rel',
    'rmse',
    'rmse_log',
    'within_1.25',
    'within_1.25^2',
    'within_1.25^3',
)
"""mean |d - t| / t; mean (d - t)^2 / t, metres; root of mean (d - t)^2, metres, and of mean
(log d - log t)^2; shares of pixels with max(d / t, t / d) under the power."""


def measure_depth(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """The `DEPTH_MEASURES` of an image, and before them 1; all 0 where nothing is labelled.

    Args:
        pred: Predicted depth, shape (H, W), uint16; 0, no prediction, counts as the nearest depth.
        gt: True depth, likewise; pixels of value 0 are not counted.

    Returns:
        shape (8,), float64.
    """
    labelled = gt > 0
    if not labelled.any():
        return np.zeros(1 + len(DEPTH_MEASURES))
    truth = gt[labelled] / np.float32(256)
    guess = np.maximum(pred[labelled], 1) / np.float32(256)
    square, ratio = (guess - truth) ** 2, guess / truth
    logarithm, worse = np.log(ratio), np.maximum(ratio, 1 / ratio)
    return np.array(
        [
            1,
            np.mean(np.abs(guess - truth) / truth, dtype=np.float64),
            np.mean(square / truth, dtype=np.float64),
            np.sqrt(np.mean(square, dtype=np.float64)),
            np.sqrt(np.mean(logarithm**2, dtype=np.float64)),
            *(np.mean(worse < 1.25**power) for power in (1, 2, 3)),
        ]
    )


def resize_nearest(depth: np.ndarray, shape: Tuple[int, int]) -> np.ndarray:
    """Resize a map to (H, W) by nearest neighbour: source index = target index * source size //
    target size."""
    if depth.shape == tuple(shape):
        return depth
    rows, columns = (np.arange(size) * source // size for size, source in zip(shape, depth.shape))
    return depth[rows[:, None], columns]


def depth_bins(pred: np.ndarray, gt: np.ndarray, lambdas: Sequence[float]) -> np.ndarray:
    """How many of the lambdas the relative error |pred - gt| / gt exceeds, per pixel, in float64.

    Args:
        pred: Predicted depth, shape (H, W), uint16.
        gt: True depth, likewise; pixels of value 0 exceed nothing.

    Returns:
        shape (H, W), uint8.
    """
    bins = np.zeros(gt.shape, np.uint8)
    labelled = gt > 0
    truth = gt[labelled].astype(np.float64)
    error = np.abs(pred[labelled] - truth) / truth
    bins[labelled] = sum((error > value).astype(np.uint8) for value in lambdas)
    return bins


def count_depth_inliers(
    pred: np.ndarray, gt: np.ndarray, thresholds: Sequence[float]
) -> Tuple[np.ndarray, int]:
    """Count pixels with a predicted depth and max(pred / gt, gt / pred) <= t, in float32.

    Args:
        pred: Predicted depth, shape (H, W), uint16.
        gt: True depth, likewise; pixels of value 0 are not counted.

    Returns:
        inliers for each threshold, shape (T,), int64, and the number of pixels with a true depth.
    """
    labelled = gt > 0
    both = labelled & (pred > 0)
    truth, guess = gt[both].astype(np.float32), pred[both].astype(np.float32)
    ratio = np.maximum(guess / truth, truth / guess)
    inliers = [np.count_nonzero(ratio <= np.float32(value)) for value in thresholds]
    return np.array(inliers, np.int64), int(np.count_nonzero(labelled))
