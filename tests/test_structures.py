"""Tables whose columns stay together, batches of frames, tensors inside structures."""

from dataclasses import dataclass
from typing import List

import pytest
import torch
from torch import Tensor

from knet.structures import Frame, FrameBatch, FrameTargets, Objects, Rows, map_tensors


@dataclass
class Table(Rows):
    numbers: Tensor
    names: List[str]


TABLE = Table(torch.tensor([3, 1, 2]), ['c', 'a', 'b'])


@pytest.mark.parametrize(
    'index, names',
    [
        (slice(1, None), ['a', 'b']),
        (torch.tensor([2, 0, 0]), ['b', 'c', 'c']),
        (torch.tensor([True, False, True]), ['c', 'b']),
        (torch.zeros(0, dtype=torch.long), []),
    ],
)
def test_columns_are_indexed_together(index, names):
    rows = TABLE[index]
    assert len(rows) == len(names) and rows.names == names
    assert rows.numbers.tolist() == [dict(a=1, b=2, c=3)[name] for name in names]


def test_join():
    joined = Table.join([TABLE[:1], TABLE[:0], TABLE[1:]])
    assert joined.names == TABLE.names and joined.numbers.tolist() == [3, 1, 2]


def frame(height, width):
    masks = torch.ones(1, height, width, dtype=torch.bool)
    objects = Objects(masks, torch.tensor([1]), torch.tensor([7]))
    targets = FrameTargets(objects, torch.zeros(height, width, dtype=torch.uint8))
    return Frame(torch.ones(3, height, width), (height, width), (height, width), targets)


def test_frames_of_several_sizes_are_padded_with_what_means_nothing():
    batch = FrameBatch.of([frame(2, 4), frame(4, 2)])
    assert batch.images.shape == (2, 3, 4, 4) and batch.images.sum() == 2 * 3 * 8
    assert [int(t.objects.masks.sum()) for t in batch.targets] == [8, 8]
    assert [int((t.semantic == 255).sum()) for t in batch.targets] == [8, 8]
    assert FrameBatch.of([frame(2, 4)], (6, 8)).images.shape == (1, 3, 6, 8)


def test_all_tensors_inside_are_found():
    value = (frame(1, 1), [dict(a=torch.ones(1))], 'text', None)
    doubled = map_tensors(lambda tensor: tensor * 2, value)
    assert doubled[0].image.max() == 2 and doubled[0].targets.objects.ids.tolist() == [14]
    assert doubled[1][0]['a'] == 2 and doubled[2:] == ('text', None) and value[0].image.max() == 1
