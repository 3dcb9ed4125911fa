"""Every shipped config loads, is short, and builds its model and transforms."""

import pytest

from knet.apis import build_model, load_config
from knet.data import find_dataset
from knet.tasks import find_task
from tests.conftest import ROOT

LEAVES = sorted(
    str(path.relative_to(ROOT / 'configs/det'))
    for path in (ROOT / 'configs/det').glob('[!_]*/*.py')
)


@pytest.mark.parametrize('name', LEAVES)
def test_config(name):
    path = ROOT / 'configs/det' / name
    assert len(path.read_text().splitlines()) <= 30
    cfg = load_config(str(path), {'model.backbone.init_cfg': None})
    model = build_model(cfg)
    assert model.kernel_set.num_classes == 19 and len(model.roi_head.mask_head) == 3
    assert find_dataset(cfg.data.name).root.startswith('data/') and find_task(
        cfg.task
    ).num_references == hasattr(model, 'tracker')
    assert {
        'optimizer',
        'lr_config',
        'runner',
        'checkpoint_config',
        'log_config',
        'evaluation',
    } <= set(cfg.keys())


def test_there_are_configs():
    assert len(LEAVES) >= 11
