from math import sqrt

import numpy as np
import pytest

from knet.evaluation import VideoPanopticEvaluator
from tests.evaluation.drawing import add


def stq_of(*frames, protocol='step', **maps):
    evaluator = VideoPanopticEvaluator(protocol, window_sizes=(1,), weighted='coverage' in maps)
    add(evaluator, 0, frames, **maps)
    return evaluator.result()['stq']


def test_perfect():
    frame = ['AA.PP', 'AA.PP']
    stq = stq_of((frame, frame), (frame, frame))
    assert (stq['STQ'], stq['AQ'], stq['SQ'], stq['num_tubes']) == (1, 1, 1, 2)


def test_id_switch_halves_the_association():
    # A tube of 4 + 4 pixels, covered by two predicted tubes of 4: 1/8 * (4 * 4/8 + 4 * 4/8).
    stq = stq_of((['AAAA'], ['AAAA']), (['AAAA'], ['BBBB']))
    assert stq['AQ'] == 0.5
    assert stq['SQ'] == 1
    assert stq['STQ'] == sqrt(0.5)


def test_one_id_for_two_objects():
    # Each tube of 2 pixels lies in one predicted tube of 4: 1/2 * 2 * 2/4.
    assert stq_of((['AA.BB'], ['AA.AA']))['AQ'] == 0.5


def test_a_tube_is_class_and_id():
    # P and A share the id 1 but not the class, so they are two predicted tubes.
    assert stq_of((['AA.BB'], ['AA.PP']))['AQ'] == 1


def test_association_does_not_ask_for_the_class():
    stq = stq_of((['AAAA'], ['PPPP']))
    assert stq['AQ'] == 1
    assert stq['SQ'] == pytest.approx(1 / 3)  # road 1, car 0, person 0
    assert stq['aq_per_class'][13] == 1
    assert stq['aq_per_class'][11] is None


def test_objects_predicted_as_stuff_have_no_tube():
    assert stq_of((['AAAA'], ['TTTT']))['AQ'] == 0


def test_predicted_instance_0_is_an_ordinary_tube():
    assert stq_of((['AAAA'], ['cccc']))['AQ'] == 1


def test_crowd_is_no_tube_and_costs_no_tube():
    stq = stq_of((['ccccBB', 'ccccBB'], ['AAAABB', 'AAAABB']))
    assert (stq['AQ'], stq['num_tubes'], stq['SQ']) == (1, 1, 1)
    # B reaches over the crowd, where its pixels do not count.
    assert stq_of((['ccccBB'], ['BBBBBB']))['AQ'] == 1


def test_crowd_pixels_count_in_the_segmentation():
    stq = stq_of((['cccc'], ['cc..']))
    assert stq['iou_per_class'][13] == 0.5


@pytest.mark.parametrize('void', 'xXu')
def test_predictions_on_void(void):
    frame = ['AAAA' + 4 * void], ['AAAAAAAA']
    stq = stq_of(frame)
    assert stq['AQ'] == 0.5  # the predicted tube has 8 pixels, 4 of them on void
    assert stq['SQ'] == 1  # void pixels are left out of the confusion
    assert stq_of(frame, protocol='video-knet')['AQ'] == 1


@pytest.mark.parametrize('void', 'xu')
def test_predicted_void_on_labelled_pixels_is_one_more_class(void):
    stq = stq_of(([], [8 * void, 8 * void]))
    assert stq['iou_per_class'][0] == 0.75
    assert stq['iou_void'] == 0
    assert stq['SQ'] == 0.375
    assert stq['confusion'][0][19] == 16


def test_predicted_void_on_void_is_nothing():
    stq = stq_of((['xxxx'], ['xxxx']))
    assert stq['SQ'] == 1
    assert stq['iou_void'] is None


def test_video_knet_follows_all_classes_from_person_on():
    frame = [], ['TTTT']
    assert stq_of(frame, protocol='video-knet')['num_tubes'] == 0
    evaluator = VideoPanopticEvaluator('video-knet', window_sizes=(1,))
    semantic, instance = np.full((8, 8), 14), np.full((8, 8), 3)
    evaluator.add_frame(0, 0, semantic, instance, semantic, instance)
    assert evaluator.result()['stq']['num_tubes'] == 1
    # A truck without an id is a crowd to this protocol: what is predicted there costs nothing.
    assert stq_of((['TTTTAA'], ['AAAAAA']), protocol='video-knet')['AQ'] == 1
    assert stq_of((['TTTTAA'], ['AAAAAA']))['AQ'] == pytest.approx(1 / 3)


def test_aq_is_over_all_tubes_not_a_mean_of_sequences():
    evaluator = VideoPanopticEvaluator()
    add(evaluator, 1, [(['AA'], ['AA'])])
    add(evaluator, 2, [(['AA.BB.CC'], [])])
    result = evaluator.result()
    assert result['stq']['AQ'] == 0.25
    assert [result['sequences'][s]['stq']['AQ'] for s in '12'] == [1, 0]


def test_sequence_without_a_labelled_pixel_has_no_stq():
    void = 8 * ['xxxxxxxx']
    stq = stq_of((void, []))
    assert stq['SQ'] is None
    assert stq['STQ'] is None


def test_weights():
    coverage = np.ones((8, 8), np.uint8)
    coverage[:, 4:] = 2
    # The tube weighs 4 + 4/2 = 6, the prediction covers the half that two cameras see, 2: 1/6 * 2 *
    # 2/6.
    stq = stq_of((['AAAAAAAA'], ['....AAAA']), coverage=coverage)
    assert stq['AQ'] == pytest.approx(1 / 9)
    assert stq['iou_per_class'][13] == pytest.approx(2 / 6)


def test_uncovered_pixels_weigh_as_in_the_reference():
    coverage = np.zeros((8, 8), np.uint8)
    assert stq_of(([], []), coverage=coverage)['confusion'][0][0] == pytest.approx(64e8)


def test_untracked_pixels_become_crowd():
    tracked = np.ones((8, 8), np.uint8)
    tracked[:, 4:] = 0
    stq = stq_of((['AA..BB'], ['AA..CC']), tracked=tracked)
    assert (stq['num_tubes'], stq['AQ']) == (1, 1)


def test_waymo_ignores_class_0():
    evaluator = VideoPanopticEvaluator('waymo', window_sizes=(1,))
    truth, ids = np.full((8, 8), 20), np.zeros((8, 8), int)
    truth[0], guess = 0, truth.copy()
    guess[0], guess[1] = 20, 0
    evaluator.add_frame(0, 0, truth, ids, guess, ids)
    stq = evaluator.result()['stq']
    # Row 0 does not count; the 8 road pixels that are called 0 do: road 48 / 56, class 0 is one
    # more class with IoU 0.
    assert stq['SQ'] == pytest.approx(48 / 56 / 2)
    assert stq['confusion'][0] == 29 * [0]
