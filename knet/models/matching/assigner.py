"""Matching of kernels with the objects of an image (K-Net, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np
import torch
from mmdet.core.bbox.builder import BBOX_ASSIGNERS
from mmdet.core.bbox.match_costs import FocalLossCost
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from knet.models.kernels.kernel_set import KernelSet
from knet.models.matching.costs import mask_costs
from knet.models.matching.targets import ImageTargets
from knet.models.precision import in_float32
from knet.structures import Rows

HIGH = 1e6
"""A cost that no pair has in a training that goes well."""


@dataclass
class Match(Rows):
    """Matched pairs of an image.

    Attributes:
        kernels: (p,), long: which kernels got an object.
        objects: (p,), long: the row of `ImageTargets.things`, or of `ImageTargets.all`, that each
            got.
    """

    kernels: Tensor
    objects: Tensor


@BBOX_ASSIGNERS.register_module()
class KernelHungarianAssigner:
    """One-to-one matching of kernels and things of minimum total cost.

    Args:
        cls_weight: Weight of the focal class cost; read only where class logits are given.
        dice_weight: Weight of the dice cost, see `mask_costs`.
        mask_weight: Weight of the mask cost.
    """

    def __init__(self, cls_weight: float = 2.0, dice_weight: float = 4.0, mask_weight: float = 1.0):
        self.cls_cost = FocalLossCost(weight=cls_weight)
        self.dice_weight = dice_weight
        self.mask_weight = mask_weight

    def assign_all(
        self,
        mask_logits: Tensor,
        cls_logits: Optional[Tensor],
        targets: Sequence[ImageTargets],
    ) -> List[Match]:
        """Match the things of each image.

        Args:
            mask_logits: (B, N, h, w).
            cls_logits: (B, N, T), or None to match by masks alone.
            targets: Of each image.
        """
        return [
            self.assign(
                mask_logits[i],
                None if cls_logits is None else cls_logits[i],
                target.things.masks,
                target.things.labels,
                target.labelled,
            )
            for i, target in enumerate(targets)
        ]

    @torch.no_grad()
    @in_float32
    def assign(
        self,
        mask_logits: Tensor,
        cls_logits: Optional[Tensor],
        gt_masks: Tensor,
        gt_labels: Tensor,
        labelled: Optional[Tensor] = None,
    ) -> Match:
        """Match the things of an image.

        Args:
            mask_logits: (N, h, w).
            cls_logits: (N, T), or None to match by masks alone.
            gt_masks: (n, h, w), 0..1.
            gt_labels: (n,), 0..T-1.
            labelled: (h, w), bool, the pixels that count; None: all.

        Returns:
            min(N, n) pairs, kernels rising.

        Costs that are not finite count as very high: the losses are not finite either, and whoever
        steps the optimizer sees to it.
        """
        # 1. weighted costs of every pair, (N, n)
        dice, agreement = mask_costs(mask_logits, gt_masks, labelled)
        cost = self.dice_weight * dice + self.mask_weight * agreement
        if cls_logits is not None:
            cost = cost + self.cls_cost(cls_logits, gt_labels)
        # 2. Hungarian matching on the CPU
        matrix = np.nan_to_num(cost.cpu().numpy(), nan=HIGH, posinf=HIGH, neginf=-HIGH)
        kernels, objects = linear_sum_assignment(matrix)
        # 3. back to the device of the masks
        device = mask_logits.device
        return Match(
            torch.as_tensor(kernels, device=device), torch.as_tensor(objects, device=device)
        )


def with_stuff(
    matches: Sequence[Match], images: Sequence[ImageTargets], kernel_set: KernelSet
) -> List[Match]:
    """Of each image the matched things and, after them, the stuff kernels: kernel N + j belongs to
    class T + j. `objects` are rows of `ImageTargets.all`."""
    offset = kernel_set.num_proposals - kernel_set.num_thing_classes
    found = []
    for things, image in zip(matches, images):
        rows = torch.arange(len(image.stuff), device=image.stuff.labels.device)
        stuff = Match(image.stuff.labels + offset, rows + image.num_things)
        found.append(Match.join([things, stuff]))
    return found
