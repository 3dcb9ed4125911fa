import numpy as np
import pytest

from knet.evaluation import VideoPanopticEvaluator
from tests.evaluation.drawing import add

CAR = 13


def vpq_of(*frames, protocol='step', window_sizes=(1,)):
    evaluator = VideoPanopticEvaluator(protocol, window_sizes)
    add(evaluator, 0, frames)
    return evaluator.result()['vpq']


def car(windows):
    return {key: windows[key][CAR] for key in ('iou', 'tp', 'fn', 'fp')}


def one_frame(truth, guess):
    return car(vpq_of((truth, guess))['k']['1'])


def test_iou_of_exactly_one_half_is_no_match():
    assert one_frame(['AAAA'], ['AA..']) == {'iou': 0, 'tp': 0, 'fn': 1, 'fp': 1}
    assert one_frame(['AAAA'], ['AAA.']) == {'iou': 0.75, 'tp': 1, 'fn': 0, 'fp': 0}


def test_ids_need_not_agree_but_classes_must():
    assert one_frame(['AAAA'], ['CCCC'])['tp'] == 1
    assert one_frame(['AAAA'], ['PPPP']) == {'iou': 0, 'tp': 0, 'fn': 1, 'fp': 0}


def test_void_is_left_out_of_the_union():
    assert one_frame(['AAAAxxxx'], ['AAAAAAAA']) == {'iou': 1, 'tp': 1, 'fn': 0, 'fp': 0}


def test_void_with_an_id_stays_in_the_union():
    # 4 of 4 + 8 - 4 pixels are one half: no match. Yet half of the prediction is void, not more, so
    # it is a false positive.
    assert one_frame(['AAAAXXXX'], ['AAAAAAAA']) == {'iou': 0, 'tp': 0, 'fn': 1, 'fp': 1}


@pytest.mark.parametrize('void', 'xX')
def test_false_positive_unless_more_than_half_is_void(void):
    assert one_frame([4 * void], ['AAAAAAAA'])['fp'] == 1
    assert one_frame([5 * void], ['AAAAAAAA'])['fp'] == 0


def test_void_is_neither_missed_nor_false():
    vpq = vpq_of((['xxxx'], ['....xxxx']))
    assert (sum(vpq['k']['1']['fn']), sum(vpq['k']['1']['fp'])) == (0, 0)
    assert one_frame(['AAAA'], ['uuuu']) == {'iou': 0, 'tp': 0, 'fn': 1, 'fp': 0}


def test_crowd_is_an_ordinary_segment():
    assert one_frame(['cccc'], ['cccc'])['tp'] == 1
    assert one_frame(['cccc'], [])['fn'] == 1


def test_quality_of_a_class():
    # One match with IoU 3/4, one missed, one false: SQ 3/4, RQ 1 / (1 + 1/2 + 1/2).
    windows = vpq_of((['AAAA', 'BBBB'], ['AAA.', '', 'CC']))['k']['1']
    assert (windows['sq'][CAR], windows['rq'][CAR], windows['pq'][CAR]) == (0.75, 0.5, 0.375)


def test_id_switch_breaks_the_window():
    vpq = vpq_of((['AAAA'], ['AAAA']), (['AAAA'], ['BBBB']), window_sizes=(1, 2))
    assert car(vpq['k']['1']) == {'iou': 2, 'tp': 2, 'fn': 0, 'fp': 0}
    assert car(vpq['k']['2']) == {'iou': 0, 'tp': 0, 'fn': 1, 'fp': 2}
    assert vpq['k']['2']['VPQ_thing'] == 0
    assert vpq['k']['2']['VPQ_stuff'] == 1
    assert vpq['k']['2']['VPQ'] == 0.5
    assert vpq['VPQ'] == 0.75  # mean over the window sizes


def test_windows_end_with_their_sequence():
    frame = ['AAAA'], ['AAAA']
    evaluator = VideoPanopticEvaluator(window_sizes=(1, 2, 3, 4))
    add(evaluator, 1, 3 * [frame])
    add(evaluator, 2, [frame])
    result = evaluator.result()
    assert [windows['num_windows'] for windows in result['vpq']['k'].values()] == [4, 2, 1, 0]
    assert [windows['tp'][CAR] for windows in result['vpq']['k'].values()] == [4, 2, 1, 0]
    assert result['vpq']['k']['4']['VPQ'] is None
    assert result['vpq']['VPQ'] is None
    assert [
        windows['num_windows'] for windows in result['sequences']['2']['vpq']['k'].values()
    ] == [1, 0, 0, 0]
    assert result['sequences']['2']['vpq']['k']['2']['VPQ'] is None


def test_absent_classes():
    frame = ['AAAA'], ['AAAA']
    present = vpq_of(frame)['k']['1']
    assert (present['VPQ'], present['VPQ_thing'], present['VPQ_stuff']) == (1, 1, 1)
    assert present['pq'][11] is None
    zero = vpq_of(frame, protocol='video-knet')['k']['1']
    assert zero['VPQ'] == pytest.approx(2 / 19)
    assert zero['VPQ_thing'] == pytest.approx(1 / 2)
    assert zero['VPQ_stuff'] == pytest.approx(1 / 17)


def naive_windows(frames, k):
    """IoU sum, TP, FN, FP of each class over the windows of codes (ground truth, prediction), pixel
    by pixel."""
    sums = np.zeros((4, 19))
    for start in range(len(frames) - k + 1):
        truth, guess = (np.stack(maps) for maps in zip(*frames[start : start + k]))
        matched = set()
        for g in np.unique(truth[truth >> 16 != 255]):
            for p in np.unique(guess[(truth == g) & (guess >> 16 == g >> 16)]):
                both = np.sum((truth == g) & (guess == p))
                iou = both / (
                    np.sum(truth == g)
                    + np.sum(guess == p)
                    - both
                    - np.sum((guess == p) & (truth == 255 << 16))
                )
                if iou > 0.5:
                    matched |= {('g', g), ('p', p)}
                    sums[:2, g >> 16] += iou, 1
            if ('g', g) not in matched:
                sums[2, g >> 16] += 1
        for p in np.unique(guess[guess >> 16 != 255]):
            if ('p', p) not in matched and np.mean(truth[guess == p] >> 16 == 255) <= 0.5:
                sums[3, p >> 16] += 1
    return sums


def test_long_sequences_are_counted_like_pixel_by_pixel():
    rng = np.random.RandomState(0)
    codes = np.array(
        [0, 1 << 16, 13 << 16 | 1, 13 << 16 | 2, 11 << 16 | 1, 255 << 16, 255 << 16 | 7]
    )
    frames = []
    for _ in range(150):
        truth = codes[rng.randint(0, 7, (4, 4))].repeat(2, 0).repeat(2, 1)
        guess = np.where(rng.rand(8, 8) < 0.8, truth, codes[rng.randint(0, 6, (8, 8))])
        frames.append((truth, guess))
    evaluator = VideoPanopticEvaluator(window_sizes=(1, 3, 4, 70))
    for number, (truth, guess) in enumerate(frames):
        evaluator.add_frame(0, number, truth >> 16, truth & 65535, guess >> 16, guess & 65535)
    for k, windows in evaluator.result()['vpq']['k'].items():
        expected = naive_windows(frames, int(k))
        assert expected[1].sum() > 0
        for row, key in enumerate(('iou', 'tp', 'fn', 'fp')):
            np.testing.assert_allclose(windows[key], expected[row], rtol=1e-12)
