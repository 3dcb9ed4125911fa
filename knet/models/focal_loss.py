"""Focal loss that needs no CUDA kernel of mmcv, so that it runs wherever torch and torchvision
do."""

from typing import Optional, Union

import torch.nn as nn
from mmdet.models.builder import LOSSES
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss


@LOSSES.register_module()
class SigmoidFocalLoss(nn.Module):
    """Sigmoid focal loss (arXiv 1708.02002, equation 5) on one-hot targets.

    Args:
        gamma: Focusing exponent.
        alpha: Weight of the positives; negatives have 1 - alpha.
        loss_weight: Factor of the loss.
    """

    use_sigmoid = True

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25, loss_weight: float = 1.0):
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha
        self.loss_weight = loss_weight

    def forward(
        self,
        logits: Tensor,
        one_hot: Tensor,
        avg_factor: Union[Tensor, float],
        weight: Optional[Tensor] = None,
    ) -> Tensor:
        """
        Args:
            logits: (n, C).
            one_hot: (n, C), 1 for the class of a sample; a row of zeros is no object.
            avg_factor: What the sum is divided by.
            weight: (n, C) or (n, 1), factor of each term.
        """
        loss = sigmoid_focal_loss(logits, one_hot.to(logits.dtype), self.alpha, self.gamma)
        if weight is not None:
            loss = loss * weight
        return self.loss_weight * loss.sum() / avg_factor
