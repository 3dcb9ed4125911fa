"""tools/analysis/get_flops.py."""

import re

import pytest

from knet.apis import load_config
from knet.errors import InputError
from tests.conftest import ROOT

PRETRAINED = ROOT / 'configs/det/knet_cityscapes_step/knet_s3_r50_fpn.py'


def rows(printed):
    """Part → its numbers."""
    return {
        name: [float(x) for x in numbers.split('|')]
        for name, numbers in re.findall(r'^\| (\w+) +\|([ \d.|]+)\|$', printed, re.M)
    }


def test_resnet_has_its_known_figures(tool):
    table = rows(tool('analysis/get_flops', PRETRAINED, '--shape', 224, 220))  # padded to 224x224
    assert list(table) == ['backbone', 'neck', 'rpn_head', 'roi_head', 'all']
    # torchvision's ResNet-50 without its classifier (2.05 M): 23.51 M parameters and 4.087 G
    # multiplications (He et al.: 4.1)
    assert table['backbone'][0] == pytest.approx(23.51, abs=0.01) and table['backbone'][
        2
    ] == pytest.approx(8.17, abs=0.01)
    assert table['backbone'][1] == pytest.approx(
        23.51 - 0.225, abs=0.01
    )  # stem and first stage are frozen
    assert table['all'] == pytest.approx(
        [sum(table[part][i] for part in table if part != 'all') for i in range(3)], abs=0.03
    )


def test_video_model_of_a_config_with_crops(tool, tiny_config):
    printed = tool('analysis/get_flops', tiny_config)
    assert 'GFLOPs at 96x224' in printed
    table = rows(printed)
    assert list(table) == ['backbone', 'neck', 'rpn_head', 'roi_head', 'track_head', 'all']
    # four times the pixels, four times the work; that of the kernels alone does not grow
    double = rows(tool('analysis/get_flops', tiny_config, '--shape', 192, 448))
    assert (
        double['backbone'][2] == pytest.approx(4 * table['backbone'][2], abs=0.03)
        and double['backbone'][:2] == table['backbone'][:2]
    )
    assert double['track_head'] == table['track_head']


def test_models_with_depth(tool):
    """Depth adds to both heads; 100 regions of 7x7 go through four convolutions."""
    folder = ROOT / 'configs/det'
    video = folder / 'polyphonic/polyphonic_video_r50_cityscapes_dvps.py'
    table = rows(tool('analysis/get_flops', video, '--shape', 64, 64))
    plain = rows(tool('analysis/get_flops', PRETRAINED, '--shape', 64, 64))
    assert table['all'][0] == pytest.approx(58.95, abs=0.01)
    # convolutions, and the layers behind them
    macs = 100 * (4 * 49 * 256 * 256 * 9 + 49 * 256 * 1024 + 1024 * 256)
    assert table['track_head'][2] == pytest.approx(2 * macs / 1e9, abs=0.01)
    for part, same in (
        ('backbone', True),
        ('neck', True),
        ('rpn_head', False),
        ('roi_head', False),
    ):
        assert (table[part] == plain[part]) == same


def test_bad_shape(tool, tiny_config):
    with pytest.raises(InputError, match='--shape must be two positive numbers, got 0 32'):
        tool('analysis/get_flops', tiny_config, '--shape', 0, 32)


def test_nothing_is_fetched(tool, tmp_path):
    assert load_config(str(PRETRAINED)).model.backbone.init_cfg is not None
    option = f'model.backbone.init_cfg.checkpoint={tmp_path}/none.pth'
    assert 'roi_head' in tool(
        'analysis/get_flops', PRETRAINED, '--shape', 64, 64, '--cfg-options', option
    )
