"""What is done with the masks of kernels, in every head and in the panoptic merge."""

from typing import Any, Callable, Dict, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from knet.models.precision import in_float32

T = TypeVar('T')


@in_float32
def group_features(feats: Tensor, mask_logits: Tensor) -> Tensor:
    """Sum of the features under each mask (K-Net, equation 3).

    The mask is binary (probability over 0.5), so no gradient flows into the logits.

    Args:
        feats: (B, C, h, w).
        mask_logits: (B, N, h, w).

    Returns:
        (B, N, C).
    """
    masks = (mask_logits.sigmoid() > 0.5).to(feats.dtype)
    return torch.einsum('bnhw,bchw->bnc', masks, feats)


def upsample(maps: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling by a whole factor, (B, N, h, w) → (B, N, factor h, factor w)."""
    if factor == 1:
        return maps
    return F.interpolate(maps, scale_factor=factor, mode='bilinear', align_corners=False)


def mask_losses(
    logits: Tensor, masks: Tensor, loss_mask: nn.Module, loss_dice: nn.Module
) -> Dict[str, Tensor]:
    """`loss_mask` and `loss_dice` of matched masks; 0 with a graph where nothing is matched.

    Args:
        logits: (P, h, w), the matched kernels of all images.
        masks: (P, h, w), their ground truth, 0..1.
    """
    if not len(logits):
        return dict(loss_mask=logits.sum(), loss_dice=logits.sum())
    return dict(loss_mask=loss_mask(logits, masks), loss_dice=loss_dice(logits, masks))


def recomputed(function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)`, whose intermediate results are computed anew in the backward pass.

    For losses over the pixels of many masks: what they would keep till then is as large as what
    the network keeps, and quickly computed.
    """
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
