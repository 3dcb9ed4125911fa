"""Semantic FPN: fuses the FPN levels into one map for localization, one for semantics, and others
for paths of kernels."""

from typing import Dict, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.transformer import build_positional_encoding
from mmcv.runner import BaseModule
from torch import Tensor


class SemanticFPNWrapper(BaseModule):
    """Sum of the FPN levels at one common stride (Panoptic FPN, arXiv 1901.02446, with the changes
    of K-Net).

    Level l passes through `max(l, 1)` 3x3 convolutions; an upsampling to the size of the next finer
    level follows each of the first of them until the level has the output stride. A level that is
    finer than the output gets there by a stride of 2 in its convolution.

    Args:
        channels: Channels of the FPN levels, of the convolutions and of the output maps.
        end_level: Last FPN level that is read; levels 0..end_level are.
        upsample_times: How often the last level is upsampled: the outputs have its stride /
            2**upsample_times.
        positional_encoding: Config of the encoding that is added to level `cat_coors_level`; by
            default with `num_feats` of half the channels.
        cat_coors_level: The level that gets the positional encoding.
        norm_cfg: Norm of all convolutions.
        num_aux_convs: Output maps beside that for localization.
    """

    def __init__(
        self,
        channels: int,
        end_level: int = 3,
        upsample_times: int = 2,
        positional_encoding: Optional[Dict] = None,
        cat_coors_level: int = 3,
        norm_cfg: Optional[Dict] = None,
        num_aux_convs: int = 1,
        init_cfg: Optional[Dict] = None,
    ):
        super().__init__(init_cfg)
        norm_cfg = norm_cfg or dict(type='GN', num_groups=32, requires_grad=True)
        self.end_level = end_level
        self.cat_coors_level = cat_coors_level
        self.positional_encoding = None
        if positional_encoding:
            encoding = {'num_feats': channels // 2, **positional_encoding}
            self.positional_encoding = build_positional_encoding(encoding)
        # per level: how many of its convolutions are followed by an upsampling
        self.num_upsamples = []
        self.convs_all_levels = nn.ModuleList()
        for level in range(end_level + 1):
            num_convs = max(level, 1)
            num_upsamples = upsample_times - (end_level - level)
            if not -1 <= num_upsamples <= num_convs:
                raise ValueError(
                    f'level {level} cannot be brought to the output stride: '
                    f'upsample_times={upsample_times}, '
                    f'end_level={end_level}'
                )
            stride = 2 if num_upsamples < 0 else 1
            convs = nn.Sequential()
            for j in range(num_convs):
                convs.add_module(
                    f'conv{j}',
                    ConvModule(
                        channels,
                        channels,
                        3,
                        padding=1,
                        stride=stride if j == 0 else 1,
                        norm_cfg=norm_cfg,
                    ),
                )
            self.convs_all_levels.append(convs)
            self.num_upsamples.append(max(num_upsamples, 0))
        self.conv_pred = ConvModule(channels, channels, 1, norm_cfg=norm_cfg)
        self.aux_convs = nn.ModuleList(
            [ConvModule(channels, channels, 1, norm_cfg=norm_cfg) for _ in range(num_aux_convs)]
        )

    def forward(self, feats: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        """
        Args:
            feats: FPN levels from fine to coarse, each (B, C, H/s, W/s), s = 4, 8, 16, 32, ...;
                levels after `end_level` are not read.

        Returns:
            localization map, and the others, the first for semantics; each (B, channels, H/8, W/8)
            with the default arguments.
        """
        fused = None
        for level, (convs, num_upsamples) in enumerate(
            zip(self.convs_all_levels, self.num_upsamples)
        ):
            x = feats[level]
            if self.positional_encoding is not None and level == self.cat_coors_level:
                ignored = x.new_zeros((x.shape[0], *x.shape[-2:]), dtype=torch.bool)
                x = x + self.positional_encoding(ignored)
            for j, conv in enumerate(convs.children()):
                x = conv(x)
                if j < num_upsamples:
                    # to the next finer level, of odd size where an image was padded too little
                    size = feats[level - j - 1].shape[-2:]
                    x = F.interpolate(x, size, mode='bilinear', align_corners=False)
            fused = x if fused is None else fused + x
        return (self.conv_pred(fused), *(conv(fused) for conv in self.aux_convs))
