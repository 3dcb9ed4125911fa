"""Matching of kernels with the things of an image: costs and Hungarian assignment (K-Net, section 3.3)."""
from typing import NamedTuple, Optional, Tuple

import torch
from mmdet.core.bbox.builder import BBOX_ASSIGNERS
from mmdet.core.bbox.match_costs import FocalLossCost
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from knet.models.precision import in_float32


class Assignment(NamedTuple):
    """Matched pairs of one image.

    Attributes:
        kernel_inds: Shape (p,), long, rising: indices of the matched kernels.
        gt_inds: Shape (p,), long: the thing that each of them got.
    """
    kernel_inds: Tensor
    gt_inds: Tensor


def mask_costs(mask_logits: Tensor, gt_masks: Tensor, eps: float = 1e-3) -> Tuple[Tensor, Tensor]:
    """How badly each kernel's mask fits each thing, p = sigmoid(logits).

    Args:
        mask_logits: Shape (N, h, w).
        gt_masks: Shape (n, h, w), 0..1.
        eps: Keeps the denominator of empty masks from 0.

    Returns:
        dice cost -2 sum(p t) / (sum p^2 + eps + sum t^2 + eps), shape (N, n), between -1 and 0;
        mask cost -(sum p t + sum (1-p)(1-t)) / (h w), shape (N, n), between -1 and 0: minus the share of pixels on which mask and
        thing agree.
    """
    p, t = mask_logits.sigmoid().flatten(1), gt_masks.flatten(1)
    inter = p @ t.T
    dice = -2 * inter / ((p * p).sum(1)[:, None] + eps + (t * t).sum(1) + eps)
    # sum (1-p)(1-t) = hw - sum p - sum t + sum p t
    return dice, (p.sum(1)[:, None] + t.sum(1) - 2 * inter) / p.shape[1] - 1


@BBOX_ASSIGNERS.register_module()
class KernelHungarianAssigner:
    """One-to-one matching of kernels and things of least total cost.

    Args:
        cls_weight: Weight of the focal class cost; classes are used only where class logits are given.
        dice_weight: Weight of the dice cost, see `mask_costs`.
        mask_weight: Weight of the mask cost.
    """

    def __init__(self, cls_weight: float = 2.0, dice_weight: float = 4.0, mask_weight: float = 1.0):
        self.cls_cost = FocalLossCost(weight=cls_weight)
        self.dice_weight = dice_weight
        self.mask_weight = mask_weight

    @torch.no_grad()
    @in_float32
    def assign(self, mask_logits: Tensor, cls_logits: Optional[Tensor], gt_masks: Tensor, gt_labels: Tensor) -> Assignment:
        """
        Args:
            mask_logits: Shape (N, h, w).
            cls_logits: Shape (N, T), or None to match by masks alone.
            gt_masks: Shape (n, h, w), 0..1.
            gt_labels: Shape (n,), 0..T-1.

        Returns:
            min(N, n) pairs.

        Raises:
            FloatingPointError: a cost is not finite (the training has diverged).
        """
        # 1. weighted costs of every pair, (N, n)
        dice, agreement = mask_costs(mask_logits, gt_masks)
        cost = self.dice_weight * dice + self.mask_weight * agreement
        if cls_logits is not None:
            cost = cost + self.cls_cost(cls_logits, gt_labels)
        # 2. Hungarian matching on the CPU
        cost = cost.cpu().numpy()
        if not (abs(cost) < float('inf')).all():
            raise FloatingPointError('the matching cost of kernels and ground truth is not finite: the training has diverged; '
                                     'lower the learning rate, or raise the loss scale\'s care in mixed precision')
        kernel_inds, gt_inds = linear_sum_assignment(cost)
        # 3. back to the device of the masks
        device = mask_logits.device
        return Assignment(torch.as_tensor(kernel_inds, device=device), torch.as_tensor(gt_inds, device=device))
