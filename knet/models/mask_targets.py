"""Ground truth as the heads compare their masks with it."""
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE_INDEX = 255
"""Value of unlabelled pixels in semantic maps and index maps."""


@dataclass
class MaskTargets:
    """Ground truth of one image; masks are soft (0..1) because they are resized bilinearly.

    Attributes:
        thing_masks: Shape (n, h, w), float.
        thing_labels: Shape (n,), model class of each thing, 0..T-1.
        stuff_masks: Shape (m, h, w), float, one per stuff class in the image.
        stuff_labels: Shape (m,), model class of each, T..T+S-1, rising.
    """
    thing_masks: Tensor
    thing_labels: Tensor
    stuff_masks: Tensor
    stuff_labels: Tensor


def prepare_mask_targets(gt_masks: Sequence, gt_labels: Sequence[Tensor], gt_semantic_seg: Tensor, num_thing_classes: int,
                         stride: int) -> List[MaskTargets]:
    """Bring ground truth to the stride at which masks are matched and losses computed.

    Args:
        gt_masks: Per image, masks of its n things (mmdet BitmapMasks), at most as large as the batch.
        gt_labels: Per image, shape (n,), model classes of the things.
        gt_semantic_seg: Shape (B, 1, H, W), model classes, 255 = unlabelled, padded to the batch's size.
        num_thing_classes: T; classes from T on are stuff.
        stride: The masks of the result have the size (H / stride, W / stride).

    Returns:
        Targets of each image.
    """
    height, width = gt_semantic_seg.shape[-2:]
    size = (height // stride, width // stride)
    targets = []
    for masks, labels, semantic in zip(gt_masks, gt_labels, gt_semantic_seg):
        things = masks.to_tensor(dtype=torch.float32, device=semantic.device)
        things = F.pad(things, (0, width - things.shape[-1], 0, height - things.shape[-2]))
        classes = torch.unique(semantic)
        classes = classes[(classes >= num_thing_classes) & (classes != IGNORE_INDEX)].long()
        stuff = (semantic == classes[:, None, None]).float()  # (m, H, W)
        targets.append(MaskTargets(_resize(things, size), labels, _resize(stuff, size), classes))
    return targets


def _resize(masks: Tensor, size: Tuple[int, int]) -> Tensor:
    if not len(masks):
        return masks.new_zeros((0, *size))
    return F.interpolate(masks[None], size, mode='bilinear', align_corners=False)[0]


def paint(masks: Tensor, values: Tensor, background: int = IGNORE_INDEX) -> Tensor:
    """Index map in which each mask paints its value over the masks before it.

    Args:
        masks: Shape (n, h, w); a pixel belongs to a mask where it is not 0.
        values: Shape (n,), long.
        background: Value of pixels that no mask holds.

    Returns:
        Map of shape (h, w), long.
    """
    order = torch.arange(1, len(masks) + 1, device=masks.device)
    top = torch.where(masks > 0, order[:, None, None], order.new_zeros(())).amax(0) if len(masks) else \
        torch.zeros(masks.shape[-2:], dtype=torch.long, device=masks.device)
    return torch.cat([values.new_full((1,), background), values])[top]
