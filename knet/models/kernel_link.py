"""The link to the previous frame: how kernels or track features of a frame read the kernels of the frame before it.

All published link types are one computation with three choices (Video K-Net, sections 3.3 and 3.4):

    u = previous kernels, optionally brought up to date with the current frame by a `KernelUpdator`
    t = LN(attention(query=q, key=value=u) + q)
    t = LN(FFN(t) + t)

The layers live directly in the stage head, under the published names; the suffix keeps the links apart.
"""
from typing import NamedTuple, Optional

import torch.nn as nn
from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention
from torch import Tensor

from knet.models.kernel_updater import KernelUpdator


class LinkType(NamedTuple):
    """One row of the link tables.

    Attributes:
        suffix: End of the parameter names.
        update_by: What the previous kernels are updated with before the attention: 'group' (features under the
            current masks), 'object' (the current frame's object features) or None (not at all).
    """
    suffix: str
    update_by: Optional[str]


TRACK_LINKS = dict(ffn=LinkType('', None), update=LinkType('_track', 'group'), update_obj=LinkType('_track', 'object'))
"""`previous_type`: links that make the track features of a frame; the segmentation does not depend on them."""

KERNEL_LINKS = dict(link_atten=LinkType('_link', None), update_dynamic_cov=LinkType('_link', 'group'))
"""`previous_link`: links that change the kernels before a stage refines them."""


def add_link_layers(head: nn.Module, link: LinkType, channels: int, num_heads: int, feedforward_channels: int) -> None:
    """Give `head` the layers of `link`, for use with `apply_link`."""
    if link.update_by:
        head.add_module('attention_previous_update' + link.suffix, KernelUpdator(channels))
    head.add_module('attention_previous' + link.suffix, MultiheadAttention(channels, num_heads))
    head.add_module('attention_previous_norm' + link.suffix, nn.LayerNorm(channels))
    head.add_module('link_ffn' + link.suffix, FFN(channels, feedforward_channels))
    head.add_module('link_ffn_norm' + link.suffix, nn.LayerNorm(channels))


def apply_link(head: nn.Module, link: LinkType, query: Tensor, previous: Tensor, group_feats: Tensor,
               object_feats: Optional[Tensor] = None) -> Tensor:
    """Let `query` read the previous frame's kernels.

    Args:
        head: The module that `add_link_layers` was called on.
        link: The same link type.
        query: (B, N', K*K, C) with K*K = 1.
        previous: Last stage's object features of the previous frame, shape as `query`.
        group_feats: Features under the current masks, (B, N', C).
        object_feats: Current object features, shape as `query`; needed for `update_by='object'`.

    Returns:
        (B, N', K*K, C).
    """
    def layer(name):
        return getattr(head, name + link.suffix)

    batch, num_kernels = query.shape[:2]
    if link.update_by:
        update = group_feats[:, :, None] if link.update_by == 'group' else object_feats
        previous = layer('attention_previous_update')(update.flatten(0, 1), previous.flatten(0, 1))
        previous = previous.reshape(query.shape)
    query, previous = query.flatten(2).transpose(0, 1), previous.flatten(2).transpose(0, 1)  # (N', B, C)
    linked = layer('attention_previous_norm')(layer('attention_previous')(query=query, key=previous, value=previous, identity=query))
    linked = linked.transpose(0, 1).reshape(batch, num_kernels, 1, -1)  # (B, N', K*K, C)
    return layer('link_ffn_norm')(layer('link_ffn')(linked))
