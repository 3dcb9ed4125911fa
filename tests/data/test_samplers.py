"""Sequences go to processes whole and balanced by length."""

from types import SimpleNamespace

from knet.data.samplers import SequenceSampler, partition_sequences


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
