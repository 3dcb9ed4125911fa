"""One refinement stage: kernels read the image, each other and, with a link, the previous frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention
from mmcv.runner import BaseModule, ModuleDict
from mmdet.models.builder import HEADS
from torch import Tensor, nn

from knet.models.kernels.branches import StageTargets, build_branch
from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.links import build_link
from knet.models.kernels.mask_ops import group_features, recomputed
from knet.models.kernels.updater import KernelUpdater
from knet.models.precision import in_float32


@dataclass
class StageOutput:
    """What a stage gives to the next one and to the losses.

    Attributes:
        kernels: (B, N', C): the next stage's kernels, and the "previous kernels" of the next frame.
        track_feats: (B, N', C): the kernels after the track link, or as they are without one.
        predictions: By name of the branch; 'classes' (B, N', T+S) and 'masks' (B, N', h, w) are
            what matching and fusion read.
    """

    kernels: Tensor
    track_feats: Tensor
    predictions: Dict[str, Tensor]


@HEADS.register_module()
class KernelUpdateHead(BaseModule):
    """A stage of K-Net (section 3.2), with the links of Video K-Net.

    Args:
        kernel_set: Which kernels there are.
        branches: Name → config of a branch (`knet.models.kernels.branches`).
        num_heads: Heads of the attention over the kernels.
        feedforward_channels: Hidden channels of the FFN.
        kernel_link, track_link: Configs of links (`knet.models.kernels.links`), None for none.
    """

    def __init__(
        self,
        kernel_set: KernelSet,
        branches: Dict[str, Dict],
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        kernel_link: Optional[Dict] = None,
        track_link: Optional[Dict] = None,
        init_cfg: Optional[Dict] = None,
    ):
        super().__init__(init_cfg)
        channels = kernel_set.channels
        self.feat_transform = ConvModule(channels, channels, 1, act_cfg=None)
        self.kernel_update_conv = KernelUpdater(channels)
        self.attention = MultiheadAttention(channels, num_heads)
        self.attention_norm = nn.LayerNorm(channels)
        self.ffn = FFN(channels, feedforward_channels)
        self.ffn_norm = nn.LayerNorm(channels)
        self.branches = ModuleDict(
            {name: build_branch(config, kernel_set) for name, config in branches.items()}
        )
        sizes = (channels, num_heads, feedforward_channels)
        # in the published order, which the state of an optimizer follows
        self.track_link = build_link(track_link, *sizes) if track_link else None
        self.kernel_link = build_link(kernel_link, *sizes) if kernel_link else None

    def init_weights(self) -> None:
        """Xavier initialization of all weight matrices; biases are as the branches set them."""
        super().init_weights()
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self, feats: Tensor, kernels: Tensor, mask_logits: Tensor, previous: Optional[Tensor] = None
    ) -> StageOutput:
        """Refine kernels.

        Args:
            feats: (B, C, h, w).
            kernels: Of the stage before, (B, N', C).
            mask_logits: Of the stage before, (B, N', h', w').
            previous: Last stage's kernels of the previous frame, (B, N', C), or None in the first
                frame of a sequence. Read by links only.
        """
        feats = self.feat_transform(feats)
        if mask_logits.shape[-2:] != feats.shape[-2:]:
            mask_logits = F.interpolate(
                mask_logits, feats.shape[-2:], mode='bilinear', align_corners=False
            )
        group_feats = group_features(feats, mask_logits)  # (B, N', C)

        if self.kernel_link is not None and previous is not None:
            kernels = self.kernel_link(kernels, previous, group_feats)
        kernels = self.kernel_update_conv(group_feats, kernels).transpose(0, 1)  # (N', B, C)
        kernels = self.attention_norm(self.attention(kernels)).transpose(0, 1)
        kernels = self.ffn_norm(self.ffn(kernels))

        track_feats = kernels
        if self.track_link is not None and previous is not None:
            track_feats = self.track_link(kernels, previous, group_feats)
        predictions = {name: branch(kernels, feats) for name, branch in self.branches.items()}
        return StageOutput(kernels, track_feats, predictions)

    @in_float32
    def loss(self, predictions: Dict[str, Tensor], targets: StageTargets) -> Dict[str, Any]:
        """Losses of all branches.

        Args:
            predictions: Of each branch, see `StageOutput`.
            targets: Ground truth of the batch.
        """
        losses: Dict[str, Any] = {}
        for name, branch in self.branches.items():
            branch_losses = recomputed(branch.loss, predictions[name], targets)
            for loss_name, value in branch_losses.items():
                if loss_name in losses:
                    raise ValueError(f'branch {name}: another branch has a loss {loss_name} too')
                losses[loss_name] = value
        return losses
