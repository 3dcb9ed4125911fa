"""Colours of classes and tracks, and segments drawn over images (pure functions on arrays)."""

from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

from knet.label_space import LabelSpace

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
    return label_space.colours[semantic]


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
) -> np.ndarray:
    """A frame with its segments: things in the colours of their tracks, with contours and ids,
    stuff in faint class colours.

    Args:
        image: (H, W, 3), uint8 RGB.
        semantic: (H, W), uint8 train ids.
        instance: (H, W), track ids, 0 = none.
        label_space: Classes and palette.
        alpha: Opacity of the things, 0..1; stuff has half of it.
        scale: Whole factor by which the picture is enlarged before contours and ids are drawn.
        with_ids: Write the track ids.

    Returns:
        (scale * H, scale * W, 3), uint8 RGB.
    """
    image = enlarge(image, scale, cv2.INTER_LINEAR)
    semantic = enlarge(semantic, scale)
    instance = enlarge(instance.astype(np.int32), scale)
    is_thing = np.isin(semantic, label_space.thing_ids)
    tracked = is_thing & (instance > 0)
    colours = colour_semantic(semantic, label_space)
    colours[tracked] = track_colours(instance[tracked])
    opacity = np.where(is_thing, alpha, alpha / 2)[..., None]
    opacity[semantic == label_space.void] = 0
    picture = (image * (1 - opacity) + colours * opacity).astype(np.uint8)
    codes = np.where(is_thing, (semantic.astype(np.int64) << 16) | instance, -1)
    picture[contours(codes)] = 255
    if with_ids:
        _write_ids(picture, np.where(tracked, codes, -1))
    return picture


def _write_ids(picture: np.ndarray, codes: np.ndarray) -> None:
    """Write the track id onto each segment of `codes` (H, W; -1 = none) that is large enough, in
    place."""
    rows, cols = np.nonzero(codes >= 0)
    ids, index, counts = np.unique(codes[rows, cols], return_inverse=True, return_counts=True)
    centres = (
        np.stack([np.bincount(index, cols, len(ids)), np.bincount(index, rows, len(ids))], 1)
        / np.maximum(counts, 1)[:, None]
    )
    for code, count, (x, y) in zip(ids, counts, centres):
        if count >= 400:
            text = str(code & 0xFFFF)
            (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
            origin = (int(x - width / 2), int(y + height / 2))
            cv2.putText(
                picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 3, cv2.LINE_AA
            )
            cv2.putText(
                picture,
                text,
                origin,
                cv2.FONT_HERSHEY_SIMPLEX,
                0.4,
                (255, 255, 255),
                1,
                cv2.LINE_AA,
            )


def enlarge(array: np.ndarray, scale: int, interpolation: Optional[int] = None) -> np.ndarray:
    """Enlarge a map or image by a whole factor; maps (no interpolation given) keep their values."""
    if scale == 1:
        return array
    if interpolation is None:
        return array.repeat(scale, 0).repeat(scale, 1)
    return cv2.resize(array, None, fx=scale, fy=scale, interpolation=interpolation)
