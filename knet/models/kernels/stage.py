"""One refinement stage: kernels read the image, each other and, with a link, the previous frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, Optional

import torch.nn.functional as F
from mmcv.runner import BaseModule, ModuleDict
from mmdet.models.builder import HEADS
from torch import Tensor, nn

from knet.errors import InputError
from knet.models.kernels.branches import MAIN, StageTargets, build_branch
from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.links import build_link
from knet.models.kernels.losses import named_losses, recomputed
from knet.models.kernels.path import KernelPath, PathState
from knet.models.precision import in_float32


@dataclass
class StageInputs:
    """What a stage starts from.

    Attributes:
        feats: Feature map of the kernel head, (B, C, h, w), the same for all stages.
        kernels: Of the stage before, (B, N', C).
        mask_logits: Of the stage before, (B, N', h', w').
        paths: What paths beside the main one hand on, by name.
    """

    feats: Tensor
    kernels: Tensor
    mask_logits: Tensor
    paths: Dict[str, PathState] = field(default_factory=dict)


@dataclass
class StageOutput:
    """What a stage gives to the next one and to the losses.

    Attributes:
        kernels: (B, N', C): the next stage's kernels, and the "previous kernels" of the next frame.
        track_feats: (B, N', C): the kernels after the track link, or as they are without one.
        predictions: By name of the branch; 'classes' (B, N', T+S) and 'masks' (B, N', h, w) are
            what matching and fusion read.
        paths: What paths beside the main one hand on, by name.
    """

    kernels: Tensor
    track_feats: Tensor
    predictions: Dict[str, Tensor]
    paths: Dict[str, PathState] = field(default_factory=dict)


@HEADS.register_module()
class KernelUpdateHead(BaseModule):
    """A stage of K-Net (section 3.2), with the links of Video K-Net.

    Args:
        kernel_set: Which kernels there are.
        branches: Name → config of a branch (`knet.models.kernels.branches`).
        num_heads: Heads of the attention over the kernels.
        feedforward_channels: Hidden channels of the FFN.
        kernel_link, track_link: Configs of links (`knet.models.kernels.links`), None for none.

    Raises:
        InputError: there is no branch `classes` or `masks`.
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
        if not {'classes', 'masks'} <= set(branches):
            raise InputError(
                f'mask_head.branches has {", ".join(sorted(branches)) or "nothing"}; it needs '
                'classes and masks too, of which matching and results are made'
            )
        sizes = (kernel_set.channels, num_heads, feedforward_channels)
        self.main = KernelPath(*sizes)
        self.branches = ModuleDict(
            {name: build_branch(config, kernel_set) for name, config in branches.items()}
        )
        # in the published order, which the state of an optimizer follows
        self.track_link = build_link(track_link, *sizes) if track_link else None
        self.kernel_link = build_link(kernel_link, *sizes) if kernel_link else None
        paths = sorted({branch.path for branch in self.branches.values()} - {MAIN})
        self.paths = ModuleDict({name: KernelPath(*sizes) for name in paths})

    def init_weights(self) -> None:
        """Xavier initialization of all weight matrices; biases are as the branches set them."""
        super().init_weights()
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, inputs: StageInputs, previous: Optional[Tensor] = None) -> StageOutput:
        """Refine kernels.

        Args:
            inputs: What the stage before gives.
            previous: Last stage's kernels of the previous frame, (B, N', C), or None in the first
                frame of a sequence. Read by links only.
        """
        kernels, mask_logits = inputs.kernels, inputs.mask_logits
        if mask_logits.shape[-2:] != inputs.feats.shape[-2:]:
            size = inputs.feats.shape[-2:]
            mask_logits = F.interpolate(mask_logits, size, mode='bilinear', align_corners=False)
        feats, group_feats = self.main.read(inputs.feats, mask_logits)
        if self.kernel_link is not None and previous is not None:
            kernels = self.kernel_link(kernels, previous, group_feats)
        kernels = self.main.refine(group_feats, kernels)

        track_feats = kernels
        if self.track_link is not None and previous is not None:
            track_feats = self.track_link(kernels, previous, group_feats)
        states, paths = {MAIN: (kernels, feats)}, {}
        for name, path in self.paths.items():
            state = inputs.paths[name]
            own_feats, own_group_feats = path.read(state.feats, mask_logits)
            # its kernels know what the main ones knew, and do not change them
            # (PolyphonicFormer, query linking)
            own_kernels = path.refine(own_group_feats, state.kernels + inputs.kernels.detach())
            states[name] = (own_kernels, own_feats)
            paths[name] = replace(state, kernels=own_kernels)
        predictions = {name: branch(*states[branch.path]) for name, branch in self.branches.items()}
        return StageOutput(kernels, track_feats, predictions, paths)

    @in_float32
    def loss(self, predictions: Dict[str, Tensor], targets: StageTargets) -> Dict[str, Any]:
        """Losses of all branches.

        Args:
            predictions: Of each branch, see `StageOutput`.
            targets: Ground truth of the batch.
        """
        parts = {
            f'branch {name}': recomputed(branch.loss, predictions[name], targets)
            for name, branch in self.branches.items()
        }
        return named_losses(parts)
