"""Which frames a process sees, and in which order."""
from typing import Iterator, List, Sequence

from torch.utils.data import Sampler


def deal_sequences(lengths: Sequence[int], num_parts: int) -> List[List[int]]:
    """Deal sequences whole to processes, balanced by length: the longest first, each to the part that has least.

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
        dataset: Has `records` with a `sequence` each, those of a sequence in order.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(self, dataset, rank: int = 0, world_size: int = 1):
        groups = {}
        for index, record in enumerate(dataset.records):
            groups.setdefault(record.sequence, []).append(index)
        groups = list(groups.values())
        mine = deal_sequences([len(group) for group in groups], world_size)[rank]
        self.indices = [index for group in mine for index in groups[group]]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
