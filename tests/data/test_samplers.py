"""Sequences go to processes whole and balanced by length; training frames in an order that follows
from seed and epoch."""

from types import SimpleNamespace

from knet.data.samplers import SequenceSampler, TrainSampler, partition_sequences


def test_longest_sequences_first_to_the_smallest_part():
    parts = partition_sequences([10, 2, 7, 4, 3], 2)
    assert parts == [[0, 4], [1, 2, 3]] and [
        sum([10, 2, 7, 4, 3][i] for i in part) for part in parts
    ] == [13, 13]


def test_more_parts_than_sequences():
    assert partition_sequences([3, 5], 3) == [[1], [0], []]


def test_ranks_share_all_frames_in_order():
    records = [SimpleNamespace(sequence=sequence) for sequence in (1, 1, 1, 4, 4, 9)]
    dataset = SimpleNamespace(records=records)
    assert list(SequenceSampler(dataset, 0, 2)) == [0, 1, 2] and list(
        SequenceSampler(dataset, 1, 2)
    ) == [3, 4, 5]
    assert len(SequenceSampler(dataset)) == 6


def draws(epoch=0, first=0, **options):
    sampler = TrainSampler(7, batch_size=2, seed=3, **options)
    sampler.set_epoch(epoch, first)
    return [(draw.index, draw.seed) for draw in sampler]


def test_training_order_follows_from_seed_and_epoch_alone():
    first, second = draws(), draws(1)
    assert sorted(index for index, _ in first) == list(range(7)) and first == draws()
    assert [index for index, _ in first] != [index for index, _ in second]
    assert len({seed for _, seed in first + second}) == 14
    assert draws(1, first=2) == second[4:] and draws(1, first=4) == []


def test_processes_share_the_order_of_one():
    one, two = draws(), [draws(rank=rank, world_size=2) for rank in (0, 1)]
    mixed = [item for pair in zip(*two) for item in pair]
    assert mixed[:7] == one and mixed[7][0] == one[0][0]
    assert len(TrainSampler(7, 2, world_size=2)) == 4
