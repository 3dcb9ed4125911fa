"""From mask and class logits of the kernels to one panoptic map (pure functions).

Segments of a frame live in one structure, so that masks, classes, scores and kernels cannot drift apart.
"""
from typing import NamedTuple, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from knet.models.mask_ops import upsample


class KernelMasks(NamedTuple):
    """Candidates for the merge, things first; all on the grid of the original image.

    Attributes:
        masks: Probabilities, (M, H, W).
        scores: (M,), 0..1.
        labels: Model classes, (M,).
        kernels: Index of the kernel of each candidate, (M,).
        num_things: How many of them are things.
    """
    masks: Tensor
    scores: Tensor
    labels: Tensor
    kernels: Tensor
    num_things: int


class Segments(NamedTuple):
    """A panoptic map and its segments.

    Attributes:
        map: (H, W), int64: 0 = no segment, k = the k-th segment (from 1).
        candidates: Index into the candidates of the merge, of each segment, (n,).
        labels: Model class of each segment, (n,).
        scores: (n,).
        kernels: Kernel index of each segment, (n,).
        areas: Pixels of each segment, (n,).
        is_thing: (n,), bool.
    """
    map: Tensor
    candidates: Tensor
    labels: Tensor
    scores: Tensor
    kernels: Tensor
    areas: Tensor
    is_thing: Tensor


def rescale_masks(mask_logits: Tensor, upsample_stride: int, batch_input_shape: Sequence[int], img_shape: Sequence[int],
                  ori_shape: Sequence[int]) -> Tensor:
    """Mask probabilities on the grid of the original image.

    The published steps: the *logits* are upsampled as in training, then the probabilities are resized to the padded input,
    cropped, and resized to the image on disk.

    Args:
        mask_logits: (M, h, w).
        upsample_stride: Factor by which the last stage upsamples its masks in training.
        batch_input_shape: (height, width) of the padded network input.
        img_shape: (height, width, ...) of the resized image in it.
        ori_shape: (height, width, ...) of the image on disk.

    Returns:
        (M, *ori_shape[:2]), 0..1.
    """
    masks = upsample(mask_logits[None], upsample_stride).sigmoid()
    masks = F.interpolate(masks, tuple(batch_input_shape), mode='bilinear', align_corners=False)
    masks = masks[..., :img_shape[0], :img_shape[1]]
    if tuple(img_shape[:2]) != tuple(ori_shape[:2]):
        masks = F.interpolate(masks, tuple(ori_shape[:2]), mode='bilinear', align_corners=False)
    return masks[0]


def select_kernels(cls_scores: Tensor, num_proposals: int, num_thing_classes: int, max_per_img: int) -> Tuple[Tensor, Tensor, Tensor]:
    """Candidates of an image: the best (kernel, thing class) pairs, then the stuff kernels, both by falling score.

    Args:
        cls_scores: (N + S, T + S), 0..1.
        num_proposals: N.
        num_thing_classes: T.
        max_per_img: Most things.

    Returns:
        kernel indices, model classes and scores, each (M,); the first min(max_per_img, N * T) are the things.
    """
    flat = cls_scores[:num_proposals, :num_thing_classes].flatten()
    thing_scores, index = flat.topk(min(max_per_img, flat.numel()))
    stuff_scores, stuff = cls_scores[num_proposals:, num_thing_classes:].diagonal().sort(descending=True)
    kernels = torch.cat([torch.div(index, num_thing_classes, rounding_mode='floor'), num_proposals + stuff])
    labels = torch.cat([index % num_thing_classes, num_thing_classes + stuff])
    return kernels, labels, torch.cat([thing_scores, stuff_scores])


def merge_joint(candidates: KernelMasks, instance_score_thr: float, overlap_thr: float, mask_thr: float = 0.5) -> Segments:
    """Joint merge: each pixel goes to the candidate with the largest score * mask (K-Net, section 3.4).

    A thing under `instance_score_thr` becomes no segment, nor does a candidate that kept less than `overlap_thr` of the
    pixels with a probability of at least `mask_thr`; their pixels stay without a segment.

    Args:
        candidates: Things and stuff of one image.
        instance_score_thr: Least score of a thing.
        overlap_thr: Least share of its own mask that a segment keeps.
        mask_thr: Probability from which on a pixel counts as a candidate's own.

    Returns:
        Segments in falling order of score.
    """
    count = len(candidates.scores)
    owner = (candidates.scores[:, None, None] * candidates.masks).argmax(0)  # (H, W)
    kept = torch.bincount(owner.flatten(), minlength=count)
    own = (candidates.masks >= mask_thr).flatten(1).sum(1)
    is_thing = torch.arange(count, device=owner.device) < candidates.num_things
    # compared as kept / own < thr in the published code: the division of integers in float64
    accepted = (kept > 0) & (own > 0) & ~(kept.double() / own.clamp(min=1) < overlap_thr)
    accepted &= ~(is_thing & (candidates.scores < instance_score_thr))
    order = candidates.scores.argsort(descending=True, stable=True)
    chosen = order[accepted[order]]
    table = torch.zeros(count, dtype=torch.long, device=owner.device)
    table[chosen] = torch.arange(1, len(chosen) + 1, device=owner.device)
    return _segments(table[owner], chosen, candidates)


def merge_things_first(candidates: KernelMasks, instance_score_thr: float, iou_thr: float, stuff_max_area: int,
                       mask_thr: float = 0.5) -> Segments:
    """Things first: by falling score each thing takes the pixels that are still free; stuff fills the rest.

    A thing of which more than `iou_thr` is taken already is dropped, and so is stuff that would get fewer than
    `stuff_max_area` pixels (Panoptic Segmentation, arXiv 1801.00868, section 4).

    Args:
        candidates: Things and stuff of one image.
        instance_score_thr: Least score of a thing.
        iou_thr: Largest share of a thing's mask that other things may have taken.
        stuff_max_area: Least area of a stuff segment in pixels.
        mask_thr: Probability over which a pixel belongs to a mask.

    Returns:
        Segments: things, then stuff, each in falling order of score.
    """
    masks = candidates.masks > mask_thr
    result = torch.zeros(masks.shape[-2:], dtype=torch.long, device=masks.device)
    chosen = []
    for i in range(candidates.num_things):
        if candidates.scores[i] < instance_score_thr:
            break
        area = masks[i].sum()
        free = masks[i] & (result == 0)
        if area == 0 or (area - free.sum()) / area > iou_thr:
            continue
        chosen.append(i)
        result[free] = len(chosen)
    for i in range(candidates.num_things, len(masks)):
        free = masks[i] & (result == 0)
        if free.sum() < max(stuff_max_area, 1):
            continue
        chosen.append(i)
        result[free] = len(chosen)
    return _segments(result, torch.tensor(chosen, dtype=torch.long, device=masks.device), candidates)


def _segments(result: Tensor, chosen: Tensor, candidates: KernelMasks) -> Segments:
    areas = torch.bincount(result.flatten(), minlength=len(chosen) + 1)[1:]
    return Segments(result, chosen, candidates.labels[chosen], candidates.scores[chosen], candidates.kernels[chosen], areas,
                    chosen < candidates.num_things)


def fill_with_stuff(segments: Segments, candidates: KernelMasks) -> Tensor:
    """Semantic map of a panoptic map: pixels without a segment get the most likely stuff class there.

    Only stuff that the merge accepted in this frame is asked, all stuff where it accepted none: a class that was rejected
    does not come back this way.

    Args:
        segments: Result of a merge.
        candidates: What was merged; at least one stuff kernel.

    Returns:
        (H, W), model classes.
    """
    semantic = torch.cat([segments.labels.new_zeros(1), segments.labels])[segments.map]
    accepted = segments.candidates[~segments.is_thing]
    stuff = accepted if len(accepted) else torch.arange(candidates.num_things, len(candidates.scores), device=semantic.device)
    empty = segments.map == 0
    best = (candidates.scores[stuff, None] * candidates.masks[stuff][:, empty]).argmax(0)
    semantic[empty] = candidates.labels[stuff][best]
    return semantic


def segment_boxes(result: Tensor, num_segments: int) -> Tensor:
    """Boxes around the pixels of each segment.

    Args:
        result: Panoptic map, (H, W), 0 = no segment.
        num_segments: n; every id 1..n occurs.

    Returns:
        (n, 4), float: x1, y1, x2, y2; the right and lower edge lie behind the last pixel.
    """
    height, width = result.shape
    ids = result.flatten()
    x = torch.arange(width, device=result.device).repeat(height)
    y = torch.arange(height, device=result.device).repeat_interleave(width)

    def extreme(values, how):
        start = values.new_zeros(num_segments + 1)
        return start.scatter_reduce(0, ids, values, how, include_self=False)[1:]

    return torch.stack([extreme(x, 'amin'), extreme(y, 'amin'), extreme(x, 'amax') + 1, extreme(y, 'amax') + 1], 1).float()
