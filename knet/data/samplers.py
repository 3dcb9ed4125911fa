"""Which frames a process sees, and in which order."""

from typing import Dict, Iterator, List, Sequence, Union

from torch.utils.data import Sampler

from knet.data.base import SegmentationDataset


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
