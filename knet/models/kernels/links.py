"""Links to the previous frame: how kernels read the kernels of the frame before (Video K-Net, 3.3,
3.4).

A stage can have two: the *kernel link* changes the kernels before the stage refines them, the
*track link* makes the track features of the refined kernels, on which the segmentation does not
depend.
"""

from typing import Dict

from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention
from mmcv.utils import Registry, build_from_cfg
from torch import Tensor, nn

from knet.models.kernels.updater import KernelUpdater

LINKS = Registry('link')


def build_link(config: Dict, channels: int, num_heads: int, feedforward_channels: int) -> 'Link':
    """Link of a config; the other arguments are those of its stage."""
    sizes = dict(channels=channels, num_heads=num_heads, feedforward_channels=feedforward_channels)
    return build_from_cfg(config, LINKS, sizes)


class Link(nn.Module):
    """Interface of the links."""

    def forward(self, query: Tensor, previous: Tensor, group_feats: Tensor) -> Tensor:
        """Let `query` read the previous frame's kernels.

        Args:
            query: Kernels of this frame, (B, N', C).
            previous: Last stage's kernels of the previous frame, (B, N', C).
            group_feats: Features under the current masks, (B, N', C).

        Returns:
            (B, N', C).
        """
        raise NotImplementedError


@LINKS.register_module()
class AttentionLink(Link):
    """Cross attention to the previous kernels, then an FFN.

        t = LN(attention(query=q, key=value=previous) + q)
        t = LN(FFN(t) + t)

    Published as `previous_type='ffn'` (track link) and `previous_link='link_atten'` (kernel link).

    Args:
        channels: C.
        num_heads: Heads of the attention.
        feedforward_channels: Hidden channels of the FFN.
    """

    def __init__(self, channels: int, num_heads: int, feedforward_channels: int):
        super().__init__()
        self.attention = MultiheadAttention(channels, num_heads)
        self.attention_norm = nn.LayerNorm(channels)
        self.ffn = FFN(channels, feedforward_channels)
        self.ffn_norm = nn.LayerNorm(channels)

    def forward(self, query: Tensor, previous: Tensor, group_feats: Tensor) -> Tensor:
        query, previous = query.transpose(0, 1), previous.transpose(0, 1)  # (N', B, C)
        linked = self.attention(query=query, key=previous, value=previous, identity=query)
        return self.ffn_norm(self.ffn(self.attention_norm(linked).transpose(0, 1)))


@LINKS.register_module()
class UpdatedLink(Link):
    """The previous kernels are brought up to date with the current frame first, by a
    `KernelUpdater`.

    Published as `previous_type='update'` (by the group features), `'update_obj'` (by the query)
    and `previous_link='update_dynamic_cov'` (by the group features).

    Args:
        channels, num_heads, feedforward_channels: See `AttentionLink`.
        by: 'group' (features under the current masks) or 'query' (this frame's kernels).
    """

    def __init__(self, channels: int, num_heads: int, feedforward_channels: int, by: str = 'group'):
        super().__init__()
        if by not in ('group', 'query'):
            raise ValueError(f"by must be 'group' or 'query', got {by!r}")
        self.by = by
        self.update = KernelUpdater(channels)
        self.attend = AttentionLink(channels, num_heads, feedforward_channels)

    def forward(self, query: Tensor, previous: Tensor, group_feats: Tensor) -> Tensor:
        updated = self.update(group_feats if self.by == 'group' else query, previous)
        return self.attend(query, updated, group_feats)
