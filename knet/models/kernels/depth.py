"""Depth for every kernel (PolyphonicFormer, arXiv 2112.02582): a path of kernels beside those of
classes and masks, and the branch that reads a depth map off each of them.

Depth does not feed back: classes and masks are those of the model without it.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Sequence, Tuple

import numpy as np
import torch
from mmcv.cnn import ConvModule
from mmdet.models.builder import LOSSES, build_loss
from torch import Tensor, nn

from knet.errors import InputError
from knet.models.kernels.branches import BRANCHES, MapBranch, StageTargets
from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.mask_ops import upsample
from knet.models.kernels.path import PATHS, PathStart, PathState
from knet.models.mask_grid import MaskGrid
from knet.models.matching.assigner import Match
from knet.models.matching.targets import ImageTargets
from knet.models.panoptic_fusion import Segments

MIN_DEPTH, MAX_DEPTH = 0.01, 80.0
"""Range of the predictions, metres."""


def metres_of(shares: Tensor) -> Tensor:
    """Depth in metres of sigmoid(logits)."""
    return (MAX_DEPTH - MIN_DEPTH) * shares + MIN_DEPTH


@LOSSES.register_module()
class DepthLoss(nn.Module):
    """Mean of the scale-invariant, the square relative and the absolute relative error
    (ViP-DeepLab, arXiv 2012.05258, equation 3).

    Args:
        loss_weight: Factor of the loss.
        scale_invariant: True: the first term is mean(e^2) - mean(e)^2, e = log depth - log truth.
            False, as published by PolyphonicFormer: mean(e^2) - sum(e) / n^2, which is nearly
            mean(e^2).
    """

    def __init__(self, loss_weight: float = 1.0, scale_invariant: bool = True):
        super().__init__()
        self.loss_weight = loss_weight
        self.scale_invariant = scale_invariant

    def forward(self, logits: Tensor, depth: Tensor, weights: Tensor) -> Tensor:
        """
        Args:
            logits: (P, h, w).
            depth: Truth, metres, (P, h, w); pixels that are not over 0 and under 80 do not count.
            weights: (P, h, w), 0..1, factors of the errors; pixels of weight 0 do not count.

        Returns:
            The loss, 0 with a graph where no pixel counts.
        """
        counts = (weights > 0) & (depth > 0) & (depth < MAX_DEPTH)
        number = counts.sum().clamp(min=1)
        truth, weights = torch.where(counts, depth, 1), torch.where(counts, weights, 0)
        predicted = metres_of(logits.sigmoid())
        log_error = weights * (predicted.log() - truth.log())
        relative = weights * (predicted - truth) / truth
        second = log_error.sum().square() if self.scale_invariant else log_error.sum()
        spread = log_error.square().sum() / number - second / number**2
        # no error at all has no derivative under the root
        square = (relative.square().sum() / number).clamp(min=1e-12).sqrt()
        return self.loss_weight * (spread + square + relative.abs().sum() / number) / 3


def rows_of(
    maps: Sequence[Tensor], weights: Sequence[Tensor], images: Sequence[ImageTargets]
) -> Tuple[Tensor, Tensor, Tensor]:
    """Arguments of `DepthLoss` for some rows of each image.

    Raises:
        InputError: an image has no depth.
    """
    depths = []
    for own, image in zip(weights, images):
        if image.depth is None:
            raise InputError(
                'the model has a branch of depth, but the training data are read without; set '
                'data.train.with_depth=True'
            )
        depths.append(image.depth.expand_as(own))
    return torch.cat(list(maps)), torch.cat(depths), torch.cat(list(weights))


@PATHS.register_module()
class DepthStart(PathStart):
    """What depth starts from: features of its own, a dense map, and its weights as every kernel's
    first depth kernel.

    Args:
        kernel_set: Which kernels there are.
        loss: Config of `DepthLoss`.
        train_dense: Whether the dense map learns from all pixels. False, as published: only from
            those of masks, the loss of all is logged.
    """

    def __init__(self, kernel_set: KernelSet, loss: Dict, train_dense: bool = True):
        super().__init__(kernel_set)
        channels, norm_cfg = kernel_set.channels, dict(type='GN', num_groups=32)
        self.convs = nn.ModuleList([ConvModule(channels, channels, 1, norm_cfg=norm_cfg)])
        self.conv_out = nn.Conv2d(channels, 1, 1)
        self.loss_depth = build_loss(loss)
        self.train_dense = train_dense

    def forward(self, feats: Tensor) -> PathState:
        for conv in self.convs:
            feats = conv(feats)
        count = self.kernel_set.num_proposals + self.kernel_set.num_stuff_classes
        kernels = self.conv_out.weight.flatten(1).expand(len(feats), count, -1)
        return PathState(feats, kernels, self.conv_out(feats))

    def loss(
        self,
        state: PathState,
        matches: Sequence[Match],
        images: Sequence[ImageTargets],
        upsample_stride: int,
    ) -> Dict[str, Any]:
        """`loss_depth`: the dense map under the masks of things and stuff; `loss_depth_dense`, or
        `depth_dense` for the log alone: everywhere."""
        dense = upsample(state.dense, upsample_stride)
        maps, weights, everywhere = [], [], []
        for logits, match, image in zip(dense, matches, images):
            masks = image.all.masks[match.objects]
            is_stuff = match.objects >= image.num_things
            weights.append(torch.where(is_stuff[:, None, None], (masks > 0).float(), masks))
            maps.append(logits.expand_as(masks))
            everywhere.append(torch.ones_like(logits))
        on_masks = self.loss_depth(*rows_of(maps, weights, images))
        on_all = self.loss_depth(*rows_of(list(dense), everywhere, images))
        if self.train_dense:
            return dict(loss_depth=on_masks, loss_depth_dense=on_all)
        return dict(loss_depth=on_masks, depth_dense=on_all.detach())


@BRANCHES.register_module()
class DepthBranch(MapBranch):
    """Depth logits (B, N', h, w), from the kernels and features of a path of their own.

    Args:
        kernel_set: Which kernels there are.
        loss: Config of `DepthLoss`.
        num_fcs, upsample_stride: See `MapBranch`.
        path: The path with the depth kernels.
        last_kernel_everywhere: True, as published: the last stuff kernel learns the depth of all
            pixels. False: of those of its class, as the others.
    """

    def __init__(
        self,
        kernel_set: KernelSet,
        loss: Dict,
        num_fcs: int = 1,
        upsample_stride: int = 2,
        path: str = 'depth',
        last_kernel_everywhere: bool = False,
    ):
        super().__init__(kernel_set, num_fcs, upsample_stride, with_relu=False)
        self.path = path
        self.loss_depth = build_loss(loss)
        self.last_kernel_everywhere = last_kernel_everywhere

    def loss(self, prediction: Tensor, targets: StageTargets) -> Dict[str, Any]:
        """`loss_depth` of the matched kernels under their masks."""
        maps, weights = [], []
        for logits, match, image in zip(prediction, targets.matches, targets.images):
            kernels, masks = match.kernels, image.all.masks[match.objects]
            if self.last_kernel_everywhere:
                last = len(logits) - 1
                others = kernels != last
                kernels = torch.cat([kernels[others], kernels.new_tensor([last])])
                masks = torch.cat([masks[others], masks.new_ones((1, *masks.shape[1:]))])
            maps.append(logits[kernels])
            weights.append(masks)
        logits, depth, weight = rows_of(maps, weights, targets.images)
        return dict(loss_depth=self.loss_depth(self.upsample(logits[None])[0], depth, weight))

    def describe(
        self,
        prediction: Tensor,
        paths: Dict[str, PathState],
        segments: Segments,
        grid: Callable[[Tensor, int], MaskGrid],
    ) -> np.ndarray:
        """Depth of each pixel, (H, W), float32, metres: what the kernel of its segment says, and
        without a segment the dense map (PolyphonicFormer, section 3.4)."""
        logits = torch.cat([prediction[segments.rows.kernels], paths[self.path].dense[0]])
        maps = grid(logits, self.upsample_stride)
        depth = maps.read(len(logits) - 1)
        for index in range(len(segments.rows)):
            maps.lay(index, segments.map == index + 1, depth)
        return metres_of(depth).cpu().numpy()
