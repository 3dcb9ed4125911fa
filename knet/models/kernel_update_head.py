"""One refinement stage: kernels read the image, each other and, with a link, the previous frame."""
from typing import Dict, List, NamedTuple, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule, bias_init_with_prob
from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention
from mmcv.runner import BaseModule
from mmdet.models.builder import HEADS, build_loss
from mmdet.models.losses import accuracy
from torch import Tensor

from knet.models.kernel_head import mask_losses
from knet.models.kernel_link import KERNEL_LINKS, TRACK_LINKS, add_link_layers, apply_link
from knet.models.kernel_updater import KernelUpdator
from knet.models.mask_matching import Assignment
from knet.models.mask_ops import group_features
from knet.models.mask_targets import IGNORE_INDEX, MaskTargets, paint
from knet.models.precision import in_float32


class StageOutput(NamedTuple):
    """What a stage gives to the next one and to the losses.

    Attributes:
        cls_logits: (B, N', T+S).
        mask_logits: (B, N', h, w).
        object_feats: (B, N', K*K, C): the kernels of the next stage, and the "previous kernels" of the next frame.
        track_feats: (B, N', K*K, C): the object features after the link to the previous frame, or as they are without one.
    """
    cls_logits: Tensor
    mask_logits: Tensor
    object_feats: Tensor
    track_feats: Tensor


@HEADS.register_module()
class KernelUpdateHead(BaseModule):
    """A stage of K-Net (section 3.2), with the links of Video K-Net.

    Args:
        num_thing_classes: T.
        num_stuff_classes: S.
        num_proposals: Number N of thing kernels; they come first, S stuff kernels follow.
        in_channels: Channels C of features and kernels.
        num_heads: Heads of the attention over the kernels.
        feedforward_channels: Hidden channels of the FFNs.
        num_cls_fcs, num_mask_fcs: Hidden layers of the class and of the mask branch.
        mask_upsample_stride: Factor by which masks are upsampled before they are compared with the ground truth.
        previous_type: Link of the track features to the previous frame: 'ffn', 'update', 'update_obj' or None.
        previous_link: Link of the kernels to the previous frame: 'update_dynamic_cov', 'link_atten' or None.
        loss_cls, loss_mask, loss_dice, loss_rank: Loss configs; without `loss_rank` there is no such loss.
    """

    def __init__(self,
                 num_thing_classes: int = 2,
                 num_stuff_classes: int = 17,
                 num_proposals: int = 100,
                 in_channels: int = 256,
                 num_heads: int = 8,
                 feedforward_channels: int = 2048,
                 num_cls_fcs: int = 1,
                 num_mask_fcs: int = 1,
                 mask_upsample_stride: int = 2,
                 previous_type: Optional[str] = None,
                 previous_link: Optional[str] = None,
                 loss_cls: Optional[Dict] = None,
                 loss_mask: Optional[Dict] = None,
                 loss_dice: Optional[Dict] = None,
                 loss_rank: Optional[Dict] = None,
                 init_cfg: Optional[Dict] = None):
        super().__init__(init_cfg)
        self.num_thing_classes = num_thing_classes
        self.num_classes = num_thing_classes + num_stuff_classes
        self.num_proposals = num_proposals
        self.mask_upsample_stride = mask_upsample_stride

        self.feat_transform = ConvModule(in_channels, in_channels, 1, act_cfg=None)
        self.kernel_update_conv = KernelUpdator(in_channels)
        self.attention = MultiheadAttention(in_channels, num_heads)
        self.attention_norm = nn.LayerNorm(in_channels)
        self.ffn = FFN(in_channels, feedforward_channels)
        self.ffn_norm = nn.LayerNorm(in_channels)
        self.cls_fcs = fc_layers(in_channels, num_cls_fcs)
        self.fc_cls = nn.Linear(in_channels, self.num_classes)
        self.mask_fcs = fc_layers(in_channels, num_mask_fcs)
        self.fc_mask = nn.Linear(in_channels, in_channels)

        self.track_link = _look_up(TRACK_LINKS, previous_type, 'previous_type')
        self.kernel_link = _look_up(KERNEL_LINKS, previous_link, 'previous_link')
        for link in filter(None, (self.track_link, self.kernel_link)):
            add_link_layers(self, link, in_channels, num_heads, feedforward_channels)

        self.loss_cls = build_loss(loss_cls) if loss_cls else None
        self.loss_mask = build_loss(loss_mask) if loss_mask else None
        self.loss_dice = build_loss(loss_dice) if loss_dice else None
        self.loss_rank = build_loss(loss_rank) if loss_rank else None

    def init_weights(self):
        """Xavier initialization of all weight matrices; every class starts at probability 0.01 (focal loss, section 4.1)."""
        super().init_weights()
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        nn.init.constant_(self.fc_cls.bias, bias_init_with_prob(0.01))

    def forward(self, feats: Tensor, kernels: Tensor, mask_logits: Tensor, previous: Optional[Tensor] = None) -> StageOutput:
        """
        Args:
            feats: (B, C, h, w).
            kernels: (B, N', K*K, C) of the stage before.
            mask_logits: (B, N', h', w') of the stage before.
            previous: Last stage's object features of the previous frame, (B, N', K*K, C), or None in the first frame of
                a sequence. Read only by stages with a link.
        """
        batch, num_kernels, kernel_pixels, channels = kernels.shape
        feats = self.feat_transform(feats)
        if mask_logits.shape[-2:] != feats.shape[-2:]:
            mask_logits = F.interpolate(mask_logits, feats.shape[-2:], mode='bilinear', align_corners=False)
        group_feats = group_features(feats, mask_logits)  # (B, N', C)

        if self.kernel_link and previous is not None:
            kernels = apply_link(self, self.kernel_link, kernels, previous, group_feats)
        updated = self.kernel_update_conv(group_feats.reshape(-1, 1, channels), kernels.flatten(0, 1))  # (B*N', K*K, C)
        updated = updated.reshape(batch, num_kernels, -1).transpose(0, 1)  # (N', B, K*K*C)
        updated = self.attention_norm(self.attention(updated)).transpose(0, 1)
        object_feats = self.ffn_norm(self.ffn(updated.reshape(batch, num_kernels, kernel_pixels, channels)))

        cls_feats, mask_feats = object_feats.sum(-2), object_feats
        for layer in self.cls_fcs:
            cls_feats = layer(cls_feats)
        for layer in self.mask_fcs:
            mask_feats = layer(mask_feats)
        new_mask_logits = torch.einsum('bnkc,bchw->bnhw', self.fc_mask(mask_feats), feats)

        track_feats = object_feats
        if self.track_link and previous is not None:
            track_feats = apply_link(self, self.track_link, object_feats, previous, group_feats, object_feats)
        return StageOutput(self.fc_cls(cls_feats), new_mask_logits, object_feats, track_feats)

    @in_float32
    def loss(self, cls_logits: Tensor, mask_logits: Tensor, assignments: List[Assignment], targets: List[MaskTargets],
             num_positive: Tensor) -> Dict[str, Tensor]:
        """Losses of this stage.

        Args:
            cls_logits: (B, N', T+S).
            mask_logits: (B, N', H, W), upsampled by `mask_upsample_stride`.
            assignments: Matched thing kernels of each image.
            targets: Ground truth of each image at the stride of the upsampled masks.
            num_positive: What the class loss is averaged by, see `KernelIterHead.num_positives`.

        Returns:
            `loss_cls`, `loss_mask`, `loss_dice`, with `loss_rank` in the config `loss_rank`, and `pos_acc` (percent of the
            matched kernels with the right class) for the log.
        """
        labels, pos_logits, pos_masks, rank_targets = [], [], [], []
        for logits, pairs, target in zip(mask_logits, assignments, targets):
            # Stuff kernels belong to their class: kernel N + j to class T + j.
            stuff_inds = target.stuff_labels - self.num_thing_classes + self.num_proposals
            pos_inds = torch.cat([pairs.kernel_inds, stuff_inds])
            masks = torch.cat([target.thing_masks[pairs.gt_inds], target.stuff_masks])
            label = pos_inds.new_full((len(logits),), self.num_classes)  # num_classes = no object
            label[pos_inds] = torch.cat([target.thing_labels[pairs.gt_inds], target.stuff_labels])
            labels.append(label)
            pos_logits.append(logits[pos_inds])
            pos_masks.append(masks)
            if self.loss_rank is not None:
                rank_targets.append(paint(masks, pos_inds))
        losses = self._class_loss(cls_logits, torch.stack(labels), num_positive)
        losses.update(mask_losses(torch.cat(pos_logits), torch.cat(pos_masks), self.loss_mask, self.loss_dice))
        if self.loss_rank is not None:
            losses['loss_rank'] = self.loss_rank(mask_logits, torch.stack(rank_targets), ignore_index=IGNORE_INDEX)
        return losses

    def _class_loss(self, cls_logits: Tensor, labels: Tensor, num_positive: Tensor) -> Dict[str, Tensor]:
        """Focal loss over the number of positives, (B, N', T+S) logits against (B, N') labels.

        Thing kernels answer for the thing classes, each stuff kernel for its own class alone.
        """
        weights = torch.zeros_like(cls_logits)
        weights[:, :self.num_proposals, :self.num_thing_classes] = 1
        num_stuff = self.num_classes - self.num_thing_classes
        weights[:, self.num_proposals:, self.num_thing_classes:] = torch.eye(num_stuff, device=weights.device, dtype=weights.dtype)
        one_hot = F.one_hot(labels, self.num_classes + 1)[..., :-1]
        positive = labels < self.num_classes
        loss = self.loss_cls(cls_logits.flatten(0, 1), one_hot.flatten(0, 1), num_positive, weights.flatten(0, 1))
        return dict(loss_cls=loss, pos_acc=accuracy(cls_logits[positive], labels[positive]))


def fc_layers(channels: int, num_layers: int) -> nn.ModuleList:
    """`num_layers` times Linear without bias, LayerNorm, ReLU, as one flat list."""
    layers = nn.ModuleList()
    for _ in range(num_layers):
        layers.extend([nn.Linear(channels, channels, bias=False), nn.LayerNorm(channels), nn.ReLU(inplace=True)])
    return layers


def _look_up(table, name, option):
    if name is None:
        return None
    if name not in table:
        raise ValueError(f'{option} must be None or one of {sorted(table)}, got {name!r}')
    return table[name]
