"""Accumulates frames of panoptic video and gives STQ, VPQ for several window sizes, and their depth-aware and weighted forms."""
from typing import Dict, Optional, Sequence, Union

import numpy as np

from knet.errors import InputError
from knet.evaluation.depth import DepthOptions, count_depth_inliers, depth_bins, resize_nearest
from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE, Pairs, group_sum, joint_histogram, pack
from knet.evaluation.protocol import CLASS_RANGE, Protocol, get_protocol
from knet.evaluation.result import assemble_result
from knet.evaluation.sequence import FrameCounts, SequenceState, SequenceSummary, Settings

NO_DEPTH = np.zeros(0, np.int64)


class VideoPanopticEvaluator:
    """Measures panoptic video.

    Frames of a sequence must arrive in rising order, because VPQ looks at windows of successive frames; sequences may be
    interleaved. States of different sequences can be merged, in any order, to the same floats.

    Args:
        protocol: 'step' (default), 'video-knet' or 'waymo', or a `Protocol`.
        window_sizes: Frames per window for VPQ.
        depth: Thresholds for DSTQ and DVPQ; None leaves depth out.
        weighted: Weight pixels of STQ by 1 / coverage.

    Raises:
        InputError: unknown protocol, no or bad window sizes, bad thresholds.
    """

    def __init__(self, protocol: Union[str, Protocol] = 'step', window_sizes: Sequence[int] = (1, 2, 3, 4),
                 depth: Optional[DepthOptions] = None, weighted: bool = False):
        self.settings = Settings(get_protocol(protocol), _window_sizes(window_sizes), _depth_options(depth), weighted)
        self._class_table = self.settings.protocol.class_table()
        self._open: Dict[int, SequenceState] = {}
        self._closed: Dict[int, SequenceSummary] = {}

    def add_frame(self, sequence: int, frame: int, gt_semantic: np.ndarray, gt_instance: np.ndarray, pred_semantic: np.ndarray,
                  pred_instance: np.ndarray, coverage: Optional[np.ndarray] = None, tracked: Optional[np.ndarray] = None,
                  gt_depth: Optional[np.ndarray] = None, pred_depth: Optional[np.ndarray] = None) -> None:
        """Add a frame.

        Args:
            sequence: Sequence number.
            frame: Frame number, larger than those of the sequence's former frames.
            gt_semantic: Class ids, shape (H, W), any integer type; 255 is void.
            gt_instance: Instance ids, shape (H, W), any integer type, 0..65535.
            pred_semantic: Like `gt_semantic`.
            pred_instance: Like `gt_instance`.
            coverage: Number of cameras that see a pixel, shape (H, W), uint8; needed if `weighted`.
            tracked: Where 0, the ground truth has no instance id, shape (H, W), any integer type or bool.
            gt_depth: True depth, shape (H, W), uint16, metres * 256, 0 = no label; needed with `depth`.
            pred_depth: Predicted depth, of any size (resized to the ground truth's by nearest neighbour), uint16, metres * 256.

        Raises:
            InputError: wrong shape or range, frames out of order, a closed sequence. The message names sequence and frame.
        """
        where = f'sequence {sequence}, frame {frame}'
        gt = encode(gt_semantic, gt_instance, f'{where}: ground truth')
        pred = encode(pred_semantic, pred_instance, f'{where}: prediction')
        self.add_counts(sequence, frame, self.count_codes(where, gt, pred, coverage, tracked, gt_depth, pred_depth))

    def count_codes(self, where: str, gt: np.ndarray, pred: np.ndarray, coverage: Optional[np.ndarray] = None,
                    tracked: Optional[np.ndarray] = None, gt_depth: Optional[np.ndarray] = None,
                    pred_depth: Optional[np.ndarray] = None) -> FrameCounts:
        """Count a frame without adding it. Changes no state, so threads may share the evaluator.

        Args:
            where: Names the frame in errors.
            gt: Codes `(class << 16) | instance`, shape (H, W), uint32.
            pred: Likewise. The other arguments are those of `add_frame`.

        Raises:
            InputError: wrong shape, a class out of range, a missing map.
        """
        self._check_maps(where, gt, (('prediction', pred), ('coverage', coverage), ('tracked mask', tracked), ('true depth', gt_depth)))
        if tracked is not None:
            gt = np.where(tracked, gt, gt >> INSTANCE_BITS << INSTANCE_BITS)
        inliers, total, bins = NO_DEPTH, 0, None
        if self.settings.depth:
            if gt_depth is None or pred_depth is None:
                raise InputError(f'{where}: depth-aware metrics need a true and a predicted depth map')
            pred_depth = resize_nearest(pred_depth, gt.shape)
            inliers, total = count_depth_inliers(pred_depth, gt_depth, self.settings.depth.thresholds)
            bins = depth_bins(pred_depth, gt_depth, self.settings.depth.lambdas)
        if self.settings.weighted and coverage is None:
            raise InputError(f'{where}: weighted STQ needs a coverage map')
        pairs = joint_histogram(gt, pred, coverage if self.settings.weighted else None, bins)
        return FrameCounts(self._to_indices(where, pairs), inliers, total)
