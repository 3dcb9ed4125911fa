"""Colours of classes and tracks, and segments drawn over images (pure functions on arrays)."""

from functools import partial
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from knet.label_space import LabelSpace
from knet.visualization.labels import label_grid, line_width, write_labels

NAMED_STUFF = 0.015
"""Share of the picture from which on stuff has its name written on it."""

FARTHEST = 80.0  # metres
LARGEST_ERROR = 0.5  # of the truth

ErrorKind = Tuple[str, Tuple[int, int, int], float, str]
"""Name, RGB colour, opacity and meaning of a kind of pixels."""


def colour_semantic(semantic: np.ndarray, label_space: LabelSpace) -> np.ndarray:
    """Semantic map in the colours of its classes.

    Args:
        semantic: (H, W), uint8 train ids.
        label_space: Gives the palette; void is black.

    Returns:
        (H, W, 3), uint8 RGB.
    """
    # as fast as OpenCV is with a map of its own, several times faster than an index into the table
    return cv2.applyColorMap(np.ascontiguousarray(semantic), label_space.colours[:, None])


def track_colours(ids: np.ndarray) -> np.ndarray:
    """Colour of each track id: the same in all frames and programs, and far apart for neighbouring
    ids.

    Args:
        ids: Integers of any shape, 0 = no track.

    Returns:
        The shape of `ids` plus (3,), uint8 RGB; no track is black.
    """
    flat = np.asarray(ids, np.int64).ravel()
    unique, index = np.unique(
        np.append(flat, 0), return_inverse=True
    )  # never empty: OpenCV converts no empty image
    # Steps of the golden ratio spread hues evenly for any number of ids; saturation and value vary
    # at other rates.
    hue = unique * 0.61803398875 % 1 * 360
    saturation = 0.55 + 0.4 * (unique * 0.754877666 % 1)
    value = 0.75 + 0.25 * (unique * 0.569840291 % 1)
    colours = cv2.cvtColor(
        np.stack([hue, saturation, value], -1).astype(np.float32)[None], cv2.COLOR_HSV2RGB
    )[0]
    colours[unique == 0] = 0
    return (255 * colours + 0.5).astype(np.uint8)[index[:-1]].reshape(*np.shape(ids), 3)


def colour_depth(depth: np.ndarray) -> np.ndarray:
    """Depth in colours from blue (a metre) to red (80 m), by its logarithm.

    Args:
        depth: (H, W), metres; 0, no depth, is black.

    Returns:
        (H, W, 3), uint8 RGB.
    """
    shares = np.log(np.maximum(depth, 1)) / np.log(FARTHEST)
    return _in_turbo(shares, depth > 0)


def colour_depth_error(depth: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Relative error |depth - truth| / truth in colours from blue (none) to red (a half or more).

    Args:
        depth, truth: (H, W), metres; where the truth is 0, unknown, it is black.

    Returns:
        (H, W, 3), uint8 RGB.
    """
    known = truth > 0
    error = np.abs(depth - truth) / np.where(known, truth, 1)
    return _in_turbo(error / LARGEST_ERROR, known)


def _in_turbo(shares: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Numbers of 0..1 in the colours of turbo, others black; uint8 RGB."""
    levels = (255 * np.clip(shares, 0, 1)).astype(np.uint8)
    picture = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where(known[..., None], picture, 0).astype(np.uint8)


def draw_errors(
    image: np.ndarray,
    kinds: np.ndarray,
    legend: Sequence[ErrorKind],
    scale: int = 1,
) -> np.ndarray:
    """Error map over the grey image.

    Args:
        image: (H, W, 3), uint8 RGB.
        kinds: (H, W), uint8, kind of each pixel (`knet.evaluation.mistakes.KINDS`).
        legend: What the kinds are.
        scale: Whole factor by which the picture is enlarged.

    Returns:
        (scale * H, scale * W, 3), uint8 RGB.
    """
    image = enlarge(image, scale, cv2.INTER_LINEAR)
    kinds = enlarge(kinds, scale)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    colours = np.array([colour for _, colour, *_ in legend], np.float32)
    alpha = np.array([opacity for _, _, opacity, _ in legend], np.float32)[:, None]
    kept = (1 - alpha)[kinds]
    return (grey * kept + (colours * alpha)[kinds]).astype(np.uint8)


def contours(codes: np.ndarray) -> np.ndarray:
    """Mask of the pixels whose right or lower neighbour belongs to another segment.

    Args:
        codes: (H, W), integers, one value per segment.

    Returns:
        (H, W), bool.
    """
    edge = np.zeros(codes.shape, bool)
    edge[:, :-1] |= codes[:, :-1] != codes[:, 1:]
    edge[:-1] |= codes[:-1] != codes[1:]
    return edge


def draw_tracks(
    image: np.ndarray,
    semantic: np.ndarray,
    instance: np.ndarray,
    label_space: LabelSpace,
    alpha: float = 0.6,
    scale: int = 1,
    with_ids: bool = True,
    with_classes: bool = False,
) -> np.ndarray:
    """A frame with its segments: things in the colours of their tracks, with contours and words on
    them, stuff in faint class colours. Lines and letters grow with the picture.

    Args:
        image: (H, W, 3), uint8 RGB.
        semantic: (H, W), uint8 train ids.
        instance: (H, W), track ids, 0 = none.
        label_space: Classes and palette.
        alpha: Opacity of the things, 0..1; stuff has half of it.
        scale: Whole factor by which the picture is enlarged before contours and ids are drawn.
        with_ids: Write the track ids.
        with_classes: Write the names of the classes, also of large stuff.

    Returns:
        (scale * H, scale * W, 3), uint8 RGB.
    """
    image = np.ascontiguousarray(enlarge(image, scale, cv2.INTER_LINEAR))
    semantic = np.ascontiguousarray(enlarge(semantic, scale))
    instance = enlarge(instance.astype(np.int32, copy=False), scale)
    is_thing = cv2.LUT(semantic, np.isin(np.arange(256), label_space.thing_ids).view(np.uint8))
    colours = colour_semantic(semantic, label_space)
    tracked = is_thing.view(bool) & (instance > 0)
    ids = instance[tracked]
    colours[tracked] = track_colours(np.arange(ids.max(initial=0) + 1))[ids]
    picture = cv2.addWeighted(image, 1 - alpha / 2, colours, alpha / 2, 0)
    cv2.copyTo(cv2.addWeighted(image, 1 - alpha, colours, alpha, 0), is_thing, picture)
    cv2.copyTo(image, (semantic == label_space.void).view(np.uint8), picture)
    codes = (semantic.astype(np.int32) << 16) | instance
    codes[is_thing == 0] = -1
    _draw_contours(picture, codes)
    if with_ids or with_classes:
        grid = label_grid(picture.shape)
        stuff = -2 - semantic[grid].astype(np.int32)
        codes = np.where(is_thing[grid], codes[grid], stuff)
        write_labels(picture, codes, partial(_words, label_space, with_ids, with_classes))
    return picture


def _draw_contours(picture: np.ndarray, codes: np.ndarray) -> None:
    """White lines between segments, in place."""
    width = line_width(picture.shape)
    edge = cv2.dilate(contours(codes).view(np.uint8), np.ones((width, width), np.uint8))
    cv2.copyTo(np.full_like(picture, 255), edge, picture)


def _words(
    label_space: LabelSpace, with_ids: bool, with_classes: bool, code: int, share: float
) -> Tuple[str, ...]:
    """What is written on a segment, see `write_labels`: the code of a thing is class << 16 | id,
    that of stuff -2 - class."""
    if code < 0:
        is_large = with_classes and -2 - code < label_space.num_classes and share > NAMED_STUFF
        return (label_space.classes[-2 - code],) if is_large else ()
    name, track = label_space.classes[code >> 16], str(code & 0xFFFF)
    if not with_ids or track == '0':
        return (name,) if with_classes else ()
    return (f'{name} {track}', track) if with_classes else (track,)


def resize(array: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """An image, or a map, whose values stay, in (height, width)."""
    is_image = array.ndim == 3
    larger = size[1] > array.shape[1]
    flag = (cv2.INTER_LINEAR if larger else cv2.INTER_AREA) if is_image else cv2.INTER_NEAREST
    # OpenCV has no 32-bit integers here, but 32-bit floats, whose bits it keeps
    values = array.view(np.float32) if array.dtype == np.uint32 else array
    return cv2.resize(values, size[::-1], interpolation=flag).view(array.dtype)


def enlarge(array: np.ndarray, scale: int, interpolation: Optional[int] = None) -> np.ndarray:
    """Enlarge a map or image by a whole factor; maps (no interpolation given) keep their values."""
    if scale == 1:
        return array
    if interpolation is None:
        return array.repeat(scale, 0).repeat(scale, 1)
    return cv2.resize(array, None, fx=scale, fy=scale, interpolation=interpolation)
