"""From mask and class logits of the kernels to one panoptic map (pure functions).

Segments of a frame live in one structure, so that masks, classes, scores and kernels cannot drift
apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from knet.models.kernels.kernel_set import KernelSet
from knet.models.mask_grid import MaskGrid
from knet.structures import VOID, Rows


@dataclass(frozen=True)
class FusionOptions:
    """How masks become segments.

    Attributes:
        max_per_img: Maximum number of things that are looked at.
        mask_thr: Probability from which on a pixel counts as a mask's own.
        instance_score_thr: Minimum score of a thing.
        merge_joint: True: `merge_joint`; False: `merge_things_first`.
        overlap_thr: See `merge_joint`.
        iou_thr, stuff_max_area: See `merge_things_first`.
    """

    max_per_img: int = 100
    mask_thr: float = 0.5
    instance_score_thr: float = 0.3
    merge_joint: bool = True
    overlap_thr: float = 0.6
    iou_thr: float = 0.5
    stuff_max_area: int = 4096


@dataclass
class ScoredKernels(Rows):
    """Kernels with a class each, things first, each group by falling score.

    Attributes:
        scores: (M,), 0..1.
        labels: (M,), model classes.
        kernels: (M,), index of the kernel; a thing kernel can occur with several classes.
        is_thing: (M,), bool.
    """

    scores: Tensor
    labels: Tensor
    kernels: Tensor
    is_thing: Tensor


@dataclass
class Candidates:
    """What is merged: `rows`, and the probabilities of their masks."""

    masks: MaskGrid
    rows: ScoredKernels


@dataclass
class SegmentTable(ScoredKernels):
    """The segments of a panoptic map.

    Attributes:
        candidates: (n,), index into the candidates of the merge.
        areas: (n,), pixels.
    """

    candidates: Tensor
    areas: Tensor


@dataclass
class Segments:
    """A panoptic map, (H, W), int64: 0 = no segment, k = row k - 1 of `rows`."""

    map: Tensor
    rows: SegmentTable


def select_kernels(scores: Tensor, kernel_set: KernelSet, max_per_img: int) -> ScoredKernels:
    """Candidates of an image: the best (kernel, thing class) pairs, then the stuff kernels.

    Args:
        scores: (N + S, T + S), 0..1.
        kernel_set: N, T and S.
        max_per_img: Maximum number of things.
    """
    proposals, num_things = kernel_set.num_proposals, kernel_set.num_thing_classes
    flat = scores[:proposals, :num_things].flatten()
    thing_scores, index = flat.topk(min(max_per_img, flat.numel()))
    stuff_scores, stuff = scores[proposals:, num_things:].diagonal().sort(descending=True)
    kernels = torch.div(index, num_things, rounding_mode='floor')
    is_thing = torch.arange(len(index) + len(stuff), device=scores.device) < len(index)
    return ScoredKernels(
        torch.cat([thing_scores, stuff_scores]),
        torch.cat([index % num_things, num_things + stuff]),
        torch.cat([kernels, proposals + stuff]),
        is_thing,
    )


def merge(candidates: Candidates, options: FusionOptions) -> Segments:
    """Panoptic map of the candidates of an image."""
    function = merge_joint if options.merge_joint else merge_things_first
    return function(candidates, options)


def merge_joint(candidates: Candidates, options: FusionOptions) -> Segments:
    """Joint merge: each pixel goes to the largest score * mask (K-Net, section 3.4).

    A thing under `instance_score_thr` becomes no segment, nor does a candidate that kept less than
    `overlap_thr` of the pixels with a probability of at least `mask_thr`; their pixels stay without
    a segment.

    Returns:
        Segments in falling order of score.
    """
    rows, masks = candidates.rows, candidates.masks
    owner = masks.owners(rows.scores, range(len(rows)))
    kept = torch.bincount(owner.flatten(), minlength=len(rows))
    possible = (kept > 0) & ~(rows.is_thing & (rows.scores < options.instance_score_thr))
    index = possible.nonzero()[:, 0]
    own = masks.areas(index.tolist(), options.mask_thr)
    # compared as kept / own < thr in the published code: the division of integers in float64
    share = kept[index].double() / own.clamp(min=1)
    accepted = torch.zeros_like(possible)
    accepted[index] = (own > 0) & ~(share < options.overlap_thr)
    order = rows.scores.argsort(descending=True, stable=True)
    chosen = order[accepted[order]]
    table = torch.zeros(len(rows), dtype=torch.long, device=owner.device)
    table[chosen] = torch.arange(1, len(chosen) + 1, device=owner.device)
    return _segments(table[owner], chosen, candidates)


def merge_things_first(candidates: Candidates, options: FusionOptions) -> Segments:
    """Things first: by falling score each takes the pixels that are free; stuff fills the rest.

    A thing of which more than `iou_thr` is taken already is dropped, and so is stuff that would get
    fewer than `stuff_max_area` pixels (Panoptic Segmentation, arXiv 1801.00868, section 4).

    Returns:
        Segments: things, then stuff, each in falling order of score.
    """
    rows, masks = candidates.rows, candidates.masks
    num_things = int(rows.is_thing.sum())
    result = torch.zeros(masks.original_size, dtype=torch.long, device=rows.scores.device)
    chosen = []
    for i in range(num_things):
        if rows.scores[i] < options.instance_score_thr:
            break
        mask = masks.read(i) > options.mask_thr
        area = mask.sum()
        free = mask & (result == 0)
        if area == 0 or (area - free.sum()) / area > options.iou_thr:
            continue
        chosen.append(i)
        result[free] = len(chosen)
    for i in range(num_things, len(rows)):
        free = (masks.read(i) > options.mask_thr) & (result == 0)
        if free.sum() < max(options.stuff_max_area, 1):
            continue
        chosen.append(i)
        result[free] = len(chosen)
    return _segments(
        result, torch.tensor(chosen, dtype=torch.long, device=result.device), candidates
    )


def _segments(result: Tensor, chosen: Tensor, candidates: Candidates) -> Segments:
    areas = torch.bincount(result.flatten(), minlength=len(chosen) + 1)[1:]
    row = candidates.rows[chosen]
    table = SegmentTable(row.scores, row.labels, row.kernels, row.is_thing, chosen, areas)
    return Segments(result, table)


def fill_with_stuff(segments: Segments, candidates: Candidates) -> Tensor:
    """Semantic map of a panoptic map: pixels without a segment get the most likely stuff there.

    Only stuff that the merge accepted in this frame is asked, all stuff where it accepted none: a
    class that was rejected does not come back this way.

    Args:
        segments: Result of a merge.
        candidates: What was merged.

    Returns:
        (H, W), model classes, `VOID` without a segment where there is no stuff class at all.
    """
    rows = segments.rows
    semantic = torch.cat([rows.labels.new_zeros(1), rows.labels])[segments.map]
    stuff = rows.candidates[~rows.is_thing]
    if not len(stuff):
        stuff = (~candidates.rows.is_thing).nonzero()[:, 0]
    empty = segments.map == 0
    if not len(stuff):  # a label space of things alone
        return semantic.masked_fill(empty, VOID)
    best = candidates.masks.owners(candidates.rows.scores, stuff.tolist(), region=empty)
    return torch.where(empty, candidates.rows.labels[best], semantic)


def segment_boxes(segment_map: Tensor, num_segments: int) -> Tensor:
    """Boxes around the pixels of each segment.

    Args:
        segment_map: (H, W), 0 = no segment.
        num_segments: n; every id 1..n occurs.

    Returns:
        (n, 4), float: x1, y1, x2, y2; the right and lower edge lie behind the last pixel.
    """
    height, width = segment_map.shape
    ids = segment_map.flatten()
    x = torch.arange(width, device=segment_map.device).repeat(height)
    y = torch.arange(height, device=segment_map.device).repeat_interleave(width)

    def extreme(values: Tensor, how: str) -> Tensor:
        start = values.new_zeros(num_segments + 1)
        return start.scatter_reduce(0, ids, values, how, include_self=False)[1:]

    left_top = [extreme(x, 'amin'), extreme(y, 'amin')]
    return torch.stack([*left_top, extreme(x, 'amax') + 1, extreme(y, 'amax') + 1], 1).float()
