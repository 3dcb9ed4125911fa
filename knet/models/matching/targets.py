"""Ground truth as the heads compare their masks with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from knet.structures import VOID, FrameTargets, Rows


@dataclass
class MaskTargets(Rows):
    """Things or stuff of an image; masks are soft (0..1) because they are resized bilinearly.

    Attributes:
        masks: (n, h, w), float.
        labels: (n,), long, model class; of stuff one row per class in the image, rising.
    """

    masks: Tensor
    labels: Tensor


@dataclass
class ImageTargets:
    """Ground truth of an image at the stride of the losses: `all`, things first, then stuff."""

    all: MaskTargets
    num_things: int

    @property
    def things(self) -> MaskTargets:
        """The first rows of `all`."""
        return self.all[: self.num_things]

    @property
    def stuff(self) -> MaskTargets:
        """The last rows of `all`."""
        return self.all[self.num_things :]


def prepare_targets(
    frames: Sequence[FrameTargets], num_thing_classes: int, stride: int
) -> List[ImageTargets]:
    """Bring ground truth to the stride at which masks are matched and losses computed.

    Args:
        frames: Ground truth on the grid of the network input, H x W.
        num_thing_classes: T; classes from T on are stuff.
        stride: The masks of the result have the size (H / stride, W / stride).

    Returns:
        Targets of each frame.
    """
    targets = []
    for frame in frames:
        height, width = frame.semantic.shape
        size = (height // stride, width // stride)
        classes = torch.unique(frame.semantic)
        classes = classes[(classes >= num_thing_classes) & (classes != VOID)].long()
        stuff = frame.semantic == classes[:, None, None]  # (m, H, W)
        masks = torch.cat([frame.objects.masks, stuff])
        labels = torch.cat([frame.objects.labels, classes])
        rows = MaskTargets(_resize(masks, size), labels)
        targets.append(ImageTargets(rows, len(frame.objects)))
    return targets


def _resize(masks: Tensor, size: Tuple[int, int]) -> Tensor:
    if not len(masks):
        return torch.zeros((0, *size), device=masks.device)
    return F.interpolate(masks[None].float(), size, mode='bilinear', align_corners=False)[0]


def index_map(masks: Tensor, values: Tensor) -> Tensor:
    """Map in which each mask writes its value over the masks before it.

    Args:
        masks: (n, h, w); a pixel belongs to a mask where it is not 0.
        values: (n,), long.

    Returns:
        (h, w), long; `VOID` where no mask is.
    """
    if not len(masks):
        return torch.full(masks.shape[-2:], VOID, dtype=torch.long, device=masks.device)
    order = torch.arange(1, len(masks) + 1, device=masks.device)
    top = torch.where(masks > 0, order[:, None, None], 0).amax(0)  # (h, w)
    return torch.cat([values.new_full((1,), VOID), values])[top]
