"""tools/model_converters/publish_model.py."""

import hashlib

import pytest
import torch

from knet.errors import InputError


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(
        dict(
            state_dict={'module.a.weight': torch.arange(3.0)},
            optimizer=dict(state={0: torch.zeros(9)}),
            meta=dict(epoch=1, config='print(1)'),
        ),
        path,
    )
    return path


@pytest.mark.parametrize('name', ['knet_v1.0.pth', 'knet_v1.0'])
def test_parameters_stay_and_the_optimizer_goes(tool, checkpoint, tmp_path, name):
    printed = tool('model_converters/publish_model', checkpoint, tmp_path / 'out' / name)
    (path,) = (tmp_path / 'out').iterdir()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'knet_v1.0-{digest[:8]}.pth' and str(path) in printed
    published = torch.load(path, weights_only=True)
    meta = dict(epoch=1, config_text='print(1)')  # mmcv would run a `config`
    assert set(published) == {'state_dict', 'meta'} and published['meta'] == meta
    assert published['state_dict']['a.weight'].tolist() == [0, 1, 2]


def test_same_parameters_give_the_same_name(tool, checkpoint, tmp_path):
    for _ in range(2):
        tool('model_converters/publish_model', checkpoint, tmp_path / 'out' / 'knet')
    assert len(list((tmp_path / 'out').iterdir())) == 1


def test_bad_input_writes_nothing(tool, checkpoint, tmp_path):
    with pytest.raises(InputError, match='none.pth does not exist'):
        tool('model_converters/publish_model', tmp_path / 'none.pth', tmp_path / 'out' / 'knet')
    torch.save(dict(epoch=3), checkpoint)
    with pytest.raises(InputError, match='holds no parameters'):
        tool('model_converters/publish_model', checkpoint, tmp_path / 'out' / 'knet')
    assert not (tmp_path / 'out').exists()
