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


def shift_masks(masks: Tensor, offsets: Tensor) -> Tensor:
    """Move each mask by whole pixels; what leaves the image is lost, what comes in is empty.

    Args:
        masks: (n, H, W), bool.
        offsets: (n, 2), long: x to the right, y down.

    Returns:
        (n, H, W), bool.
    """
    height, width = masks.shape[-2:]
    x = torch.arange(width, device=masks.device) - offsets[:, :1]  # (n, W), where the pixels come from
    y = torch.arange(height, device=masks.device) - offsets[:, 1:]  # (n, H)
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
    number = torch.arange(len(masks), device=masks.device)[:, None, None]
    return masks[number, y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None]] & inside


@in_float32
def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each pair of masks, (n, H, W) and (m, H, W) bool → (n, m), 0 where both are empty."""
    first, second = first.flatten(1).float(), second.flatten(1).float()
    inter = first @ second.T
    return inter / (first.sum(1)[:, None] + second.sum(1) - inter).clamp(min=1)
