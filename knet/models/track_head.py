"""Tracking embeddings: what an object looks like, in a form that can be compared between frames."""
from typing import Dict, List, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.runner import BaseModule
from mmdet.models.builder import HEADS, build_loss
from torch import Tensor

from knet.models.precision import in_float32


@HEADS.register_module()
class QuasiDenseEmbedHead(BaseModule):
    """Embeds kernels and compares the embeddings of two frames (QDTrack, arXiv 2006.06664, section 3.3).

    Args:
        in_channels: Channels of the input.
        num_fcs: Hidden layers (Linear, ReLU).
        fc_out_channels: Their channels.
        embed_channels: Length of an embedding.
        loss_track: Loss on dot products.
        loss_track_aux: Loss on cosine similarities.
    """

    def __init__(self,
                 in_channels: int = 256,
                 num_fcs: int = 2,
                 fc_out_channels: int = 256,
                 embed_channels: int = 256,
                 loss_track: Optional[Dict] = None,
                 loss_track_aux: Optional[Dict] = None,
                 init_cfg: Optional[Dict] = None):
        super().__init__(init_cfg)
        self.in_channels = in_channels
        widths = [in_channels] + [fc_out_channels] * num_fcs
        self.fcs = nn.ModuleList([nn.Linear(before, after) for before, after in zip(widths, widths[1:])])
        self.fc_embed = nn.Linear(widths[-1], embed_channels)
        self.loss_track = build_loss(loss_track) if loss_track else None
        self.loss_track_aux = build_loss(loss_track_aux) if loss_track_aux else None

    def init_weights(self):
        """Xavier initialization of the hidden layers, a narrow normal one of the embedding."""
        super().init_weights()
        for layer in self.fcs:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.fc_embed.weight, std=0.01)
        nn.init.zeros_(self.fc_embed.bias)

    def forward(self, feats: Tensor) -> Tensor:
        """(..., in_channels) → (..., embed_channels)."""
        for layer in self.fcs:
            feats = F.relu(layer(feats))
        return self.fc_embed(feats)

    @in_float32
    def loss(self, key_embeds: List[Tensor], ref_embeds: List[Tensor], key_ids: List[Tensor], ref_ids: List[Tensor]) -> Dict[str, Tensor]:
        """Tracking losses, mean over the pairs of frames.

        Args:
            key_embeds, ref_embeds: Per pair of frames, embeddings of the matched kernels, (n, D) and (m, D).
            key_ids, ref_ids: Per pair, their instance ids, (n,) and (m,); equal ids are the same object.

        Returns:
            `loss_track` and `loss_track_aux`; 0 with a graph where a pair has no object in common.
        """
        track, track_aux = [], []
        for key, ref, key_id, ref_id in zip(key_embeds, ref_embeds, key_ids, ref_ids):
            match = key_id[:, None] == ref_id[None]
            track.append(self.loss_track(key @ ref.T, match))
            track_aux.append(self.loss_track_aux(F.normalize(key, dim=1) @ F.normalize(ref, dim=1).T, match))
        return dict(loss_track=torch.stack(track).mean(), loss_track_aux=torch.stack(track_aux).mean())
