"""Overlap of the objects of a frame with objects of earlier frames, from their pixels."""

from typing import List, Sequence

import torch
from torch import Tensor


def segment_pixels(segment_map: Tensor, count: int) -> List[Tensor]:
    """Where the pixels of each segment are.

    Args:
        segment_map: (H, W), long, 0 = none, k = the k-th segment.
        count: Number n of segments.

    Returns:
        n tensors (area, 2), long: x and y.
    """
    y, x = segment_map.nonzero(as_tuple=True)
    numbers = segment_map[y, x]
    order = numbers.argsort(stable=True)
    return list(
        torch.stack([x, y], 1)[order].split(
            torch.bincount(numbers, minlength=count + 1)[1:].tolist()
        )
    )


def moved_mask_iou(
    segment_map: Tensor, count: int, masks: Sequence[Tensor], offsets: Tensor
) -> Tensor:
    """Intersection over union of the segments of a frame and of masks that are moved first.

    Segments do not overlap, so each pixel of a mask is looked up once: the cost is the area of the
    masks.

    Args:
        segment_map: (H, W), long, 0 = none, k = the k-th segment.
        count: Number n of segments.
        masks: m masks as lists of pixels, each (area, 2), long, x and y.
        offsets: (m, 2), long, how far each is moved to the right and down; what leaves the image is
            lost.

    Returns:
        (n, m), 0..1.
    """
    height, width = segment_map.shape
    number = torch.arange(len(masks), device=segment_map.device)
    number = number.repeat_interleave(
        torch.tensor([len(mask) for mask in masks], dtype=torch.long, device=segment_map.device)
    )
    x, y = (torch.cat(list(masks)) + offsets[number]).T  # of all masks
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y, number = x[inside], y[inside], number[inside]
    pairs = number * (count + 1) + segment_map[y, x]
    inter = (
        torch.bincount(pairs, minlength=len(masks) * (count + 1))
        .reshape(len(masks), count + 1)
        .T[1:]
    )  # (n, m)
    union = (
        torch.bincount(segment_map.flatten(), minlength=count + 1)[1:, None]
        + torch.bincount(number, minlength=len(masks))
        - inter
    )
    return inter / union.clamp(min=1)
