"""Words on the segments of a picture: in a size that fits it, on the segments that they belong to,
and not over each other."""

from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
CAPITAL = 21  # height of a capital letter at scale 1, pixels
GRID = 480
"""Places of words are looked for on a grid of at most so many points on the longer side."""
SMALLEST = 0.8
"""A segment whose height or width is less than so many times that of a letter has no words."""


class Box(NamedTuple):
    """A rectangle in pixels, without its right and lower edge."""

    left: int
    top: int
    right: int
    bottom: int

    def overlaps(self, other: 'Box') -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def line_width(shape: Sequence[int]) -> int:
    """Width of outlines in a picture of a shape (H, W, ...), pixels: 1 up to 1000 x 1000."""
    return max(1, round((shape[0] * shape[1]) ** 0.5 / 700))


def font_scale(shape: Sequence[int]) -> float:
    """OpenCV's font scale for a picture of a shape (H, W, ...)."""
    return max(0.5, (shape[0] * shape[1]) ** 0.5 / 85 / CAPITAL)


def label_grid(shape: Sequence[int]) -> Tuple[slice, slice]:
    """The rows and columns of a picture of a shape (H, W, ...) among which `write_labels` looks for
    places."""
    step = max(1, -(-max(shape[:2]) // GRID))
    return slice(step // 2, None, step), slice(step // 2, None, step)


def write_labels(
    picture: np.ndarray,
    codes: np.ndarray,
    words: Callable[[int, float], Sequence[str]],
) -> None:
    """Write words onto segments, in place, and where there is no room, none. Segments with a code
    from 0 on come first, large ones before small ones.

    Args:
        picture: (H, W, 3), uint8 RGB.
        codes: (h, w), integers, one value per segment, at the points of `label_grid`.
        words: Gives the words for a code and its share of the picture (0..1), from those that say
            most to the shortest; the first that fit are written. Without any the segment stays as
            it is.
    """
    step = label_grid(picture.shape)[0].step
    scale = font_scale(picture.shape)
    values, areas = np.unique(codes, return_counts=True)
    taken: List[Box] = []
    for index in np.lexsort((-areas, values < 0)):
        texts = words(int(values[index]), areas[index] / codes.size)
        room = _find_room((codes == values[index]).astype(np.uint8), step) if texts else None
        if room is None or min(room.width, room.height) < SMALLEST * CAPITAL * scale:
            continue
        place = _find_place(room, texts, scale, picture.shape, taken)
        if place:
            text, box = place
            taken.append(box)
            _write(picture, text, box, scale)


class Room(NamedTuple):
    """Where a segment has room for words: a point in it, and the size of its part there, pixels."""

    x: int
    y: int
    width: int
    height: int


def _find_room(mask: np.ndarray, step: int) -> Room:
    """The centre of a segment where it is well inside, since it moves as the segment does; else the
    middle of its widest part.

    Args:
        mask: (h, w), uint8, 1 = segment, on a grid.
        step: Pixels between two points of the grid.
    """
    left, top, width, height = cv2.boundingRect(mask)
    mask = np.pad(mask[top : top + height, left : left + width], 1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    _, parts, stats, centres = cv2.connectedComponentsWithStats(mask)
    part = parts[y, x]
    centre = centres[part].round().astype(int)
    if depth[centre[1], centre[0]] > depth[y, x] / 2:
        x, y = centre
    return Room(
        (left + int(x) - 1) * step + step // 2,
        (top + int(y) - 1) * step + step // 2,
        int(stats[part, cv2.CC_STAT_WIDTH]) * step,
        int(stats[part, cv2.CC_STAT_HEIGHT]) * step,
    )


def _find_place(
    room: Room,
    texts: Sequence[str],
    scale: float,
    shape: Sequence[int],
    taken: Sequence[Box],
) -> Optional[Tuple[str, Box]]:
    """The first text that fits and where it stands, if need be moved up or down; None where there
    is no place.

    Args:
        room: Of the segment.
        texts: See `write_labels`.
        scale: Of the font.
        shape: Of the picture.
        taken: Where other words stand.
    """
    for text in texts:
        width, height = text_size(text, scale)
        if width > 1.5 * room.width and text != texts[-1]:
            continue
        for shift in (0, -1, 1, -2, 2):
            if abs(shift) * height > room.height / 2:
                break
            box = _box_around((room.x, room.y + shift * height), (width, height), shape)
            if not any(box.overlaps(other) for other in taken):
                return text, box
    return None


def text_size(text: str, scale: float) -> Tuple[int, int]:
    """Width and height of a text with its outline, pixels."""
    (width, height), below = cv2.getTextSize(text, FONT, scale, _thickness(scale))
    return width + 2 * _margin(scale), height + below // 2 + 2 * _margin(scale)


def _thickness(scale: float) -> int:
    """Of the strokes of letters, pixels."""
    return max(1, round(2 * scale))


def _margin(scale: float) -> int:
    """Width of the outline of letters, pixels."""
    return max(1, round(2.8 * scale))


def _box_around(middle: Tuple[int, int], size: Tuple[int, int], shape: Sequence[int]) -> Box:
    """A box of a size around a point, moved into the picture."""
    left = max(0, min(middle[0] - size[0] // 2, shape[1] - size[0]))
    top = max(0, min(middle[1] - size[1] // 2, shape[0] - size[1]))
    return Box(left, top, left + size[0], top + size[1])


def _write(picture: np.ndarray, text: str, box: Box, scale: float) -> None:
    """White letters with a dark outline, which can be read on any ground.

    OpenCV draws strokes or, from version 5 on, a font whose thickness is a weight: the outline is
    made of the letters themselves.
    """
    thickness = _thickness(scale)
    _, below = cv2.getTextSize(text, FONT, scale, thickness)
    letters = np.zeros((box.bottom - box.top, box.right - box.left), np.uint8)
    origin = _margin(scale), len(letters) - _margin(scale) - below // 2
    cv2.putText(letters, text, origin, FONT, scale, 255, thickness, cv2.LINE_AA)
    size = 2 * _margin(scale) + 1
    outline = cv2.dilate(letters, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    ground = picture[box.top : box.bottom, box.left : box.right]
    white, dark = (
        mask[: len(ground), : ground.shape[1], None] / 255 for mask in (letters, outline)
    )
    ground[:] = ground * (1 - dark) * (1 - white) + 255 * white
