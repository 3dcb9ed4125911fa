"""Tracking embeddings: what an object looks like, in a form that can be compared between frames."""

from typing import Any, Dict, List, Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.runner import BaseModule
from mmdet.models.builder import HEADS, build_loss
from torch import Tensor
from torchvision.ops import roi_align

from knet.models.precision import in_float32


class EmbedHead(BaseModule):
    """Embeds what is tracked and compares the embeddings of two frames (QDTrack, arXiv 2006.06664,
    section 3.3).

    Args:
        channels: Channels of an embedding.
        in_channels, hidden_channels: Of the input and of the hidden layers.
        loss_track: Config of the loss on dot products.
        loss_track_aux: Config of the loss on cosine similarities.
        num_fcs: Hidden layers (Linear, ReLU).
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        hidden_channels: int,
        num_fcs: int,
        loss_track: Dict,
        loss_track_aux: Dict,
        init_cfg: Optional[Dict] = None,
    ):
        super().__init__(init_cfg)
        sizes = [in_channels, *[hidden_channels] * num_fcs]
        self.fcs = nn.ModuleList([nn.Linear(*pair) for pair in zip(sizes, sizes[1:])])
        self.fc_embed = nn.Linear(sizes[-1], channels)
        self.loss_track = build_loss(loss_track)
        self.loss_track_aux = build_loss(loss_track_aux)

    def init_weights(self):
        """Xavier initialization of the hidden layers, a narrow normal one of the embedding."""
        super().init_weights()
        for layer in self.fcs:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.fc_embed.weight, std=0.01)
        nn.init.zeros_(self.fc_embed.bias)

    def embed(self, feats: Tensor) -> Tensor:
        """(..., in_channels) → (..., channels)."""
        for layer in self.fcs:
            feats = F.relu(layer(feats))
        return self.fc_embed(feats)

    @in_float32
    def loss(
        self,
        key_embeds: List[Tensor],
        ref_embeds: List[Tensor],
        key_ids: List[Tensor],
        ref_ids: List[Tensor],
    ) -> Dict[str, Tensor]:
        """Tracking losses, mean over the pairs of frames.

        Args:
            key_embeds, ref_embeds: Per pair of frames, embeddings of the matched kernels, (n, D)
                and (m, D).
            key_ids, ref_ids: Per pair, their instance ids, (n,) and (m,); equal ids are the same
                object.

        Returns:
            `loss_track` and `loss_track_aux`; 0 with a graph where a pair has no object in common.
        """
        track, track_aux = [], []
        for key, ref, key_id, ref_id in zip(key_embeds, ref_embeds, key_ids, ref_ids):
            match = key_id[:, None] == ref_id[None]
            track.append(self.loss_track(key @ ref.T, match))
            track_aux.append(
                self.loss_track_aux(F.normalize(key, dim=1) @ F.normalize(ref, dim=1).T, match)
            )
        return dict(
            loss_track=torch.stack(track).mean(), loss_track_aux=torch.stack(track_aux).mean()
        )


@HEADS.register_module()
class QuasiDenseEmbedHead(EmbedHead):
    """Embeds kernels.

    Args:
        channels: Channels C of the input, of the hidden layers and of an embedding.
        num_fcs: Hidden layers.
        kwargs: Losses, see `EmbedHead`.
    """

    def __init__(self, channels: int, num_fcs: int = 2, **kwargs: Any):
        super().__init__(channels, channels, channels, num_fcs, **kwargs)

    def forward(self, kernels: Tensor) -> Tensor:
        """(..., C) → (..., C)."""
        return self.embed(kernels)


@HEADS.register_module()
class RegionEmbedHead(EmbedHead):
    """Embeds regions of the image (QDTrack, with the regions of masks as in PolyphonicFormer).

    Args:
        channels: Channels C of the FPN levels, of the convolutions and of an embedding.
        num_convs: 3x3 convolutions on the features of a region.
        num_fcs, hidden_channels: Hidden layers after them, and their channels.
        roi_size: Side of the features of a region.
        kwargs: Losses, see `EmbedHead`.
    """

    STRIDES = (4, 8, 16, 32)

    def __init__(
        self,
        channels: int,
        num_convs: int = 4,
        num_fcs: int = 1,
        hidden_channels: int = 1024,
        roi_size: int = 7,
        **kwargs: Any,
    ):
        super().__init__(channels, channels * roi_size**2, hidden_channels, num_fcs, **kwargs)
        norm_cfg = dict(type='GN', num_groups=32)
        self.convs = nn.ModuleList(
            [
                ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg)
                for _ in range(num_convs)
            ]
        )
        self.roi_size = roi_size

    @in_float32
    def forward(self, levels: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        """
        Args:
            levels: FPN levels from stride 4 on, each (B, C, H/s, W/s).
            regions: Of each image, (n, 4): x1, y1, x2, y2 in pixels of the network input.

        Returns:
            (sum of n, D).
        """
        boxes = torch.cat(list(regions))
        image = torch.arange(len(regions), device=boxes.device)
        counts = torch.tensor([len(own) for own in regions], device=boxes.device)
        rois = torch.cat([image.repeat_interleave(counts)[:, None].to(boxes), boxes], 1)
        # a region of 112 pixels is read at stride 8 (FPN, arXiv 1612.03144, equation 1)
        side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).clamp(min=0).sqrt()
        level = (side / 56 + 1e-6).log2().floor().clamp(0, len(self.STRIDES) - 1)
        feats = levels[0].new_zeros((len(boxes), levels[0].shape[1], *[self.roi_size] * 2))
        for number, (stride, own) in enumerate(zip(self.STRIDES, levels)):
            chosen = (level == number).nonzero()[:, 0]
            read = roi_align(own, rois[chosen], self.roi_size, 1 / stride, 2, aligned=True)
            feats = feats.index_copy(0, chosen, read)
        return self.embed_feats(feats)

    def embed_feats(self, feats: Tensor) -> Tensor:
        """Embeddings (n, D) of the features of regions, (n, C, roi_size, roi_size)."""
        for conv in self.convs:
            feats = conv(feats)
        return self.embed(feats.flatten(1))


def mask_regions(masks: Tensor) -> Tensor:
    """Regions around masks: twice the mean distance of a mask's pixels from their mean to each
    side (PolyphonicFormer's code).

    Args:
        masks: (n, H, W), bool.

    Returns:
        (n, 4), float: x1, y1, x2, y2, x1 and y1 at least 0; of an empty mask 0, 0, 0, 0.
    """
    area = masks.sum((1, 2))[:, None]
    centres, sides = [], []
    for axis in (1, 2):  # sums along an axis say all about the other one
        counts = masks.sum(axis).float()  # (n, W), then (n, H)
        position = torch.arange(counts.shape[1], device=masks.device, dtype=torch.float)
        centre = (counts * position).sum(1, keepdim=True) / area.clamp(min=1)
        spread = (counts * (position - centre).abs()).sum(1, keepdim=True) / area.clamp(min=1)
        centres.append(centre)
        sides.append(2 * spread.clamp(min=1))
    centre, side = torch.cat(centres, 1), torch.cat(sides, 1)
    regions = torch.cat([(centre - side).clamp(min=0), centre + side], 1)
    return torch.where(area > 0, regions, 0)
