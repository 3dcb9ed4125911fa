"""Count the parameters of a model and the floating-point operations of one frame of testing.

    python tools/analysis/get_flops.py CONFIG [--shape H W] [--cfg-options KEY=VALUE ...]

Counted are convolutions, matrix products and attention; a multiplication and the addition after it
are two operations. Video models see a frame that has a frame before it, and embed all of its
kernels, or as many regions. Normalization, activations, interpolation, the panoptic merge and the
tracker are not counted. Nothing is computed and no weights are fetched: the tensors have shapes,
but no values.
"""

import argparse
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import torch
from mmcv.cnn.utils import revert_sync_batchnorm
from terminaltables import AsciiTable
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from knet.apis import build_model, load_config
from knet.apis.explain import require
from knet.commands.options import add_config_options
from knet.data.transforms import DIVISOR, padded_size
from knet.errors import InputError, report_input_errors
from knet.models.region_knet import RegionKNet
from knet.models.video_knet import VideoKNet

PARTS = {
    'backbone': ('backbone',),
    'neck': ('neck',),
    'rpn_head': ('rpn_head',),
    'roi_head': ('roi_head',),
    'track_head': ('embed_fcs', 'fc_embed', 'track_head'),
}
"""Rows of the table, and the modules that each holds."""


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(description='Count parameters and floating-point operations')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help=f'size of a frame, padded to multiples of {DIVISOR} as in testing (default: that of '
        'the training crops)',
    )
    add_config_options(parser)
    return parser.parse_args(arguments)


def count_parameters(model: nn.Module) -> Dict[str, Tuple[int, int]]:
    """All parameters and the trainable ones of each part that the model has."""
    counts = {}
    for part, names in PARTS.items():
        parameters = [
            p for name in names if hasattr(model, name) for p in getattr(model, name).parameters()
        ]
        if parameters:
            counts[part] = (
                sum(p.numel() for p in parameters),
                sum(p.numel() for p in parameters if p.requires_grad),
            )
    return counts


@torch.no_grad()
def count_flops(model: nn.Module, shape: Tuple[int, int]) -> Dict[str, int]:
    """Operations of each part for one frame.

    Args:
        model: On the device `meta`.
        shape: (height, width), multiples of 32.
    """
    counts = {}

    def count(part: str, function: Callable, *inputs):
        with FlopCounterMode(display=False) as counter:
            outputs = function(*inputs)
        counts[part] = counter.get_total_flops()
        return outputs

    feats = count('backbone', model.backbone, torch.empty(1, 3, *shape, device='meta'))
    initial = count('rpn_head', model.rpn_head, count('neck', model.neck, feats))
    is_video = isinstance(model, VideoKNet)
    previous: List[Tensor] = [model.roi_head(initial)[-1].kernels] if is_video else []
    output = count('roi_head', model.roi_head, initial, *previous)[-1]
    number = model.kernel_set.num_proposals
    if is_video:
        count('track_head', model.embed, output.track_feats[0, :number])
    elif isinstance(model, RegionKNet):
        head, channels = model.track_head, model.kernel_set.channels
        sizes = number, channels, head.roi_size, head.roi_size
        count('track_head', head.embed_feats, torch.empty(sizes, device='meta'))
    return counts


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Print the table."""
    args = parse_args(arguments)
    cfg = load_config(args.config, args.cfg_options)
    if not args.shape:
        require(cfg, 'data.train.crop_size')
    shape = args.shape or cfg.data.train.crop_size
    if min(shape) < 1:
        raise InputError(f'--shape must be two positive numbers, got {shape[0]} {shape[1]}')
    height, width = padded_size(*shape)
    model = revert_sync_batchnorm(build_model(cfg, pretrained=False)).eval().to('meta')
    parameters, flops = count_parameters(model), count_flops(model, (height, width))
    rows = [
        [part, *(f'{n / 1e6:.2f}' for n in parameters[part]), f'{flops[part] / 1e9:.2f}']
        for part in parameters
    ]
    totals = [f'{sum(column) / 1e6:.2f}' for column in zip(*parameters.values())]
    rows.append(['all', *totals, f'{sum(flops.values()) / 1e9:.2f}'])
    table = AsciiTable(
        [['part', 'parameters (M)', 'trainable (M)', f'GFLOPs at {height}x{width}'], *rows]
    )
    table.justify_columns = {1: 'right', 2: 'right', 3: 'right'}
    print(table.table)


if __name__ == '__main__':
    with report_input_errors():
        main()
