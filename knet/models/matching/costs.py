"""How badly the masks of kernels fit the objects of an image (K-Net, section 3.3)."""

from typing import Optional, Tuple, Union

from torch import Tensor


def mask_costs(
    mask_logits: Tensor, gt_masks: Tensor, labelled: Optional[Tensor] = None, eps: float = 1e-3
) -> Tuple[Tensor, Tensor]:
    """Dice cost and mask cost of each kernel and each object, p = sigmoid(logits).

    Args:
        mask_logits: (N, h, w).
        gt_masks: (n, h, w), 0..1.
        labelled: (h, w), bool, the pixels that count; `gt_masks` are 0 elsewhere. None: all.
        eps: Keeps the denominator of empty masks from 0.

    Returns:
        dice cost -2 sum(p t) / (sum p^2 + eps + sum t^2 + eps), (N, n), between -1 and 0;
        mask cost -(sum p t + sum (1-p)(1-t)) / (h w), (N, n), between -1 and 0: minus the share of
        pixels on which mask and object agree.
    """
    p, t = mask_logits.sigmoid().flatten(1), gt_masks.flatten(1)
    size: Union[int, Tensor] = p.shape[1]
    if labelled is not None:
        p, size = p.mul_(labelled.flatten()), labelled.sum().clamp(min=1)
    inter = p @ t.T
    # sum (1-p)(1-t) = size - sum p - sum t + sum p t
    disagreement = (p.sum(1)[:, None] + t.sum(1) - 2 * inter) / size - 1
    squares = p.square_().sum(1)[:, None]  # in place: p is as large as all masks
    return -2 * inter / (squares + eps + (t * t).sum(1) + eps), disagreement
