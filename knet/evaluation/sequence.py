"""The state of one sequence while its frames arrive, and the few numbers that remain of it
afterwards."""

from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from knet.errors import InputError
from knet.evaluation.depth import DEPTH_MEASURES, DepthOptions
from knet.evaluation.histogram import BYTE_MASK, INSTANCE_BITS, Pairs, group_sum
from knet.evaluation.protocol import Protocol
from knet.evaluation.stq import STQCounts, count_stq
from knet.evaluation.tracks import TrackRecorder
from knet.evaluation.vpq import PanopticCounts, match_segments, window_rows

CHUNK = 64
MAX_WINDOW = 1000
MAX_THRESHOLDS = 100
MAX_BROKEN_TRACKS = 20


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Args:
        protocol: Classes and rules.
        window_sizes: Frames per VPQ window, each at least 1.
        depth: Thresholds of the depth-aware metrics, None without depth.
        weighted: Whether STQ weights pixels by 1 / coverage.

    Raises:
        InputError: bad window sizes or thresholds.
    """

    protocol: Protocol
    window_sizes: Tuple[int, ...]
    depth: Optional[DepthOptions] = None
    weighted: bool = False

    def __post_init__(self):
        sizes = self.window_sizes
        if (
            not sizes
            or len(set(sizes)) < len(sizes)
            or not all(isinstance(k, int) and 1 <= k <= MAX_WINDOW for k in sizes)
        ):
            raise InputError(
                f'window sizes (--window-size) must be different whole numbers from 1 to '
                f'{MAX_WINDOW}, got {list(sizes)}'
            )
        for name, values in (self.depth._asdict() if self.depth else {}).items():
            if (
                not 0 < len(values) <= MAX_THRESHOLDS
                or len(set(values)) < len(values)
                or not min(values) > 0
            ):
                raise InputError(
                    f'depth {name} (--depth-{name[:-1]}) must be different positive numbers, at '
                    f'most {MAX_THRESHOLDS}, got {list(values)}'
                )

    @property
    def variants(self) -> Tuple[Optional[float], ...]:
        """The forms of VPQ that are counted: None (plain) and each lambda of DVPQ."""
        return (None,) + (self.depth.lambdas if self.depth else ())


class FrameCounts(NamedTuple):
    """Everything the metrics need to know of a frame.

    pairs: Joint histogram, classes as indices of the protocol.
    depth_inliers: Pixels within each depth threshold, shape (T,), int64.
    depth_total: Pixels with a true depth.
    depth_measures: See `measure_depth`; empty without depth.
    """

    pairs: Pairs
    depth_inliers: np.ndarray
    depth_total: int
    depth_measures: np.ndarray


@dataclass
class SequenceSummary:
    """What remains of a finished sequence.

    Args:
        num_frames: Frames seen.
        stq: Sums of STQ.
        panoptic: Sums of VPQ: None or lambda → window size → sums.
        depth_inliers: Pixels within each depth threshold, shape (T,), int64.
        depth_total: Pixels with a true depth.
        depth_measures: Sums over frames, see `measure_depth`.
        broken_tracks: See `TrackRecorder.broken`.
    """

    num_frames: int
    stq: STQCounts
    panoptic: Dict[Optional[float], Dict[int, PanopticCounts]]
    depth_inliers: np.ndarray
    depth_total: int
    depth_measures: np.ndarray
    broken_tracks: List[dict] = field(repr=False)


class SequenceState:
    """Sums over the frames of one sequence. Frames are buffered and counted 64 at a time, so that
    NumPy works on long arrays."""

    def __init__(self, settings: Settings):
        self.settings = settings
        size = settings.protocol.size
        self.frames: List[int] = []
        self.panoptic = {
            variant: {k: PanopticCounts.zeros(size) for k in settings.window_sizes}
            for variant in settings.variants
        }
        self.tracks = TrackRecorder(settings.protocol)
        self.depth_inliers = np.zeros(
            len(settings.depth.thresholds) if settings.depth else 0, np.int64
        )
        self.depth_total = 0
        self.depth_measures = np.zeros(1 + len(DEPTH_MEASURES) if settings.depth else 0)
        self._pairs = Pairs(np.zeros(0, np.uint64), np.zeros(0, np.int64))
        self._tail: List[Pairs] = []  # counted frames that later windows still reach back to
        self._new: List[Pairs] = []  # frames not counted yet

    def add(self, frame: int, counts: FrameCounts) -> None:
        """Add a frame; its number must be larger than the former one's."""
        self.frames.append(frame)
        self._new.append(counts.pairs)
        self.depth_inliers += counts.depth_inliers
        self.depth_total += counts.depth_total
        self.depth_measures += counts.depth_measures
        if len(self._new) == CHUNK:
            self._flush()

    def summary(self) -> SequenceSummary:
        """Reduce the sequence to its sums. More frames may follow."""
        self._flush()
        stq = count_stq(self._pairs, self.settings.protocol, self.settings.weighted)
        return SequenceSummary(
            len(self.frames),
            stq,
            self.panoptic,
            self.depth_inliers,
            self.depth_total,
            self.depth_measures,
            self.tracks.broken(self.frames, MAX_BROKEN_TRACKS),
        )

    def _flush(self) -> None:
        if not self._new:
            return
        buffer = self._tail + self._new
        rows = Pairs(*(np.concatenate(arrays) for arrays in zip(*buffer)))
        frame = np.repeat(np.arange(len(buffer)), [len(pairs.keys) for pairs in buffer])
        gt, pred, depth_bin = rows.gt, rows.pred, rows.depth_bin
        self._count_windows(frame, gt, pred, depth_bin, rows.counts, len(buffer))
        new = frame >= len(self._tail)
        start = len(self.frames) - len(buffer)
        self.tracks.add(start + frame[new], gt[new], pred[new], rows.counts[new])
        # STQ has no use for depth, so pairs that differ only in their depth bin become one.
        keys = np.concatenate((self._pairs.keys, rows.keys[new] & ~BYTE_MASK))
        self._pairs = Pairs(
            *group_sum(keys, np.concatenate((self._pairs.counts, rows.counts[new])))
        )
        reach = max(self.settings.window_sizes) - 1
        self._tail = buffer[len(buffer) - reach :] if reach < len(buffer) else buffer
        self._new = []

    def _count_windows(self, frame, gt, pred, depth_bin, count, num_frames: int) -> None:
        """Count the windows that end in a new frame; arrays of shape (N,) over the pairs of
        `num_frames` buffered frames."""
        void = self.settings.protocol.void_class
        lambdas = sorted(self.settings.depth.lambdas) if self.settings.depth else []
        for variant, totals in self.panoptic.items():
            if variant is not None:
                # The bin counts exceeded lambdas, so it tells which: the smallest ones.
                lost = depth_bin > lambdas.index(variant)
                kept = np.where(lost, void << INSTANCE_BITS, pred)
            else:
                kept = pred
            for k in self.settings.window_sizes:
                first, last = max(0, len(self._tail) - k + 1), num_frames - k
                if first <= last:
                    row, window = window_rows(frame, first, last, k)
                    match_segments(window, gt[row], kept[row], count[row], void, totals[k])
