"""Every shipped config loads, is short, and builds its model and transforms."""
import pytest
from mmdet.datasets import PIPELINES
from mmdet.models import build_detector

from knet.apis import load_config
from knet.apis.config import find_class
from tests.conftest import ROOT

LEAVES = sorted(str(path.relative_to(ROOT / 'configs/det')) for path in (ROOT / 'configs/det').glob('[!_]*/*.py'))


@pytest.mark.parametrize('name', LEAVES)
def test_config(name):
    path = ROOT / 'configs/det' / name
    assert len(path.read_text().splitlines()) <= 30
    cfg = load_config(str(path), {'model.backbone.init_cfg': None})
    model = build_detector(cfg.model)
    assert model.rpn_head.num_classes == 19 and len(model.roi_head.mask_head) == 3
    for split in ('train', 'val', 'test'):
        dataset = cfg.data[split].get('dataset', cfg.data[split])
        assert find_class(dataset.type) and all(PIPELINES.get(step.type) for step in dataset.pipeline)
    assert {'optimizer', 'lr_config', 'runner', 'checkpoint_config', 'log_config', 'evaluation'} <= set(cfg.keys())


def test_there_are_configs():
    assert len(LEAVES) >= 11
