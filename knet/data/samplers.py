"""Which frames a process sees, and in which order."""

from typing import Dict, Iterator, List, Sequence, Union

import numpy as np
from torch.utils.data import Sampler

from knet.data.base import Draw, SegmentationDataset


class TrainSampler(Sampler):
    """A process's share of the frames of an epoch, in random order.

    Order and random streams follow from the seed, the epoch and the place in the epoch alone, so
    that a resumed run sees what the uninterrupted one would have seen, whatever the number of
    processes and workers.

    Args:
        length: Number of items of the set.
        batch_size: Of this process.
        seed: Of the run.
        rank: Number of this process.
        world_size: Number of processes; where it does not divide `length`, the first frames of an
            epoch come once more at its end.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ):
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.set_epoch(0)

    def set_epoch(self, epoch: int, first_iteration: int = 0) -> None:
        """Choose the epoch, and with which of its iterations it begins."""
        self.epoch, self.first_iteration = epoch, first_iteration

    def __iter__(self) -> Iterator[Draw]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        own = range(self.rank, len(self) * self.world_size, self.world_size)
        for place in own[self.first_iteration * self.batch_size :]:
            yield Draw(int(order[place % self.length]), (self.seed, self.epoch, place))

    def __len__(self) -> int:
        """Of a whole epoch."""
        return -(-self.length // self.world_size)


def partition_sequences(lengths: Sequence[int], num_parts: int) -> List[List[int]]:
    """Give whole sequences to processes, balanced: the longest first, each to the smallest part.

    Args:
        lengths: Number of frames of each sequence.
        num_parts: Number of processes.

    Returns:
        Per process, rising indices of its sequences.
    """
    parts: List[List[int]] = [[] for _ in range(num_parts)]
    loads = [0] * num_parts
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        part = loads.index(min(loads))
        parts[part].append(index)
        loads[part] += lengths[index]
    return [sorted(part) for part in parts]


class SequenceSampler(Sampler):
    """Whole sequences in order: the share of one process of a test.

    Args:
        dataset: Its records have the frames of a sequence in order.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(self, dataset: SegmentationDataset, rank: int = 0, world_size: int = 1):
        sequences: Dict[Union[int, str], List[int]] = {}
        for index, record in enumerate(dataset.records):
            sequences.setdefault(record.sequence, []).append(index)
        groups = list(sequences.values())
        own = partition_sequences([len(group) for group in groups], world_size)[rank]
        self.indices = [index for group in own for index in groups[group]]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
