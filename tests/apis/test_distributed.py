"""From a loader's batch to what a model gets, and what comes out of a training step."""

import pytest
import torch
from torch import nn

from knet.apis.runner import wrap_model
from knet.structures import FrameBatch, FrameTargets, Objects, to_device


def batch():
    objects = Objects(
        torch.ones(2, 4, 4, dtype=torch.bool), torch.tensor([0, 1]), torch.tensor([5, 6])
    )
    return FrameBatch(
        torch.full((2, 3, 4, 4), 1.5),
        [FrameTargets(objects[:n], torch.zeros(4, 4, dtype=torch.uint8)) for n in (1, 2)],
    )


@pytest.mark.parametrize(
    'device', ['cpu', 'meta']
)  # torch's device without memory stands for a GPU
def test_all_tensors_go_to_the_device(device):
    (moved,) = to_device((batch(),), device)
    assert [len(targets.objects) for targets in moved.targets] == [1, 2]
    assert {
        tensor.device.type
        for t in moved.targets
        for tensor in (moved.images, t.semantic, t.objects.ids)
    } == {device}


class Model(nn.Module):
    """Its loss is the sum of its batch's pixels times its weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, frames):
        return dict(loss_sum=self.weight * frames.images.sum(), pos_acc=torch.tensor([50.0]))


@pytest.mark.parametrize('precision', [None, torch.bfloat16])
def test_training_step(precision):
    model = wrap_model(Model(), distributed=False, precision=precision)
    outputs = model.train_step((batch(),), None)
    outputs['loss'].backward()
    assert outputs['num_samples'] == 2 and outputs['log_vars'] == dict(
        loss_sum=144, pos_acc=50, loss=144
    )
    assert model.module.weight.grad.item() == 144
