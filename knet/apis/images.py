"""Images as the networks know them: 8 bit, three channels, upright, in a size that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple, Union

import cv2
import numpy as np

from knet.errors import InputError
from knet.step_format import read_png

Image = Union[str, Path, np.ndarray]
"""An image file, or an array (H, W, 3) in OpenCV's order BGR, (H, W) grey or (H, W, 4) with alpha;
uint8 or uint16."""
LARGEST_SIDE = 16384  # pixels; more than that no encoder of videos takes


def read_image(image: Image, name: str = '') -> np.ndarray:
    """An image as the networks know images.

    Args:
        image: See `Image`. Alpha is dropped, 16 bit are scaled to 8.
        name: Of the image, for messages.

    Returns:
        (H, W, 3), uint8 BGR, upright.

    Raises:
        InputError: it is no image.
    """
    if isinstance(image, (str, Path)):
        where = f'{name}: ' if name else ''
        name = name or str(image)
        try:
            image = read_png(image, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        except InputError as error:
            raise InputError(f'{where}{error}') from None
    elif not isinstance(image, np.ndarray):
        raise InputError(
            f'{name or "the image"} is of type {type(image).__name__}; expected the path of a file '
            'or a NumPy array'
        )
    return to_colour(image, name or 'the image')


def to_colour(image: np.ndarray, name: str) -> np.ndarray:
    """(H, W, 3), uint8, of a grey, colour or transparent image of 8 or 16 bit.

    Raises:
        InputError: it is no such image; the message begins with `name`.
    """
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 2:
        image = np.dstack([image] * 3)
    is_image = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (3, 4)
    if not is_image or not image.size:
        raise InputError(
            f'{name} has type {image.dtype} and shape {image.shape}; expected uint8 or uint16 of '
            'shape (H, W), (H, W, 3) or (H, W, 4)'
        )
    return np.ascontiguousarray(image[..., :3])


@dataclass(frozen=True)
class Resize:
    """Brings images to a size.

    Attributes:
        longest: The longer side in pixels; the aspect ratio is kept.
        size: (width, height) instead.
    """

    longest: int = 0
    size: Optional[Tuple[int, int]] = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        scale = self.longest / max(image.shape[:2])
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        size = self.size or (width, height)
        shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(image, size, interpolation=method)


def parse_size(value: Union[int, str]) -> Resize:
    """A new size for images, as `--resize` takes it.

    Raises:
        InputError: it is none.
    """
    match = re.fullmatch(r'(\d{1,5})(?:[x×](\d{1,5}))?', str(value).strip().lower(), re.ASCII)
    sides = [int(side) for side in match.groups() if side] if match else []
    if not sides or not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise InputError(
            f'{value!r} is no size for frames; expected WIDTHxHEIGHT such as 1280x720, or the '
            f'longer side such as 1280 (up to {LARGEST_SIDE})'
        )
    return Resize(sides[0]) if len(sides) == 1 else Resize(size=(sides[0], sides[1]))
