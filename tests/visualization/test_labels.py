"""Words on segments: where they stand, on which ground they can be read, what they give way to."""

import numpy as np
import pytest

from knet.label_space import STEP
from knet.visualization import draw_tracks
from knet.visualization.labels import font_scale, label_grid, line_width, text_size, write_labels

ROAD, PERSON, CAR, VOID = 0, 11, 13, 255


def written(shape, segments, words, ground=128):
    """Where a picture changes, (H, W) bool, by words on rectangles: code → rows and columns."""
    codes = np.full(shape, -1, np.int32)
    for code, place in segments.items():
        codes[place] = code
    picture = np.full((*shape, 3), ground, np.uint8)
    write_labels(picture, codes[label_grid(shape)], words)
    return (picture != ground).any(-1), picture


@pytest.mark.parametrize('ground', [0, 60, 128, 200, 255])
def test_words_can_be_read_on_any_ground(ground):
    """White letters and, where the ground is bright, a dark line around them."""
    picture = written((200, 400), {1: np.s_[50:150, 100:300]}, lambda *_: ('car 12',), ground)[1]
    if ground == 255:
        picture = picture[60:140]
    assert picture.max() > 230 and picture.min() < 50


def test_words_stand_on_their_segment_and_the_rest_stays():
    changed, _ = written(
        (375, 1242), {4: np.s_[100:160, 700:800]}, lambda code, _: ('7',) if code == 4 else ()
    )
    rows, cols = np.nonzero(changed)
    assert 100 <= rows.min() and rows.max() < 160 and 700 <= cols.min() and cols.max() < 800
    assert abs(rows.mean() - 130) < 5 and abs(cols.mean() - 750) < 5


def test_of_two_parts_the_wider_one_has_the_words():
    codes = np.full((300, 600), -1, np.int32)
    codes[20:60, 20:80] = codes[150:280, 300:560] = 1
    picture = np.zeros((300, 600, 3), np.uint8)
    write_labels(
        picture, codes[label_grid(codes.shape)], lambda code, _: ('9',) if code > 0 else ()
    )
    rows, cols = np.nonzero(picture.any(-1))
    assert 150 <= rows.min() and rows.max() < 280 and 300 <= cols.min()


def test_a_ring_has_its_words_on_itself():
    codes = np.full((400, 400), -1, np.int32)
    codes[50:350, 50:350] = 1
    codes[100:300, 100:300] = -1
    picture = np.zeros((400, 400, 3), np.uint8)
    write_labels(
        picture, codes[label_grid(codes.shape)], lambda code, _: ('9',) if code > 0 else ()
    )
    rows, cols = np.nonzero(picture.any(-1))
    assert codes[int(rows.mean()), int(cols.mean())] == 1


def test_narrow_segments_take_the_shorter_words_and_tiny_ones_none():
    def width(columns):
        changed, _ = written(
            (400, 600),
            {1: np.s_[100:300, 100 : 100 + columns]},
            lambda code, _: ('person 12', '12') if code > 0 else (),
        )
        return np.ptp(np.nonzero(changed)[1]) if changed.any() else 0

    scale = font_scale((400, 600))
    wide, narrow = text_size('person 12', scale)[0], text_size('12', scale)[0]
    assert width(200) > 0.8 * wide
    assert 0 < width(30) <= narrow < 0.5 * wide
    assert width(3) == 0


def test_words_do_not_stand_on_each_other():
    """Two segments side by side, whose words at their centres would overlap."""
    shape, texts = (300, 400), {1: 'motorcycle 1', 2: 'motorcycle 2'}
    places = {1: np.s_[50:250, 100:165], 2: np.s_[60:240, 165:230]}

    def alone(code):
        return written(shape, places, lambda c, _: (texts[c],) if c == code else ())[0]

    assert (alone(1) & alone(2)).any()
    both = written(shape, places, lambda code, _: (texts[code],) if code > 0 else ())[0]
    assert both.sum() > 1.9 * alone(1).sum()


def test_stuff_gives_way_to_things():
    """A strip of stuff right above a thing, with room for the words of one of them only."""
    places = {-5: np.s_[110:124, 100:500], 3: np.s_[124:134, 280:320]}
    texts = {-5: ('vegetation',), 3: ('8',), -1: ()}

    def only(*codes):
        return written((300, 600), places, lambda code, _: texts[code] if code in codes else ())[0]

    assert only(3).any() and only(-5).any()
    assert np.array_equal(only(3, -5), only(3))


def test_letters_and_lines_grow_with_the_picture():
    street, hd, uhd = (375, 1242), (1080, 1920), (2160, 3840)
    heights = [text_size('7', font_scale(shape))[1] for shape in (street, hd, uhd)]
    assert 10 <= heights[0] < heights[1] < heights[2]
    # of a picture's height, words take 2 to 5 percent
    assert all(0.02 < h / s[0] < 0.05 for h, s in zip(heights, (street, hd, uhd)))
    assert [line_width(shape) for shape in (street, hd, uhd)] == [1, 2, 4]


def overlay(**options):
    """Void, a road, a car with the id 3 and persons without one."""
    semantic, instance = np.full((200, 400), VOID, np.uint8), np.zeros((200, 400), np.int32)
    semantic[100:] = ROAD
    semantic[20:90, 20:180], instance[20:90, 20:180] = CAR, 3
    semantic[20:90, 220:380] = PERSON
    image = np.full((200, 400, 3), 90, np.uint8)
    plain = draw_tracks(image, semantic, instance, STEP, with_ids=False)
    changed = (draw_tracks(image, semantic, instance, STEP, **options) != plain).any(-1)
    return [changed[20:90, 20:180].sum(), changed[20:90, 220:380].sum(), changed[100:].sum()]


def test_ids_and_classes_on_an_overlay():
    car, person, road = overlay()
    assert car > 0 and person == road == 0
    named = overlay(with_classes=True)
    assert named[0] > 2 * car and min(named[1:]) > 0
    without = overlay(with_classes=True, with_ids=False)
    assert car < without[0] < named[0] and without[1:] == named[1:]


def test_words_larger_than_the_picture():
    semantic, instance = np.full((12, 6), CAR, np.uint8), np.ones((12, 6), np.int32)
    picture = draw_tracks(np.zeros((12, 6, 3), np.uint8), semantic, instance, STEP)
    assert picture.shape == (12, 6, 3)
