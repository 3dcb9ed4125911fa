"""From the sums of sequences to the result: a dict that survives a round trip through JSON.

    protocol, classes, thing_classes, window_sizes, weighted, num_sequences, num_frames
    stq: STQ, AQ, SQ, num_tubes, iou_per_class, aq_per_class, tubes_per_class, iou_void,
         confusion (ground truth x prediction)
    vpq: VPQ, VPQ_thing, VPQ_stuff (means over the window sizes),
         k: window size → VPQ, VPQ_thing, VPQ_stuff, num_windows,
            and per class pq, sq, rq, iou, tp, fn, fp
    dstq: DSTQ, DQ, num_pixels, threshold: t → DSTQ, DQ, inliers          (only with depth)
    dvpq: DVPQ, DVPQ_thing, DVPQ_stuff (means over lambda),
          lambda: value → the same as vpq                                 (only with depth)
    depth: num_images, and the measures of `knet.evaluation.depth`, means over the images with a
           depth label                                                    (only with depth)
    sequences: number → num_frames, stq: STQ, AQ, SQ, num_tubes;
               vpq, dstq, dvpq, depth: like the above, without classes
    broken_tracks: the longest ground-truth tubes whose predicted id changes
                   (see `TrackRecorder.broken`), with their sequence

Lists per class are in the order of `classes`; the confusion has one more row and column for void,
unless void is one of the classes. `iou_void` is 0 where void was predicted on labelled pixels,
which SQ counts as one more class, else None. Mappings have strings as keys ('4', '0.25'). A value
that does not exist is None (null): a class that occurs neither in the ground truth nor in the
prediction, VPQ where no sequence has k frames, DQ without a depth label.
"""

import math
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from knet.evaluation.depth import DEPTH_MEASURES
from knet.evaluation.protocol import Protocol
from knet.evaluation.sequence import MAX_BROKEN_TRACKS, SequenceSummary, Settings
from knet.evaluation.stq import EPSILON, STQCounts
from knet.evaluation.vpq import PanopticCounts


def assemble_result(settings: Settings, summaries: Mapping[Any, SequenceSummary]) -> dict:
    """Compute the metrics of a set and of each of its sequences.

    Args:
        settings: What was measured.
        summaries: Sequence number → its sums. Sums over sequences are taken in rising order of the
            number.
    """
    space = settings.protocol.label_space
    ordered = [(sequence, summaries[sequence]) for sequence in sorted(summaries)]
    everything = [summary for _, summary in ordered]
    result: Dict[str, Any] = {
        'protocol': settings.protocol.name,
        'classes': list(space.classes),
        'thing_classes': list(space.thing_ids),
        'window_sizes': list(settings.window_sizes),
        'weighted': settings.weighted,
        'num_sequences': len(ordered),
        'num_frames': sum(summary.num_frames for summary in everything),
    }
    result.update(_metrics(settings, everything))
    result['sequences'] = {}
    for sequence, summary in ordered:
        result['sequences'][str(sequence)] = {
            'num_frames': summary.num_frames,
            **_without_classes(_metrics(settings, [summary])),
        }
    tracks = [
        {'sequence': sequence, **track}
        for sequence, summary in ordered
        for track in summary.broken_tracks
    ]
    result['broken_tracks'] = sorted(tracks, key=lambda track: -track['num_frames'])[
        :MAX_BROKEN_TRACKS
    ]
    return result


def _metrics(settings: Settings, summaries: Sequence[SequenceSummary]) -> dict:
    """The metrics of some sequences together."""
    stq = stq_result(settings.protocol, [summary.stq for summary in summaries])
    found = {'stq': stq, 'vpq': _windows(settings, summaries, None, 'VPQ')}
    if settings.depth:
        found['dstq'] = _depth_stq(settings.depth.thresholds, summaries, stq['STQ'])
        by_lambda = {
            value: _windows(settings, summaries, value, 'DVPQ') for value in settings.depth.lambdas
        }
        found['dvpq'] = {
            name: _mean([windows[name] for windows in by_lambda.values()])
            for name in ('DVPQ', 'DVPQ_thing', 'DVPQ_stuff')
        }
        found['dvpq']['lambda'] = {f'{value:g}': windows for value, windows in by_lambda.items()}
        number, *sums = _total([summary.depth_measures for summary in summaries]).tolist()
        means = [value / number if number else None for value in sums]
        found['depth'] = {'num_images': int(number), **dict(zip(DEPTH_MEASURES, means))}
    return found


def stq_result(protocol: Protocol, counts: Sequence[STQCounts]) -> dict:
    """STQ of some sequences together: IoU of the summed confusion, AQ over all tubes (not a mean of
    the sequences)."""
    num_classes = protocol.label_space.num_classes
    confusion = _total([count.confusion for count in counts])
    association, tubes = (
        _total([count.association for count in counts]),
        _total([count.tubes for count in counts]),
    )
    iou, occurs = _class_ious(confusion)
    sq = mean_iou(confusion) if occurs.any() else None
    aq = float(association.sum() / max(int(tubes.sum()), EPSILON))
    return {
        'STQ': None if sq is None else math.sqrt(aq * sq),
        'AQ': aq,
        'SQ': sq,
        'num_tubes': int(tubes.sum()),
        'iou_per_class': _where(iou, occurs, num_classes),
        'aq_per_class': _where(association / np.maximum(tubes, 1), tubes > 0, num_classes),
        'tubes_per_class': tubes[:num_classes].tolist(),
        'iou_void': 0.0 if occurs[num_classes:].any() else None,
        'confusion': confusion.tolist(),
    }


def mean_iou(confusion: np.ndarray) -> float:
    """Mean IoU, 0..1, of the classes that occur in truth or prediction, of which there is one."""
    iou, occurs = _class_ious(confusion)
    return float(iou.sum() / occurs.sum())


def _class_ious(confusion: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """IoU of each class, 0..1, and whether it occurs."""
    true = np.diagonal(confusion)
    union = confusion.sum(0) + confusion.sum(1) - true
    occurs = union > 0
    return np.divide(true, union, out=np.zeros(len(union)), where=occurs), occurs


def panoptic_result(protocol: Protocol, counts: PanopticCounts, name: str) -> dict:
    """PQ of summed windows, per class and as means over all, thing and stuff classes.

    Args:
        name: Key of the means: 'VPQ' gives VPQ, VPQ_thing, VPQ_stuff.
    """
    space = protocol.label_space
    iou, tp, fn, fp = (values[: space.num_classes] for values in counts)
    occurs = tp + fn + fp > 0
    sq = iou / np.maximum(tp, 1)
    rq = tp / np.where(occurs, tp + fn / 2 + fp / 2, 1)
    found: Dict[str, Any] = {}
    for suffix, ids in (
        ('', space.thing_ids + space.stuff_ids),
        ('_thing', space.thing_ids),
        ('_stuff', space.stuff_ids),
    ):
        own = np.array(sorted(ids), np.int64)
        counted = own if protocol.absent_as_zero else own[occurs[own]]
        found[name + suffix] = (
            float((sq * rq)[counted].sum() / len(counted)) if len(counted) else None
        )
    for key, values in (('pq', sq * rq), ('sq', sq), ('rq', rq)):
        found[key] = _where(values, occurs, space.num_classes)
    found.update(iou=iou.tolist(), tp=tp.tolist(), fn=fn.tolist(), fp=fp.tolist())
    return found


def _windows(
    settings: Settings, summaries: Sequence[SequenceSummary], variant: Optional[float], name: str
) -> dict:
    """VPQ for every window size and their means; `variant` None, or DVPQ of a lambda."""
    by_size = {}
    for k in settings.window_sizes:
        counts = PanopticCounts.zeros(settings.protocol.size)
        for summary in summaries:
            counts.add(summary.panoptic[variant][k])
        num_windows = sum(max(0, summary.num_frames - k + 1) for summary in summaries)
        by_size[k] = {
            'num_windows': num_windows,
            **panoptic_result(settings.protocol, counts, name),
        }
    found: Dict[str, Any] = {
        key: _mean([values[key] for values in by_size.values()])
        for key in (name, f'{name}_thing', f'{name}_stuff')
    }
    found['k'] = {str(k): values for k, values in by_size.items()}
    return found


def _depth_stq(
    thresholds: Sequence[float], summaries: Sequence[SequenceSummary], stq: Optional[float]
) -> dict:
    """DQ and DSTQ at each threshold, and with the geometric mean of DQ over the thresholds."""
    total = sum(summary.depth_total for summary in summaries)
    inliers = _total([summary.depth_inliers for summary in summaries])
    rates = (inliers / total).tolist() if total else [None] * len(inliers)
    mean = math.prod(rates) ** (1 / len(rates)) if total else None
    by_threshold = {
        f'{value:g}': {'DSTQ': _cube_root(stq, rate), 'DQ': rate, 'inliers': count}
        for value, rate, count in zip(thresholds, rates, inliers.tolist())
    }
    return {
        'DSTQ': _cube_root(stq, mean),
        'DQ': mean,
        'num_pixels': total,
        'threshold': by_threshold,
    }


def _cube_root(stq: Optional[float], dq: Optional[float]) -> Optional[float]:
    return None if stq is None or dq is None else (stq * stq * dq) ** (1 / 3)


def _total(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Sum in the order given, one after the other."""
    arrays = list(arrays)
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def _mean(values: List[Optional[float]]) -> Optional[float]:
    """Mean, None if a value does not exist: a mean over fewer window sizes would be another
    quantity."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if len(there) == len(values) else None


def _where(values: np.ndarray, exists: np.ndarray, size: int) -> List[Optional[float]]:
    """The first `size` values as a list, None where they do not exist."""
    return [
        value if there else None
        for value, there in zip(values[:size].tolist(), exists[:size].tolist())
    ]


def _without_classes(metrics: dict) -> dict:
    """Drop the lists per class, at every depth."""
    return {
        key: _without_classes(value) if isinstance(value, dict) else value
        for key, value in metrics.items()
        if not isinstance(value, list)
    }
