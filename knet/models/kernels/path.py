"""Paths of kernels: how a set of kernels reads the image, stage by stage.

The main path has the kernels of classes and masks. Others go beside it, with features and kernels
of their own: a class here (or in a file of its own) that says what they start from, an entry in
`paths` of the kernel head's config, and branches that read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Sequence, Tuple

from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention
from mmcv.runner import BaseModule
from mmcv.utils import Registry, build_from_cfg
from torch import Tensor, nn

from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.mask_ops import group_features
from knet.models.kernels.updater import KernelUpdater
from knet.models.matching.assigner import Match
from knet.models.matching.targets import ImageTargets

PATHS = Registry('path')


def build_path(config: Dict, kernel_set: KernelSet) -> PathStart:
    """Start of a path, of a config."""
    return build_from_cfg(config, PATHS, dict(kernel_set=kernel_set))


@dataclass
class PathState:
    """What a path beside the main one hands from stage to stage.

    Attributes:
        feats: Its feature map, (B, C, h, w), the same for all stages.
        kernels: (B, N', C).
        dense: (B, ..., h, w), what the path says of pixels that no kernel owns.
    """

    feats: Tensor
    kernels: Tensor
    dense: Tensor


class PathStart(BaseModule):
    """Interface of what a path starts from; a part of the kernel head.

    Args:
        kernel_set: Which kernels there are.
    """

    def __init__(self, kernel_set: KernelSet):
        super().__init__()
        self.kernel_set = kernel_set

    def forward(self, feats: Tensor) -> PathState:
        """What the first stage reads.

        Args:
            feats: An output of the semantic FPN for this path alone, (B, C, h, w), stride 8.
        """
        raise NotImplementedError

    def loss(
        self,
        state: PathState,
        matches: Sequence[Match],
        images: Sequence[ImageTargets],
        upsample_stride: int,
    ) -> Dict[str, Any]:
        """Losses (names with `loss_`) and values for the log, by name.

        Args:
            state: What `forward` gives.
            matches: See `StageTargets`.
            images: Ground truth of each image.
            upsample_stride: By how much finer the ground truth is than `state`.
        """
        raise NotImplementedError


class KernelPath(BaseModule):
    """A stage's layers of a path: kernels read the features under their masks, then each other
    (K-Net, section 3.2).

    Args:
        channels: C.
        num_heads: Heads of the attention over the kernels.
        feedforward_channels: Hidden channels of the FFN.
    """

    def __init__(self, channels: int, num_heads: int, feedforward_channels: int):
        super().__init__()
        self.feat_transform = ConvModule(channels, channels, 1, act_cfg=None)
        self.kernel_update_conv = KernelUpdater(channels)
        self.attention = MultiheadAttention(channels, num_heads)
        self.attention_norm = nn.LayerNorm(channels)
        self.ffn = FFN(channels, feedforward_channels)
        self.ffn_norm = nn.LayerNorm(channels)

    def read(self, feats: Tensor, mask_logits: Tensor) -> Tuple[Tensor, Tensor]:
        """The stage's features, (B, C, h, w), and their sums under the masks, (B, N', C).

        Args:
            feats: (B, C, h, w).
            mask_logits: (B, N', h, w).
        """
        feats = self.feat_transform(feats)
        return feats, group_features(feats, mask_logits)

    def refine(self, group_feats: Tensor, kernels: Tensor) -> Tensor:
        """Refined kernels, (B, N', C).

        Args:
            group_feats: Features under the masks, (B, N', C).
            kernels: (B, N', C).
        """
        kernels = self.kernel_update_conv(group_feats, kernels).transpose(0, 1)  # (N', B, C)
        kernels = self.attention_norm(self.attention(kernels)).transpose(0, 1)
        return self.ffn_norm(self.ffn(kernels))
