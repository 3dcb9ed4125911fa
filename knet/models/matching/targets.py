"""Ground truth as the heads compare their masks with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

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
    """Ground truth of an image at the stride of the losses.

    Attributes:
        all: Things first, then stuff.
        num_things: How many rows are things.
        labelled: (h, w), bool, the pixels that losses and costs of masks look at; None: all.
        depth: (h, w), float, metres, 0 = no label; None where none was loaded.
    """

    all: MaskTargets
    num_things: int
    labelled: Optional[Tensor] = None
    depth: Optional[Tensor] = None

    @property
    def things(self) -> MaskTargets:
        """The first rows of `all`."""
        return self.all[: self.num_things]

    @property
    def stuff(self) -> MaskTargets:
        """The last rows of `all`."""
        return self.all[self.num_things :]


def prepare_targets(
    frames: Sequence[FrameTargets],
    num_thing_classes: int,
    stride: int,
    only_labelled: bool = False,
    sparse_labels: bool = False,
) -> List[ImageTargets]:
    """Bring ground truth to the stride at which masks are matched and losses computed.

    Args:
        frames: Ground truth on the grid of the network input, H x W.
        num_thing_classes: T; classes from T on are stuff.
        stride: The masks of the result have the size (H / stride, W / stride).
        only_labelled: Losses and costs of masks look only at pixels of some mask.
        sparse_labels: Labels are single points: masks are resized by nearest neighbour, since
            between a point and what lies around it there is no edge.

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
        rows = MaskTargets(_resize(masks, size, 'nearest' if sparse_labels else 'bilinear'), labels)
        labelled = (rows.masks > 0).any(0) if only_labelled else None
        depth = frame.depth
        if depth is not None:  # an average over the edge of an object is no depth
            depth = F.interpolate(depth[None, None], size, mode='nearest')[0, 0]
        targets.append(ImageTargets(rows, len(frame.objects), labelled, depth))
    return targets


def _resize(masks: Tensor, size: Tuple[int, int], mode: str) -> Tensor:
    if not len(masks):
        return torch.zeros((0, *size), device=masks.device)
    align = None if mode == 'nearest' else False
    return F.interpolate(masks[None].float(), size, mode=mode, align_corners=align)[0]


def labelled_pixels(images: Sequence[ImageTargets], masks: Sequence[Tensor]) -> Optional[Tensor]:
    """`ImageTargets.labelled` for each mask of each image, (P, h, w); None: all pixels count.

    Args:
        images: Ground truth.
        masks: Some masks of each image, (n, h, w).
    """
    parts = [
        image.labelled.expand_as(own)
        for image, own in zip(images, masks)
        if image.labelled is not None
    ]
    return torch.cat(parts) if parts else None


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
