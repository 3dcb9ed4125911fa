"""Every shipped config loads, is short, and builds its model and transforms."""

import pytest

from knet.apis import build_model, load_config
from knet.data import find_dataset
from knet.errors import InputError
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


TOY_DEPTH = ROOT / 'configs/det/toy_step/video_knet_depth_s3_r18_toy_step.py'
HEAD = 'model.roi_head.mask_head'
BRANCHES = f'{HEAD}.branches'


@pytest.mark.parametrize(
    'option, message',
    [
        (
            f'{BRANCHES}.depth.type=DepthBranche',
            f"{BRANCHES}.depth.type: there is no 'DepthBranche'; did you mean DepthBranch?",
        ),
        (
            'model.rpn_head.paths.depth.type=Deep',
            "model.rpn_head.paths.depth.type: there is no 'Deep'; there are DepthStart",
        ),
        (
            'model.neck.type=Mine',
            "model.neck.type: there is no 'Mine'; is the module that registers",
        ),
        ('model.roi_head.kernel_link.by=group', 'model.roi_head.kernel_link has no type; it needs'),
        (f'{BRANCHES}.edges.num_fcs=2', f'{BRANCHES}.edges has no type; it needs'),
        (
            'model.rpn_head.paths.depth.num_fcs=2',
            "model.rpn_head.paths.depth has no key 'num_fcs' (it has: loss, type)",
        ),
        (f'{BRANCHES}.masks.num_fc=2', f'did you mean {BRANCHES}.masks.num_fcs?'),
        (f'{HEAD}.num_heads=7', f'{HEAD} of the config cannot be built: AssertionError: embed_dim'),
        (
            'model.neck.num_outs=1',
            'model.neck of the config cannot be built: AssertionError (mmdet/',
        ),
        (
            f'{BRANCHES}.depth=None',
            f'{BRANCHES}.depth must be a dict with type, got None; to take it out of an inherited '
            'config write branches=dict(_delete_=True, ...) with the others',
        ),
        ('model.rpn_head.paths.depth=None', 'paths.depth must be a dict with type, got None; to'),
        (
            'model.rpn_head.paths=None',
            "stage 0 read the paths ['depth'], rpn_head.paths has []; each",
        ),
        (f'{BRANCHES}.depth.loss=None', f'{BRANCHES}.depth.loss must be a dict, got None'),
        (f'{BRANCHES}=None', f'{BRANCHES} must be a dict, got None'),
        (f'{HEAD}=None', f'{HEAD} must be a dict, got None'),
        ('model.roi_head.track_link=AttentionLink', 'track_link must be a dict or None, got'),
        ('model.train_cfg=None', 'model.train_cfg must be a dict, got None'),
        ('model.tracker=None', 'model.tracker must be a dict, got None'),
        ('model.num_proposals=0', 'num_proposals must be a whole number from 1 on, got 0'),
        ('model.roi_head.num_stages=0', 'num_stages must be a whole number from 1 on, got 0'),
        ('log_config.hooks.7.type=Foo', 'log_config.hooks has 2 entries, no'),
        ('model', "--cfg-options must be KEY=VALUE, got 'model'"),
    ],
)
def test_mistakes_in_a_model_are_named_by_their_key(option, message):
    with pytest.raises(InputError) as error:
        build_model(load_config(str(TOY_DEPTH), [option]))
    assert message in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('key', ['only_labelled', 'sparse_labels'])
def test_documented_keys_that_no_config_has(key):
    model = build_model(load_config(str(TOY_DEPTH), [f'model.train_cfg.{key}=True']))
    assert getattr(model, key) is True


@pytest.mark.parametrize(
    'text, message',
    [
        (
            'model = dict(roi_head=dict(mask_head=dict(branches=dict(_delete_=True, classes='
            '{{_base_.model.roi_head.mask_head.branches.classes}}))))',
            'mask_head.branches has classes; it needs classes and masks too',
        ),
        ('model = dict(backbone=dict(_delete_=True))', 'model.backbone has no type'),
        ('model = dict(_delete_=True)', r'own.py has no model.backbone \(see configs/det\)'),
        ('data = dict(_delete_=True)', r'own.py has no data.name \(see configs/det\)'),
        ('model = dcit()', r"own.py cannot be read: NameError: name 'dcit' .*own.py:2\)$"),
        (
            "custom_imports = dict(imports=['own_set'])",
            r'a colour for each class: .*own_set.py:3\)$',
        ),
        ("_base_ = './none.py'", r'own.py cannot be read: its _base_ /.*/none.py does not exist$'),
        (
            "model = dict(init_cfg=dict(type='Foo'))",
            'first weights cannot be set .*init_cfg in model',
        ),
    ],
)
def test_mistakes_in_a_file(tmp_path, monkeypatch, text, message):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'own_set.py').write_text(
        'from knet.label_space import LabelSpace\n\n'
        "CLASSES = LabelSpace(classes=('sky', 'ship'), thing_ids=(1,), palette=((0, 0, 0),))\n"
    )
    (tmp_path / 'own.py').write_text(f"_base_ = r'{TOY_DEPTH}'\n{text}\n")
    with pytest.raises(InputError, match=message):
        build_model(load_config(str(tmp_path / 'own.py')))
    with pytest.raises(InputError, match='is a folder; name a .py file in it'):
        load_config(str(tmp_path))
    with pytest.raises(InputError, match='a config is a .py, .yml or .json file'):
        load_config(str(tmp_path / 'own.txt'))
