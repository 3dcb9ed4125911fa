"""Accumulates frames of panoptic video and gives STQ, VPQ for several window sizes, and their
depth-aware and weighted forms."""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from knet.errors import InputError
from knet.evaluation.depth import (
    DepthOptions,
    count_depth_inliers,
    depth_bins,
    measure_depth,
    resize_nearest,
)
from knet.evaluation.histogram import (
    INSTANCE_BITS,
    MAX_INSTANCE,
    Pairs,
    encode,
    group_sum,
    joint_histogram,
    pack,
)
from knet.evaluation.protocol import Protocol, get_protocol
from knet.evaluation.result import assemble_result
from knet.evaluation.sequence import FrameCounts, SequenceState, SequenceSummary, Settings

SequenceId = Union[int, str]
"""Number or name of a sequence; those of one evaluation are of one type."""


class FrameMaps(NamedTuple):
    """The maps of a frame, all of shape (H, W) but `pred_depth`.

    gt, pred: Codes `(class << 16) | instance`, uint32; class 255 is void.
    coverage: Number of cameras that see a pixel, uint8; needed for weighted STQ.
    tracked: Where 0, the ground truth has no instance id; uint8 or bool.
    gt_depth: True depth, uint16, metres * 256, 0 = no label; needed for the depth-aware metrics.
    pred_depth: Predicted depth, likewise, of any size: resized to the ground truth's by nearest
        neighbour.
    """

    gt: np.ndarray
    pred: np.ndarray
    coverage: Optional[np.ndarray] = None
    tracked: Optional[np.ndarray] = None
    gt_depth: Optional[np.ndarray] = None
    pred_depth: Optional[np.ndarray] = None


class VideoPanopticEvaluator:
    """Measures panoptic video.

    Frames of a sequence must arrive in rising order, because VPQ looks at windows of successive
    frames; sequences may be interleaved. States of different sequences can be merged, in any order,
    and give the same floats.

    Args:
        protocol: 'step' (default), 'video-knet' or 'waymo', or a `Protocol`.
        window_sizes: Frames per window of VPQ.
        depth: Thresholds of DSTQ and DVPQ; None leaves depth out.
        weighted: Weight pixels of STQ by 1 / coverage.

    Raises:
        InputError: unknown protocol, bad window sizes or thresholds.
    """

    def __init__(
        self,
        protocol: Union[str, Protocol] = 'step',
        window_sizes: Sequence[int] = (1, 2, 3, 4),
        depth: Optional[DepthOptions] = None,
        weighted: bool = False,
    ):
        self.settings = Settings(get_protocol(protocol), tuple(window_sizes), depth, weighted)
        self._class_table = self.settings.protocol.class_table()
        self._open: Dict[SequenceId, SequenceState] = {}
        self._closed: Dict[SequenceId, SequenceSummary] = {}

    def add_frame(
        self,
        sequence: SequenceId,
        frame: int,
        gt_semantic: np.ndarray,
        gt_instance: np.ndarray,
        pred_semantic: np.ndarray,
        pred_instance: np.ndarray,
        coverage: Optional[np.ndarray] = None,
        tracked: Optional[np.ndarray] = None,
        gt_depth: Optional[np.ndarray] = None,
        pred_depth: Optional[np.ndarray] = None,
    ) -> None:
        """Add a frame.

        Args:
            sequence: Sequence number.
            frame: Frame number, larger than those of the sequence's former frames.
            gt_semantic: Class ids, shape (H, W), any integer type; 255 is void.
            gt_instance: Instance ids, shape (H, W), any integer type, 0..65535; 0 is stuff or
                crowd.
            pred_semantic: Like `gt_semantic`.
            pred_instance: Like `gt_instance`.
            coverage, tracked, gt_depth, pred_depth: See `FrameMaps`.

        Raises:
            InputError: wrong shape or range, frames out of order, a closed sequence. The message
                names sequence and frame.
        """
        where = f'sequence {sequence}, frame {frame}'
        maps = FrameMaps(
            encode(gt_semantic, gt_instance, f'{where}: ground truth'),
            encode(pred_semantic, pred_instance, f'{where}: prediction'),
            coverage,
            tracked,
            gt_depth,
            pred_depth,
        )
        self.add_counts(sequence, frame, self.count(sequence, frame, maps))

    def count(self, sequence: SequenceId, frame: int, maps: FrameMaps) -> FrameCounts:
        """Count a frame without adding it: the costly part. It changes no state, so threads may
        share the evaluator.

        Raises:
            InputError: wrong shape, a class out of range, a missing map.
        """
        where = f'sequence {sequence}, frame {frame}'
        self._check_maps(where, maps)
        gt, depth = maps.gt, self.settings.depth
        if maps.tracked is not None:
            gt = np.where(maps.tracked, gt, gt >> INSTANCE_BITS << INSTANCE_BITS)
        inliers, total, bins, measures = np.zeros(0, np.int64), 0, None, np.zeros(0)
        if depth and maps.gt_depth is not None and maps.pred_depth is not None:
            pred_depth = resize_nearest(maps.pred_depth, gt.shape)
            inliers, total = count_depth_inliers(pred_depth, maps.gt_depth, depth.thresholds)
            bins = depth_bins(pred_depth, maps.gt_depth, depth.lambdas)
            measures = measure_depth(pred_depth, maps.gt_depth)
        pairs = joint_histogram(
            gt, maps.pred, maps.coverage if self.settings.weighted else None, bins
        )
        return FrameCounts(self._to_indices(where, pairs), inliers, total, measures)

    def add_counts(self, sequence: SequenceId, frame: int, counts: FrameCounts) -> None:
        """Add a counted frame (see `count`) to its sequence.

        Raises:
            InputError: frames out of order, a closed sequence.
        """
        if sequence in self._closed:
            raise InputError(
                f'sequence {sequence}, frame {frame}: the sequence is closed; close it after its '
                'last frame'
            )
        if sequence not in self._open:
            self._open[sequence] = SequenceState(self.settings)
        state = self._open[sequence]
        if state.frames and frame <= state.frames[-1]:
            raise InputError(
                f'sequence {sequence}, frame {frame}: comes after frame {state.frames[-1]}; '
                'frames must arrive in '
                'rising order'
            )
        state.add(frame, counts)

    def close_sequence(self, sequence: SequenceId) -> None:
        """Reduce a sequence to its sums. This frees its memory; no more frames of it can be added.

        Raises:
            KeyError: the sequence is not open.
        """
        self._closed[sequence] = self._open.pop(sequence).summary()

    def merge(self, other: 'VideoPanopticEvaluator') -> None:
        """Take over the sequences of another evaluator of the same settings, which must not be used
        any more.

        Raises:
            InputError: other settings, or a sequence that both have seen.
        """
        if other.settings != self.settings:
            raise InputError(
                f'evaluators of different settings cannot be merged: {self.settings} and '
                f'{other.settings}'
            )
        for sequence in other.sequences:
            if sequence in self.sequences:
                raise InputError(
                    f'sequence {sequence} is in both evaluators; a sequence must be evaluated '
                    'whole in one of them'
                )
        self._open.update(other._open)
        self._closed.update(other._closed)

    @property
    def sequences(self) -> Tuple[SequenceId, ...]:
        """The sequences seen so far, rising."""
        return tuple(sorted([*self._open, *self._closed]))

    def result(self) -> dict:
        """All metrics of the frames so far; see `knet.evaluation.result` for the keys. More frames
        may follow.

        Raises:
            InputError: no frame was added.
        """
        if not self.sequences:
            raise InputError('nothing to evaluate: no frame was added')
        summaries = {
            sequence: self._closed[sequence]
            if sequence in self._closed
            else self._open[sequence].summary()
            for sequence in self.sequences
        }
        return assemble_result(self.settings, summaries)

    def _check_maps(self, where: str, maps: FrameMaps) -> None:
        """Raise an InputError where a map is missing or of another type or size than it must be."""
        depth = self.settings.depth is not None
        for key, name, types, needed in (
            ('pred', 'prediction', 'uint32', True),
            ('coverage', 'coverage map', 'uint8', self.settings.weighted),
            ('tracked', 'tracked mask', 'uint8 bool', False),
            ('gt_depth', 'true depth', 'uint16', depth),
            ('pred_depth', 'predicted depth', 'uint16', depth),
        ):
            value = getattr(maps, key)
            if value is None:
                if needed:
                    raise InputError(f'{where}: the {name} is missing')
                continue
            if value.dtype.name not in types.split():
                raise InputError(
                    f'{where}: the {name} is of type {value.dtype}; {" or ".join(types.split())} '
                    'is needed'
                )
            if value.ndim != 2 or (value.shape != maps.gt.shape and key != 'pred_depth'):
                raise InputError(
                    f'{where}: the {name} has shape {value.shape}, the ground truth '
                    f'{maps.gt.shape} (height, width)'
                )

    def _to_indices(self, where: str, pairs: Pairs) -> Pairs:
        """Replace the classes on disk by the protocol's indices; all predicted void becomes one
        code.

        Raises:
            InputError: a class that the protocol does not know.
        """
        protocol = self.settings.protocol
        codes = []
        for name, code in (('ground truth', pairs.gt), ('prediction', pairs.pred)):
            ids = code >> INSTANCE_BITS
            classes = self._class_table[ids]
            if classes.min() < 0:
                bad = ', '.join(map(str, np.unique(ids[classes < 0])))
                raise InputError(
                    f'{where}: the {name} holds class {bad}; protocol {protocol.name} has classes '
                    f'0..{protocol.label_space.num_classes - 1} and 255 = void; --protocol names '
                    'other classes'
                )
            codes.append(classes << INSTANCE_BITS | code & MAX_INSTANCE)
        gt, pred = codes
        void = protocol.void_class
        pred = np.where(pred >> INSTANCE_BITS == void, void << INSTANCE_BITS, pred)
        return Pairs(*group_sum(pack(gt, pred, pairs.coverage, pairs.depth_bin), pairs.counts))
