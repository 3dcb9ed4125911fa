"""The first kernels and masks (K-Net, section 3.3): what the refinement stages start from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, bias_init_with_prob, normal_init
from mmcv.runner import BaseModule, ModuleDict
from mmdet.core import build_assigner
from mmdet.models.builder import HEADS, build_loss
from torch import Tensor, nn

from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.losses import mask_losses, named_losses, recomputed
from knet.models.kernels.mask_ops import group_features, upsample
from knet.models.kernels.path import PathState, build_path
from knet.models.matching.assigner import Match, with_stuff
from knet.models.matching.targets import (
    ImageTargets,
    MaskTargets,
    index_map,
    labelled_pixels,
)
from knet.models.precision import in_float32
from knet.models.semantic_fpn import SemanticFPNWrapper
from knet.structures import VOID


@dataclass
class InitialKernels:
    """What `ConvKernelHead` gives to the first stage; N' = N thing kernels + S stuff kernels.

    Attributes:
        feats: Feature map that all stages read, (B, C, h, w), stride 8.
        kernels: (B, N', C); kernels are 1x1.
        mask_logits: (B, N', h, w); of the stuff kernels the semantic logits of their classes.
        sem_logits: (B, T+S, h, w).
        paths: What paths beside the main one start from, by name.
    """

    feats: Tensor
    kernels: Tensor
    mask_logits: Tensor
    sem_logits: Tensor
    paths: Dict[str, PathState] = field(default_factory=dict)


@HEADS.register_module()
class ConvKernelHead(BaseModule):
    """Predicts masks with a set of learned convolution kernels and hands kernels and masks on.

    Args:
        kernel_set: Which kernels there are.
        loss_mask, loss_dice, loss_rank, loss_seg: Loss configs, see `loss`.
        assigner: Config of the matching.
        feat_downsample_stride: Factor by which masks are upsampled before they are compared with
            the ground truth.
        localization_fpn: Arguments of `SemanticFPNWrapper`.
        paths: By name, configs of what paths of kernels beside the main one start from.
    """

    def __init__(
        self,
        kernel_set: KernelSet,
        loss_mask: Dict,
        loss_dice: Dict,
        loss_rank: Dict,
        loss_seg: Dict,
        assigner: Dict,
        feat_downsample_stride: int = 2,
        localization_fpn: Optional[Dict] = None,
        paths: Optional[Dict[str, Dict]] = None,
        init_cfg: Optional[Dict] = None,
    ):
        super().__init__(init_cfg)
        channels = kernel_set.channels
        self.kernel_set = kernel_set
        self.feat_downsample_stride = feat_downsample_stride
        fpn = dict(localization_fpn or {}, num_aux_convs=1 + len(paths or {}))
        self.localization_fpn = SemanticFPNWrapper(channels, **fpn)
        norm_cfg = dict(type='GN', num_groups=32)
        self.loc_convs = nn.ModuleList([ConvModule(channels, channels, 1, norm_cfg=norm_cfg)])
        self.seg_convs = nn.ModuleList([ConvModule(channels, channels, 1, norm_cfg=norm_cfg)])
        self.init_kernels = nn.Conv2d(channels, kernel_set.num_proposals, 1, bias=False)
        self.conv_seg = nn.Conv2d(channels, kernel_set.num_classes, 1)
        self.loss_mask, self.loss_dice = build_loss(loss_mask), build_loss(loss_dice)
        self.loss_rank, self.loss_seg = build_loss(loss_rank), build_loss(loss_seg)
        self.assigner = build_assigner(assigner)
        self.paths = ModuleDict(
            {name: build_path(config, kernel_set) for name, config in (paths or {}).items()}
        )

    def init_weights(self) -> None:
        """The published first weights: narrow normal ones of all convolutions, but kernels of std
        1.

        Where the semantic loss is a sigmoid loss, every class starts at probability 0.01.
        """
        super().init_weights()
        of_paths = set(self.paths.modules())
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module not in of_paths:
                normal_init(module, std=0.01)
        normal_init(self.init_kernels, std=1)
        bias = bias_init_with_prob(0.01) if self.loss_seg.use_sigmoid else 0
        normal_init(self.conv_seg, std=0.01, bias=bias)

    def forward(self, fpn_feats: Sequence[Tensor]) -> InitialKernels:
        """First kernels and masks.

        Args:
            fpn_feats: FPN levels, each (B, C, H/s, W/s).
        """
        num_things = self.kernel_set.num_thing_classes
        loc_feats, sem_feats, *path_feats = self.localization_fpn(fpn_feats)
        loc_feats, sem_feats = self.loc_convs[0](loc_feats), self.seg_convs[0](sem_feats)
        mask_logits, sem_logits = self.init_kernels(loc_feats), self.conv_seg(sem_feats)
        feats = loc_feats + sem_feats
        things = self.init_kernels.weight.flatten(1) + group_features(feats, mask_logits)
        stuff = self.conv_seg.weight[num_things:].flatten(1).expand(len(feats), -1, -1)
        kernels = torch.cat([things, stuff], 1)  # (B, N', C)
        mask_logits = torch.cat([mask_logits, sem_logits[:, num_things:]], 1)
        paths = {name: path(own) for (name, path), own in zip(self.paths.items(), path_feats)}
        return InitialKernels(feats, kernels, mask_logits, sem_logits, paths)

    @in_float32
    def loss(
        self, initial: InitialKernels, targets: Sequence[ImageTargets]
    ) -> Tuple[Dict[str, Tensor], List[Match]]:
        """Losses of the first masks and of the semantic map.

        Args:
            initial: Result of `forward`.
            targets: Ground truth of each image at stride 8 / `feat_downsample_stride`.

        Returns:
            `loss_rpn_mask`, `loss_rpn_dice`: masks of the matched kernels against their things;
            `loss_rpn_rank`: each pixel of a thing belongs to one kernel (softmax over N kernels);
            `loss_rpn_seg`: semantic map;
            losses of the paths, also with `rpn` in their names;
            and the matching of each image, which the first stage shares.
        """
        mask_logits = initial.mask_logits[:, : self.kernel_set.num_proposals]
        with torch.no_grad():
            masks = upsample(mask_logits, self.feat_downsample_stride)
            matches = self.assigner.assign_all(masks, None, targets)
        parts = dict(
            head=recomputed(self._losses, mask_logits, initial.sem_logits, targets, matches)
        )
        everything = with_stuff(matches, targets, self.kernel_set)
        for name, path in self.paths.items():
            arguments = initial.paths[name], everything, targets, self.feat_downsample_stride
            parts[f'path {name}'] = recomputed(path.loss, *arguments)
        losses = named_losses(parts)
        # a value for the log alone must not become a loss by its name
        losses = {re.sub('^(loss_)?', r'\1rpn_', name): value for name, value in losses.items()}
        return losses, matches

    def _losses(
        self,
        mask_logits: Tensor,
        sem_logits: Tensor,
        targets: Sequence[ImageTargets],
        matches: Sequence[Match],
    ) -> Dict[str, Tensor]:
        """See `loss`; logits at stride 8."""
        mask_logits = upsample(mask_logits, self.feat_downsample_stride)
        sem_logits = upsample(sem_logits, self.feat_downsample_stride)
        logits, masks, owners, classes = [], [], [], []
        for image_logits, match, image in zip(mask_logits, matches, targets):
            own = image.things[match.objects]
            logits.append(image_logits[match.kernels])
            masks.append(own.masks)
            owners.append(index_map(own.masks, match.kernels))
            everything = MaskTargets.join([image.stuff, own])
            classes.append(index_map(everything.masks, everything.labels))
        losses = mask_losses(
            torch.cat(logits),
            torch.cat(masks),
            self.loss_mask,
            self.loss_dice,
            labelled_pixels(targets, masks),
        )
        losses['loss_rank'] = self.loss_rank(mask_logits, torch.stack(owners), ignore_index=VOID)
        losses['loss_seg'] = self._semantic_loss(
            sem_logits, torch.stack(classes), targets[0].labelled is not None
        )
        return losses

    def _semantic_loss(self, sem_logits: Tensor, target: Tensor, only_labelled: bool) -> Tensor:
        """Loss of (B, T+S, h, w) logits against a (B, h, w) map.

        Unlabelled pixels are no class to a sigmoid loss, unless only labelled ones count, and
        ignored by a softmax loss.
        """
        if not self.loss_seg.use_sigmoid:
            return self.loss_seg(sem_logits, target, ignore_index=VOID)
        num_classes, labelled = self.kernel_set.num_classes, target != VOID
        classes = target.masked_fill(~labelled, num_classes)
        one_hot = F.one_hot(classes, num_classes + 1)[..., :-1]  # (B, h, w, T+S)
        logits = sem_logits.permute(0, 2, 3, 1)
        num_labelled = labelled.sum().float().clamp(min=1)
        weight = labelled.flatten()[:, None] if only_labelled else None
        return self.loss_seg(logits.flatten(0, 2), one_hot.flatten(0, 2), num_labelled, weight)
