import numpy as np

from knet.evaluation.histogram import encode, group_sum, joint_histogram


def test_pairs_and_counts():
    gt = np.array([[1, 1, 2], [2, 1, 1]], np.uint32)
    pred = np.array([[5, 5, 5], [5, 7, 5]], np.uint32)
    pairs = joint_histogram(gt, pred)
    found = list(zip(pairs.gt.tolist(), pairs.pred.tolist(), pairs.counts.tolist()))
    assert found == [(1, 5, 3), (1, 7, 1), (2, 5, 2)]
    assert set(pairs.coverage.tolist()) == {1}
    assert set(pairs.depth_bin.tolist()) == {0}


def test_coverage_and_depth_bin_split_pairs():
    code = np.full((1, 4), 255 << 16 | 65535, np.uint32)
    coverage, depth_bin = np.array([[1, 255, 255, 1]], np.uint8), np.array([[0, 3, 3, 2]], np.uint8)
    pairs = joint_histogram(code, code, coverage, depth_bin)
    assert pairs.coverage.tolist() == [1, 1, 255]
    assert pairs.depth_bin.tolist() == [0, 2, 3]
    assert pairs.counts.tolist() == [1, 1, 2]
    assert np.all(np.diff(pairs.keys) > 0)
    assert set(pairs.gt.tolist()) == set(pairs.pred.tolist()) == {255 << 16 | 65535}


def test_one_pixel():
    code = np.array([[7]], np.uint32)
    assert joint_histogram(code, code).counts.tolist() == [1]


def test_counts_agree_with_a_plain_count():
    rng = np.random.RandomState(0)
    gt, pred = (
        encode(rng.randint(0, 3, (30, 50)), rng.randint(0, 2, (30, 50)), 'map') for _ in range(2)
    )
    pairs = joint_histogram(gt, pred)
    expected = np.unique(np.stack((gt.ravel(), pred.ravel())), axis=1, return_counts=True)
    assert np.array_equal(np.stack((pairs.gt, pairs.pred)), expected[0])
    assert np.array_equal(pairs.counts, expected[1])


def test_group_sum_is_exact_beyond_float64():
    keys, sums = group_sum(np.array([3, 1, 3], np.uint64), np.array([2**60, 5, 1]))
    assert (keys.tolist(), sums.tolist()) == ([1, 3], [5, 2**60 + 1])
