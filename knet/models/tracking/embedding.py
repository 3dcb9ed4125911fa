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
    """Embeds kernels and compares the embeddings of two frames (QDTrack, arXiv 2006.06664, section
    3.3).

    Args:
        channels: Channels C of the input, of the hidden layers and of an embedding.
        loss_track: Config of the loss on dot products.
        loss_track_aux: Config of the loss on cosine similarities.
        num_fcs: Hidden layers (Linear, ReLU).
    """

    def __init__(
        self,
        channels: int,
        loss_track: Dict,
        loss_track_aux: Dict,
        num_fcs: int = 2,
        init_cfg: Optional[Dict] = None,
    ):
        super().__init__(init_cfg)
        self.fcs = nn.ModuleList([nn.Linear(channels, channels) for _ in range(num_fcs)])
        self.fc_embed = nn.Linear(channels, channels)
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

    def forward(self, feats: Tensor) -> Tensor:
        """(..., C) → (..., C)."""
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
