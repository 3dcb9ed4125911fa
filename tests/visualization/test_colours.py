"""Colours of classes and tracks, contours, overlays."""

import numpy as np

from knet.label_space import STEP
from knet.visualization import (
    colour_depth,
    colour_semantic,
    draw_tracks,
    side_by_side,
    track_colours,
)
from knet.visualization.colours import colour_depth_error, contours

ROAD, PERSON, CAR, VOID = 0, 11, 13, 255


def test_classes_have_the_palettes_colours_and_void_is_black():
    picture = colour_semantic(np.array([[ROAD, CAR, VOID]], np.uint8), STEP)
    assert picture.tolist() == [[[128, 64, 128], [0, 0, 142], [0, 0, 0]]]


def test_a_track_has_one_colour_whatever_else_is_in_the_frame():
    alone = track_colours(np.array([[7]]))[0, 0]
    among = track_colours(np.array([[1, 7], [300, 0]]))
    assert np.array_equal(among[0, 1], alone) and among[1, 1].tolist() == [0, 0, 0]


def test_colours_of_the_first_hundred_tracks_differ_clearly_from_their_neighbours():
    colours = track_colours(np.arange(1, 101)).astype(int)
    assert len({tuple(colour) for colour in colours}) == 100
    assert np.abs(np.diff(colours, axis=0)).sum(1).min() > 100


def test_contours_lie_between_segments():
    codes = np.zeros((8, 8), int)
    codes[2:5, 3:6] = 1
    edge = contours(codes)
    assert edge[3].tolist() == [False, False, True, False, False, True, False, False]
    assert edge[:, 4].tolist() == [False, True, False, False, True, False, False, False]


def test_things_take_their_tracks_colour_and_void_shows_the_image():
    semantic, instance = np.full((8, 8), VOID, np.uint8), np.zeros((8, 8), np.int32)
    semantic[:, :4], instance[:, :4] = PERSON, 9
    image = np.full((8, 8, 3), 100, np.uint8)
    picture = draw_tracks(image, semantic, instance, STEP, alpha=1.0, with_ids=False)
    assert np.array_equal(picture[4, 0], track_colours(np.array([9]))[0])
    assert picture[4, 3].tolist() == [255, 255, 255] and picture[4, 6].tolist() == [100, 100, 100]
    assert draw_tracks(image, semantic, instance, STEP, scale=3).shape == (24, 24, 3)


def test_panels_are_stacked_where_wide_and_have_even_sides():
    wide, tall = np.zeros((11, 51, 3), np.uint8), np.zeros((31, 21, 3), np.uint8)
    assert side_by_side([('a', wide), ('b', wide)]).shape == (2 * (11 + 24), 52, 3)
    assert side_by_side([('a', tall), ('b', tall)]).shape == (56, 42, 3)


def test_a_frame_without_tracks():
    assert track_colours(np.zeros(0, np.int32)).shape == (0, 3)
    picture = draw_tracks(
        np.full((8, 8, 3), 90, np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8), np.int32),
        STEP,
    )
    assert picture.shape == (8, 8, 3)


def test_depth_goes_from_blue_to_red_and_unknown_is_black():
    near, middle, far, farther, unknown = colour_depth(np.array([[1.0, 9, 80, 200, 0]]))[0]
    assert unknown.tolist() == [0, 0, 0] and far.tolist() == farther.tolist()
    assert near[2] > near[0] and far[0] > far[2] and middle[1] == max(middle)
    depth, truth = np.array([[10.0, 10, 10, 10]]), np.array([[10.0, 20, 5, 0]])
    right, half, double, unknown = colour_depth_error(depth, truth)[0]
    assert unknown.tolist() == [0, 0, 0] and half.tolist() == double.tolist() == far.tolist()
    assert right.tolist() == colour_depth(np.array([[1.0]]))[0, 0].tolist()
