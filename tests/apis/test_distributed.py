"""From a loader's batch to what a model gets."""
import pytest
import torch
from mmcv.parallel import DataContainer, collate
from torch import nn

from knet.apis import wrap_model
from knet.apis.distributed import unpack_batch


def batch():
    frames = [dict(img=DataContainer(torch.full((3, 4, 4), float(i)), stack=True), gt_labels=DataContainer(torch.arange(i)),
                   gt_masks=DataContainer(f'masks {i}', cpu_only=True)) for i in (1, 2)]
    return collate(frames, samples_per_gpu=2)


@pytest.mark.parametrize('device', ['cpu', 'meta'])  # torch's device without memory stands for a GPU
def test_tensors_go_to_the_device_and_the_rest_stays(device):
    (number,), kwargs = unpack_batch((7,), batch(), torch.device(device))
    assert number == 7 and kwargs['img'].shape == (2, 3, 4, 4) and kwargs['gt_masks'] == ['masks 1', 'masks 2']
    assert [len(labels) for labels in kwargs['gt_labels']] == [1, 2]
    assert {tensor.device.type for tensor in (kwargs['img'], *kwargs['gt_labels'])} == {device}


class Model(nn.Module):
    """Gives back what it gets."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, **kwargs):
        return kwargs

    def train_step(self, data, optimizer):
        return data


def test_wrapped_model_gets_an_unpacked_batch():
    model = wrap_model(Model(), distributed=False)
    for got in (model(**batch()), model.train_step(batch(), None)):
        assert got['img'].mean() == 1.5 and got['gt_labels'][1].tolist() == [0, 1]
        assert got['img'].device == model.module.weight.device
