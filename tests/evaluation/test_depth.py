import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation import DepthOptions, VideoPanopticEvaluator
from knet.evaluation.depth import (
    count_depth_inliers,
    depth_bins,
    measure_depth,
    resize_nearest,
)
from tests.evaluation.drawing import add, draw


def depth(*rows):
    return np.array(rows, np.uint16)


def test_resize_takes_the_nearest_pixel_below():
    small = depth([1, 2], [3, 4])
    assert resize_nearest(small, (4, 3)).tolist() == [[1, 1, 2], [1, 1, 2], [3, 3, 4], [3, 3, 4]]
    assert resize_nearest(depth([1, 2, 3, 4, 5]), (1, 2)).tolist() == [[1, 3]]


def test_bins_count_the_exceeded_lambdas():
    truth = depth([100, 100, 100, 100, 100, 0])
    guess = depth([110, 111, 74, 151, 0, 50])
    assert depth_bins(guess, truth, (0.5, 0.25, 0.1)).tolist() == [[0, 1, 2, 3, 3, 0]]


def test_inliers_include_the_threshold_in_float32():
    truth = depth([100, 100, 100, 80, 0, 100])
    guess = depth([125, 126, 80, 100, 100, 0])
    inliers, total = count_depth_inliers(guess, truth, (1.25,))
    assert (inliers.tolist(), total) == ([3], 5)
    # 1.1 has no exact value: 110 / 100 in float32 equals the threshold only if that is float32 too.
    assert count_depth_inliers(depth([110]), depth([100]), (1.1,))[0].tolist() == [1]


def evaluate(truth, guess, gt_depth, pred_depth, **options):
    evaluator = VideoPanopticEvaluator(window_sizes=(1,), depth=DepthOptions(**options))
    add(evaluator, 0, [(truth, guess)], gt_depth=gt_depth, pred_depth=pred_depth)
    return evaluator.result()


def test_dvpq_drops_pixels_of_wrong_depth():
    truth = np.full((8, 8), 1000, np.uint16)
    guess = truth.copy()
    guess[0, :2] = 1300  # 30 % wrong on half of the car
    result = evaluate(['AAAA'], ['AAAA'], truth, guess)
    car = {value: windows['k']['1'] for value, windows in result['dvpq']['lambda'].items()}
    assert car['0.5']['tp'][13] == 1
    for value in ('0.25', '0.1'):  # half of the car remains: IoU 1/2 is no match
        assert [car[value][key][13] for key in ('tp', 'fn', 'fp')] == [0, 1, 1]
    assert result['vpq']['k']['1']['tp'][13] == 1  # plain VPQ does not look at depth
    assert result['dvpq']['DVPQ'] == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_dropped_pixels_are_no_false_positive():
    result = evaluate([], ['AAAA'], np.full((8, 8), 1000, np.uint16), np.zeros((8, 8), np.uint16))
    windows = result['dvpq']['lambda']['0.1']['k']['1']
    assert sum(windows['fp']) == 0
    assert windows['fn'][0] == 1


def test_dstq():
    truth = np.full((8, 8), 1000, np.uint16)
    truth[4:] = 0
    guess = truth.copy()
    guess[0] = 1200  # 8 of 32 pixels within 1.25 but not within 1.1
    dstq = evaluate(['AAAA'], ['AAAA'], truth, guess, thresholds=(1.25, 1.1))['dstq']
    assert dstq['num_pixels'] == 32
    assert dstq['threshold']['1.25'] == {'DSTQ': 1, 'DQ': 1, 'inliers': 32}
    assert dstq['threshold']['1.1'] == {
        'DSTQ': pytest.approx(0.75 ** (1 / 3)),
        'DQ': 0.75,
        'inliers': 24,
    }
    assert dstq['DQ'] == pytest.approx(0.75**0.5)
    assert dstq['DSTQ'] == pytest.approx(0.75 ** (1 / 6))


def test_low_resolution_prediction_is_resized():
    truth = np.full((8, 8), 1000, np.uint16)
    assert evaluate([], [], truth, np.full((2, 4), 1000, np.uint16))['dstq']['DQ'] == 1


def test_no_depth_label_means_no_dq():
    nothing = np.zeros((8, 8), np.uint16)
    result = evaluate(['AAAA'], ['AAAA'], nothing, nothing + np.uint16(5))
    assert (result['dstq']['DQ'], result['dstq']['DSTQ'], result['dstq']['num_pixels']) == (
        None,
        None,
        0,
    )
    assert result['dvpq']['DVPQ'] == 1


def test_depth_maps_are_needed_and_checked():
    evaluator = VideoPanopticEvaluator(depth=DepthOptions())
    maps = *draw(), *draw()
    good = np.ones((8, 8), np.uint16)
    with pytest.raises(InputError, match='sequence 3, frame 1: the true depth is missing'):
        evaluator.add_frame(3, 1, *maps, pred_depth=good)
    with pytest.raises(
        InputError, match='sequence 3, frame 1: the predicted depth is of type float64'
    ):
        evaluator.add_frame(3, 1, *maps, gt_depth=good, pred_depth=good / 256)
    with pytest.raises(InputError, match=r'the true depth has shape \(4, 8\)'):
        evaluator.add_frame(3, 1, *maps, gt_depth=good[:4], pred_depth=good)


@pytest.mark.parametrize(
    'options',
    [
        {'lambdas': ()},
        {'lambdas': (0.1, 0.1)},
        {'thresholds': (0,)},
        {'thresholds': (float('nan'),)},
    ],
)
def test_bad_thresholds(options):
    with pytest.raises(InputError, match='must be different positive numbers'):
        VideoPanopticEvaluator(depth=DepthOptions(**options))


def test_measures_of_an_image():
    """2 m for 1 m, 3 for 4, right, none for 8 (the nearest, 1/256), and a pixel without truth."""
    truth = np.array([[256, 1024, 512, 2048, 0]], np.uint16)
    guess = np.array([[512, 768, 512, 0, 99]], np.uint16)
    count, abs_rel, sq_rel, rmse, rmse_log, *within = measure_depth(guess, truth)
    d, t = np.array([2, 3, 2, 1 / 256]), np.array([1, 4, 2, 8])
    assert count == 1 and abs_rel == pytest.approx(np.mean(abs(d - t) / t))
    assert sq_rel == pytest.approx(np.mean((d - t) ** 2 / t))
    assert rmse == pytest.approx(np.mean((d - t) ** 2) ** 0.5)
    assert rmse_log == pytest.approx(np.mean((np.log(d) - np.log(t)) ** 2) ** 0.5, rel=1e-5)
    assert within == [1 / 4, 2 / 4, 2 / 4]  # 4/3 is under 1.25^2, 2 is over 1.25^3
    assert (measure_depth(guess, np.zeros_like(truth)) == 0).all()
