"""Branches of a stage: what is read off the kernels. One registry; a stage has a dict of them.

A new output per kernel is a class here (or in a file of its own) and an entry in `branches` of the
config; the stage, the chain of stages and the training need no change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.cnn import bias_init_with_prob
from mmcv.runner import BaseModule
from mmcv.utils import Registry, build_from_cfg
from mmdet.models.builder import build_loss
from mmdet.models.losses import accuracy
from torch import Tensor, nn

from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.losses import mask_losses
from knet.models.kernels.mask_ops import upsample
from knet.models.kernels.path import PathState
from knet.models.mask_grid import MaskGrid
from knet.models.matching.assigner import Match
from knet.models.matching.targets import ImageTargets, index_map, labelled_pixels
from knet.models.panoptic_fusion import Segments
from knet.structures import VOID

BRANCHES = Registry('branch')
MAIN = 'main'
"""The path with the kernels of classes and masks."""


def build_branch(config: Dict, kernel_set: KernelSet) -> Branch:
    """Branch of a config."""
    return build_from_cfg(config, BRANCHES, dict(kernel_set=kernel_set))


def fc_layers(channels: int, num_layers: int, with_relu: bool = True) -> nn.ModuleList:
    """`num_layers` times Linear without bias, LayerNorm and, if asked for, ReLU, as one flat
    list."""
    layers = nn.ModuleList()
    for _ in range(num_layers):
        layers.append(nn.Linear(channels, channels, bias=False))
        layers.append(nn.LayerNorm(channels))
        if with_relu:
            layers.append(nn.ReLU(inplace=True))
    return layers


@dataclass
class StageTargets:
    """What the branches of a stage are compared with.

    Attributes:
        matches: Of each image, kernels and the rows of its `images[i].all`: things by the matching,
            stuff kernels by their class.
        images: Ground truth of each image.
        num_positive: What sums over the kernels are averaged by, a tensor with one number.
    """

    matches: List[Match]
    images: Sequence[ImageTargets]
    num_positive: Tensor


class Branch(BaseModule):
    """Interface of the branches: one output per kernel, and its losses.

    Args:
        kernel_set: Which kernels there are.
    """

    path = MAIN
    """Whose kernels and features it reads, see `knet.models.kernels.path`."""

    def __init__(self, kernel_set: KernelSet, init_cfg: Optional[Dict] = None):
        super().__init__(init_cfg)
        self.kernel_set = kernel_set

    def forward(self, kernels: Tensor, feats: Tensor) -> Tensor:
        """Prediction of a stage.

        Args:
            kernels: The stage's refined kernels of `path`, (B, N', C).
            feats: The feature map that they read, (B, C, h, w).

        Returns:
            (B, N', ...).
        """
        raise NotImplementedError

    def upsample(self, prediction: Tensor) -> Tensor:
        """The prediction, or rows of it, at the resolution of losses, matching and results."""
        return prediction

    def loss(self, prediction: Tensor, targets: StageTargets) -> Dict[str, Any]:
        """Losses (names with `loss_`) and values for the log, by name.

        Args:
            prediction: What `forward` gives; a loss upsamples what it reads.
            targets: Ground truth of the batch.
        """
        raise NotImplementedError

    def describe(
        self,
        prediction: Tensor,
        paths: Dict[str, PathState],
        segments: Segments,
        grid: Callable[[Tensor, int], MaskGrid],
    ) -> np.ndarray:
        """What a result says of a frame's segments: by default the outputs of their kernels, (n,
        ...).

        Args:
            prediction: Of the frame, (N', ...), float32.
            paths: What the stage hands on, see `StageOutput`.
            segments: Of the frame.
            grid: Makes a `MaskGrid` of logits (M, h, w) and the factor they are upsampled by.
        """
        return prediction[segments.rows.kernels].cpu().numpy()


@BRANCHES.register_module()
class ClassBranch(Branch):
    """Class logits (B, N', T+S): thing kernels answer for things, a stuff kernel for its class.

    Args:
        kernel_set: Which kernels there are.
        loss: Config of the loss, averaged by the number of positives.
        num_fcs: Hidden layers.
    """

    def __init__(self, kernel_set: KernelSet, loss: Dict, num_fcs: int = 1):
        super().__init__(kernel_set)
        self.fcs = fc_layers(kernel_set.channels, num_fcs)
        self.fc_out = nn.Linear(kernel_set.channels, kernel_set.num_classes)
        self.loss_cls = build_loss(loss)

    def init_weights(self) -> None:
        """Every class starts at probability 0.01 (focal loss, section 4.1)."""
        super().init_weights()
        nn.init.constant_(self.fc_out.bias, bias_init_with_prob(0.01))

    def forward(self, kernels: Tensor, feats: Tensor) -> Tensor:
        for layer in self.fcs:
            kernels = layer(kernels)
        return self.fc_out(kernels)

    def loss(self, prediction: Tensor, targets: StageTargets) -> Dict[str, Any]:
        """`loss_cls`, and `pos_acc`: percent of the matched kernels with the right class."""
        sizes, num_classes = self.kernel_set, self.kernel_set.num_classes
        # num_classes = no object
        labels = torch.full(
            prediction.shape[:2], num_classes, dtype=torch.long, device=prediction.device
        )
        for row, match, image in zip(labels, targets.matches, targets.images):
            row[match.kernels] = image.all.labels[match.objects]
        weights = torch.zeros_like(prediction)
        weights[:, : sizes.num_proposals, : sizes.num_thing_classes] = 1
        weights[:, sizes.num_proposals :, sizes.num_thing_classes :] = torch.eye(
            sizes.num_stuff_classes, device=weights.device, dtype=weights.dtype
        )
        one_hot = F.one_hot(labels, num_classes + 1)[..., :-1]
        loss = self.loss_cls(
            prediction.flatten(0, 1),
            one_hot.flatten(0, 1),
            targets.num_positive,
            weights.flatten(0, 1),
        )
        positive = labels < num_classes
        return dict(loss_cls=loss, pos_acc=accuracy(prediction[positive], labels[positive]))


class MapBranch(Branch):
    """Base of the branches that give a map of logits per kernel, (B, N', h, w): the kernels, once
    more transformed, convolved with the features.

    Args:
        kernel_set: Which kernels there are.
        num_fcs: Hidden layers.
        upsample_stride: Factor by which maps are upsampled before they are compared with the
            ground truth, and before they become the result.
        with_relu: See `fc_layers`.
    """

    def __init__(
        self, kernel_set: KernelSet, num_fcs: int, upsample_stride: int, with_relu: bool = True
    ):
        super().__init__(kernel_set)
        self.fcs = fc_layers(kernel_set.channels, num_fcs, with_relu)
        self.fc_out = nn.Linear(kernel_set.channels, kernel_set.channels)
        self.upsample_stride = upsample_stride

    def forward(self, kernels: Tensor, feats: Tensor) -> Tensor:
        for layer in self.fcs:
            kernels = layer(kernels)
        return torch.einsum('bnc,bchw->bnhw', self.fc_out(kernels), feats)

    def upsample(self, prediction: Tensor) -> Tensor:
        return upsample(prediction, self.upsample_stride)


@BRANCHES.register_module()
class MaskBranch(MapBranch):
    """Mask logits (B, N', h, w).

    Args:
        kernel_set: Which kernels there are.
        loss_mask, loss_dice: Configs of the losses of matched masks.
        num_fcs, upsample_stride: See `MapBranch`.
        loss_rank: Config of the loss over all kernels of a pixel, None for no such loss.
    """

    def __init__(
        self,
        kernel_set: KernelSet,
        loss_mask: Dict,
        loss_dice: Dict,
        num_fcs: int = 1,
        upsample_stride: int = 2,
        loss_rank: Optional[Dict] = None,
    ):
        super().__init__(kernel_set, num_fcs, upsample_stride)
        self.loss_mask, self.loss_dice = build_loss(loss_mask), build_loss(loss_dice)
        self.loss_rank = build_loss(loss_rank) if loss_rank else None

    def loss(self, prediction: Tensor, targets: StageTargets) -> Dict[str, Any]:
        """`loss_mask`, `loss_dice` of the matched kernels; `loss_rank`: a pixel has one kernel."""
        pairs = list(zip(targets.matches, targets.images))
        masks = [image.all.masks[match.objects] for match, image in pairs]
        ranked = self.loss_rank is not None  # which reads all kernels, the others few
        prediction = self.upsample(prediction) if ranked else prediction
        logits = torch.cat([rows[match.kernels] for rows, (match, _) in zip(prediction, pairs)])
        logits = logits if ranked else self.upsample(logits[None])[0]
        labelled = labelled_pixels(targets.images, masks)
        losses = mask_losses(logits, torch.cat(masks), self.loss_mask, self.loss_dice, labelled)
        if self.loss_rank is not None:
            owners = [index_map(own, match.kernels) for own, (match, _) in zip(masks, pairs)]
            target = torch.stack(owners)
            losses['loss_rank'] = self.loss_rank(prediction, target, ignore_index=VOID)
        return losses
