import pytest

from knet.errors import InputError
from knet.evaluation import ImagePanopticEvaluator, format_image_table
from tests.evaluation.drawing import draw

CAR, ROAD = 13, 0


def evaluate(*images):
    evaluator = ImagePanopticEvaluator()
    for truth, guess in images:
        evaluator.add_image('image', *draw(*truth), *draw(*guess))
    return evaluator.result()


def car(*images):
    result = evaluate(*images)
    return {key: result[key][CAR] for key in ('tp', 'fn', 'fp')}


def test_crowd_is_not_missed():
    assert car((['cccc'], ['....'])) == {'tp': 0, 'fn': 0, 'fp': 0}


def test_a_prediction_of_its_class_on_crowd_is_not_false():
    assert car((['ccccc'], ['AAAAAAAA'])) == {'tp': 0, 'fn': 0, 'fp': 0}
    assert car((['cccc'], ['AAAAAAAA'])) == {'tp': 0, 'fn': 0, 'fp': 1}  # half of it, not more
    result = evaluate((['cccccccc'], ['PPPPPPPP']))
    assert result['fp'][11] == 1  # a person on a crowd of cars


def test_crowd_stays_in_the_union():
    # 4 / (4 + 8 - 4) = one half: no match, though crowd excuses nothing of a match on void
    assert car((['AAAAcccc'], ['AAAAAAAA'])) == {'tp': 0, 'fn': 1, 'fp': 1}


def test_an_object_of_one_image_is_no_object_of_the_next():
    assert car((['AAAA'], ['BBBB']), (['AAAA'], ['AAAA'])) == {'tp': 2, 'fn': 0, 'fp': 0}


def test_figures():
    result = evaluate((['AAAAcccc'], ['AAA.AAAA']), (['AAAAAAAA'], ['AAAAAA..']))
    # road: 56 of 57 and 56 of 58 pixels; cars: the first is missed (3 of 8 pixels), 4 of 7 pixels
    # on crowd excuse its prediction; 6 of 8 pixels of the second
    road = (56 / 57 + 56 / 58) / 2
    car_pq = 0.75 / (1 + 0.5)
    assert result['pq'][ROAD] == pytest.approx(road) and result['pq'][CAR] == pytest.approx(car_pq)
    assert result['sq'][CAR] == 0.75 and result['rq'][CAR] == 2 / 3
    assert result['PQ'] == pytest.approx((road + car_pq) / 2)
    assert (result['PQ_thing'], result['PQ_stuff']) == pytest.approx((car_pq, road))
    assert (result['SQ'], result['RQ']) == pytest.approx(((road + 0.75) / 2, 5 / 6))
    iou = (112 / 115, 13 / 16)
    assert (result['iou'][ROAD], result['iou'][CAR], result['mIoU']) == pytest.approx(
        (*iou, sum(iou) / 2)
    )
    assert result['pq'][1] is None and result['num_images'] == 2
    table = format_image_table(result)
    assert ['car*', '50.00', '75.00', '66.67', '81.25'] in [
        row.replace('|', '').split() for row in table.splitlines()
    ]
    assert 'sidewalk' not in table


def test_nothing_to_evaluate():
    with pytest.raises(InputError, match='no image'):
        ImagePanopticEvaluator().result()
