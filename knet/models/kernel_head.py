"""The first kernels and masks (K-Net, section 3.3): what the refinement stages start from."""
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule, bias_init_with_prob, normal_init
from mmcv.runner import BaseModule
from mmdet.core import build_assigner
from mmdet.models.builder import HEADS, build_loss
from torch import Tensor

from knet.models.mask_matching import Assignment
from knet.models.mask_ops import group_features, upsample
from knet.models.mask_targets import IGNORE_INDEX, MaskTargets, paint
from knet.models.precision import in_float32
from knet.models.semantic_fpn import SemanticFPNWrapper


class InitialKernels(NamedTuple):
    """What `ConvKernelHead` gives to the first stage; N' = N thing kernels + S stuff kernels.

    Attributes:
        feats: Feature map that all stages read, (B, C, h, w), stride 8.
        kernels: (B, N', K*K, C); kernels are 1x1, so K*K = 1.
        mask_logits: (B, N', h, w); of the stuff kernels the semantic logits of their classes.
        sem_logits: (B, T+S, h, w).
    """
    feats: Tensor
    kernels: Tensor
    mask_logits: Tensor
    sem_logits: Tensor


@HEADS.register_module()
class ConvKernelHead(BaseModule):
    """Predicts masks with a set of learned convolution kernels and hands kernels and masks on.

    Args:
        num_proposals: Number N of thing kernels.
        in_channels: Channels of the FPN levels.
        out_channels: Channels C of features and kernels.
        num_thing_classes: T.
        num_stuff_classes: S.
        feat_downsample_stride: Factor by which masks are upsampled before they are compared with the ground truth.
        localization_fpn: Arguments of `SemanticFPNWrapper`.
        loss_mask, loss_dice, loss_rank, loss_seg: Loss configs, see `loss`.
        train_cfg: `assigner`: config of the matching.
    """

    def __init__(self,
                 num_proposals: int = 100,
                 in_channels: int = 256,
                 out_channels: int = 256,
                 num_thing_classes: int = 2,
                 num_stuff_classes: int = 17,
                 feat_downsample_stride: int = 2,
                 localization_fpn: Optional[Dict] = None,
                 loss_mask: Optional[Dict] = None,
                 loss_dice: Optional[Dict] = None,
                 loss_rank: Optional[Dict] = None,
                 loss_seg: Optional[Dict] = None,
                 train_cfg: Optional[Dict] = None,
                 init_cfg: Optional[Dict] = None):
        super().__init__(init_cfg)
        self.num_proposals = num_proposals
        self.num_thing_classes = num_thing_classes
        self.num_classes = num_thing_classes + num_stuff_classes
        self.feat_downsample_stride = feat_downsample_stride
        self.localization_fpn = SemanticFPNWrapper(
            **{'in_channels': in_channels, 'out_channels': out_channels, **(localization_fpn or {})})
        norm_cfg = dict(type='GN', num_groups=32)
        self.loc_convs = nn.ModuleList([ConvModule(out_channels, out_channels, 1, norm_cfg=norm_cfg)])
        self.seg_convs = nn.ModuleList([ConvModule(out_channels, out_channels, 1, norm_cfg=norm_cfg)])
        self.init_kernels = nn.Conv2d(out_channels, num_proposals, 1, bias=False)
        self.conv_seg = nn.Conv2d(out_channels, self.num_classes, 1)
        self.loss_mask = build_loss(loss_mask) if loss_mask else None
        self.loss_dice = build_loss(loss_dice) if loss_dice else None
        self.loss_rank = build_loss(loss_rank) if loss_rank else None
        self.loss_seg = build_loss(loss_seg) if loss_seg else None
        self.assigner = build_assigner(train_cfg['assigner']) if train_cfg else None

    def init_weights(self):
        """The published first weights: narrow normal ones of all convolutions, but kernels of std 1.

        Where the semantic loss is a sigmoid loss, every class starts at probability 0.01.
        """
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, std=0.01)
        normal_init(self.init_kernels, std=1)
        sigmoid = self.loss_seg is not None and self.loss_seg.use_sigmoid
        normal_init(self.conv_seg, std=0.01, bias=bias_init_with_prob(0.01) if sigmoid else 0)

    def forward(self, fpn_feats: Sequence[Tensor]) -> InitialKernels:
        """
        Args:
            fpn_feats: FPN levels, each (B, in_channels, H/s, W/s).
        """
        loc_feats, sem_feats = self.localization_fpn(fpn_feats)
        loc_feats, sem_feats = self.loc_convs[0](loc_feats), self.seg_convs[0](sem_feats)
        mask_logits, sem_logits = self.init_kernels(loc_feats), self.conv_seg(sem_feats)
        feats = loc_feats + sem_feats
        thing_kernels = self.init_kernels.weight.flatten(1) + group_features(feats, mask_logits)  # (B, N, C)
        stuff_kernels = self.conv_seg.weight[self.num_thing_classes:].flatten(1).expand(len(feats), -1, -1)  # (B, S, C)
        kernels = torch.cat([thing_kernels, stuff_kernels], 1)[:, :, None]  # (B, N', K*K, C)
        mask_logits = torch.cat([mask_logits, sem_logits[:, self.num_thing_classes:]], 1)
        return InitialKernels(feats, kernels, mask_logits, sem_logits)

    @in_float32
    def loss(self, initial: InitialKernels, targets: List[MaskTargets]) -> Tuple[Dict[str, Tensor], List[Assignment]]:
        """Losses of the first masks and of the semantic map.

        Args:
            initial: Result of `forward`.
            targets: Ground truth of each image at stride 8 / `feat_downsample_stride`.

        Returns:
            `loss_rpn_mask`, `loss_rpn_dice`: masks of the matched kernels against their things;
            `loss_rpn_rank`: each pixel of a thing belongs to one kernel (softmax over the N kernels);
            `loss_rpn_seg`: semantic map;
            and the matching of each image, which the first stage shares.
        """
        mask_logits = upsample(initial.mask_logits[:, :self.num_proposals], self.feat_downsample_stride)
        assignments, pos_logits, pos_masks, rank_targets, seg_targets = [], [], [], [], []
        for logits, target in zip(mask_logits, targets):
            pairs = self.assigner.assign(logits.detach(), None, target.thing_masks, target.thing_labels)
            assignments.append(pairs)
            masks = target.thing_masks[pairs.gt_inds]
            pos_logits.append(logits[pairs.kernel_inds])
            pos_masks.append(masks)
            rank_targets.append(paint(masks, pairs.kernel_inds))
            seg_targets.append(paint(torch.cat([target.stuff_masks, masks]),
                                     torch.cat([target.stuff_labels, target.thing_labels[pairs.gt_inds]])))
        losses = mask_losses(torch.cat(pos_logits), torch.cat(pos_masks), self.loss_mask, self.loss_dice)
        losses['loss_rank'] = self.loss_rank(mask_logits, torch.stack(rank_targets), ignore_index=IGNORE_INDEX)
        losses['loss_seg'] = self._semantic_loss(upsample(initial.sem_logits, self.feat_downsample_stride), torch.stack(seg_targets))
        return {name.replace('loss_', 'loss_rpn_'): value for name, value in losses.items()}, assignments

    def _semantic_loss(self, sem_logits: Tensor, target: Tensor) -> Tensor:
        """Loss of (B, T+S, h, w) logits against a (B, h, w) map; unlabelled pixels are no class to a sigmoid loss and ignored
        by a softmax loss."""
        if not self.loss_seg.use_sigmoid:
            return self.loss_seg(sem_logits, target, ignore_index=IGNORE_INDEX)
        labelled = target != IGNORE_INDEX
        one_hot = F.one_hot(target.masked_fill(~labelled, self.num_classes), self.num_classes + 1)[..., :-1]  # (B, h, w, T+S)
        return self.loss_seg(sem_logits.permute(0, 2, 3, 1).flatten(0, 2), one_hot.flatten(0, 2),
                             labelled.sum().float().clamp(min=1))


def mask_losses(pos_logits: Tensor, pos_masks: Tensor, loss_mask: nn.Module, loss_dice: nn.Module) -> Dict[str, Tensor]:
    """`loss_mask` and `loss_dice` of matched masks; 0 with a graph where nothing is matched.

    Args:
        pos_logits: (P, h, w), the matched kernels of all images.
        pos_masks: (P, h, w), their ground truth, 0..1.
    """
    if not len(pos_logits):
        return dict(loss_mask=pos_logits.sum(), loss_dice=pos_logits.sum())
    return dict(loss_mask=loss_mask(pos_logits, pos_masks), loss_dice=loss_dice(pos_logits, pos_masks))
