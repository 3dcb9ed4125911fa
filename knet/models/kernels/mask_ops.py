"""What is done with the masks of kernels, in every head and in the panoptic merge."""

import torch
import torch.nn.functional as F
from torch import Tensor

from knet.models.precision import in_float32


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
