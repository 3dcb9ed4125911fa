"""From frames on disk to frames for a network, the same for images and videos.

Transforms work on a list of frames: the key frame, in video training followed by its reference
frame. Random choices are drawn once per list, so that both change alike. Ground truth travels as
two maps, classes and instances; masks, labels and ids are read off them at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Optional, Sequence, Tuple

import cv2
import mmcv
import numpy as np
import torch
from torch import Tensor

from knet.errors import InputError
from knet.structures import VOID, Frame, FrameTargets, Objects

MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
"""Mean and standard deviation of ImageNet's pixels, RGB, which all backbones were trained with."""
NORMALIZED = mmcv.imnormalize(
    np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3), MEAN, STD, to_rgb=False
)[0].T.copy()
"""Of each channel, RGB, what the 256 values of a pixel become, (3, 256), float32."""
DIVISOR = 32
"""Network inputs are padded to multiples of it."""


@dataclass
class LoadedFrame:
    """A frame as arrays.

    Attributes:
        image: (H, W, 3), uint8 BGR.
        semantic: (H, W), uint8, model classes, 255 = unlabelled; None in testing.
        instance: (H, W), uint16, instance ids, 0 = crowd or stuff; None in testing.
        depth: (H, W), float32, metres, 0 = no label; None where none is asked for.
        name: Where the frame comes from, for messages.
        original_size: (height, width) before any transform.
        flipped: Whether it was turned left to right.
    """

    image: np.ndarray
    semantic: Optional[np.ndarray] = None
    instance: Optional[np.ndarray] = None
    depth: Optional[np.ndarray] = None
    name: str = ''
    original_size: Tuple[int, int] = (0, 0)
    flipped: bool = False

    def change(
        self,
        image: Callable[[np.ndarray], np.ndarray],
        maps: Optional[Callable[[np.ndarray], np.ndarray]] = None,
    ) -> None:
        """Apply a function to the image, and the same or another one to the maps."""
        self.image = image(self.image)
        if self.semantic is not None and self.instance is not None:
            self.semantic = (maps or image)(self.semantic)
            self.instance = (maps or image)(self.instance)
        if self.depth is not None:
            self.depth = (maps or image)(self.depth)


Transform = Callable[[List[LoadedFrame], np.random.Generator], List[Frame]]
"""Makes frames ready; all that is random is drawn from the generator."""


class TestTransform:
    """Frames in full size: normalize, pad, make tensors.

    Args:
        num_thing_classes: T.
    """

    __test__ = False  # pytest takes it for a test

    def __init__(self, num_thing_classes: int):
        self.num_thing_classes = num_thing_classes

    def __call__(
        self, frames: List[LoadedFrame], rng: Optional[np.random.Generator] = None
    ) -> List[Frame]:
        return [finish(frame, self.num_thing_classes) for frame in frames]


class TrainTransform:
    """Random resize, flip and crop, alike for all frames of a list; then as in testing.

    Args:
        num_thing_classes: T.
        scale: (width, height) of the box that an image at ratio 1 fits in.
        ratio_range: Minimum and maximum ratio of the resize.
        crop_size: (height, width) of the crop; smaller frames stay whole.
        flip_ratio: Probability of a flip.
        clip_depth: Depth beyond it is set to it before the resize. None: it stays, and losses leave
            out what lies beyond their own range. (With 80, as published by PolyphonicFormer, what
            is far away becomes a label of 80 m divided by the ratio.)

    Raises:
        InputError: an argument has another type or range.
    """

    def __init__(
        self,
        num_thing_classes: int,
        scale: Tuple[int, int],
        ratio_range: Tuple[float, float],
        crop_size: Tuple[int, int],
        flip_ratio: float = 0.5,
        clip_depth: Optional[float] = None,
    ):
        check_positive(scale=scale, ratio_range=ratio_range, crop_size=crop_size)
        if ratio_range[0] > ratio_range[1]:
            raise InputError(f'ratio_range must be (minimum, maximum), got {ratio_range!r}')
        if not isinstance(flip_ratio, (int, float)) or not 0 <= flip_ratio <= 1:
            raise InputError(f'flip_ratio must be a number from 0 to 1, got {flip_ratio!r}')
        is_number = isinstance(clip_depth, (int, float)) and not isinstance(clip_depth, bool)
        if clip_depth is not None and not (is_number and clip_depth > 0):
            raise InputError(f'clip_depth must be a number of metres over 0, got {clip_depth!r}')
        self.clip_depth = clip_depth
        self.num_thing_classes = num_thing_classes
        self.scale = scale
        self.ratio_range = ratio_range
        self.crop_size = crop_size
        self.flip_ratio = flip_ratio

    def __call__(self, frames: List[LoadedFrame], rng: np.random.Generator) -> List[Frame]:
        for frame in frames:
            if frame.depth is not None and self.clip_depth is not None:
                frame.depth = np.minimum(frame.depth, np.float32(self.clip_depth))
        random_resize(frames, rng, self.scale, self.ratio_range)
        random_flip(frames, rng, self.flip_ratio)
        random_crop(frames, rng, self.crop_size)
        return [finish(frame, self.num_thing_classes) for frame in frames]


def check_positive(**pairs: Any) -> None:
    """Raise InputError unless each argument is a pair of positive numbers."""
    for name, pair in pairs.items():
        is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
        if not is_pair or not all(isinstance(side, (int, float)) and side > 0 for side in pair):
            raise InputError(f'{name} must be two positive numbers, got {pair!r}')


def random_resize(
    frames: Sequence[LoadedFrame],
    rng: np.random.Generator,
    scale: Sequence[int],
    ratio_range: Tuple[float, float],
) -> None:
    """Resize all frames to fit in `scale` (width, height) times a random ratio, aspect kept.

    Depth is divided by the ratio: what is larger looks nearer.
    """
    ratio = rng.uniform(*ratio_range)
    box = tuple(int(side * ratio) for side in scale)
    for frame in frames:
        size = frame.image.shape[:2]
        frame.change(
            lambda image: mmcv.imrescale(image, box),
            lambda values: mmcv.imrescale(values, box, interpolation='nearest'),
        )
        if frame.depth is not None:
            factors = [new / old for new, old in zip(frame.image.shape, size)]
            frame.depth = frame.depth / np.float32(np.mean(factors))


def random_flip(frames: Sequence[LoadedFrame], rng: np.random.Generator, ratio: float) -> None:
    """Turn all frames left to right, or none."""
    if rng.random() < ratio:
        for frame in frames:
            frame.change(lambda array: cv2.flip(array, 1))
            frame.flipped = not frame.flipped


def random_crop(
    frames: Sequence[LoadedFrame], rng: np.random.Generator, size: Sequence[int]
) -> None:
    """Cut the same random window (height, width) out of all frames."""
    height, width = (min(frame.image.shape[axis] for frame in frames) for axis in (0, 1))
    top = rng.integers(max(height - size[0], 0) + 1)
    left = rng.integers(max(width - size[1], 0) + 1)
    window = (slice(top, top + size[0]), slice(left, left + size[1]))
    for frame in frames:
        frame.change(lambda array: array[window])


def finish(frame: LoadedFrame, num_thing_classes: int) -> Frame:
    """Normalize and pad a frame, read its objects off the maps, make tensors."""
    height, width = frame.image.shape[:2]
    shape = padded_size(height, width)
    targets = None
    if frame.semantic is not None and frame.instance is not None:
        semantic = mmcv.impad(frame.semantic, shape=shape, pad_val=VOID)
        instance = mmcv.impad(frame.instance, shape=shape, pad_val=0)
        objects = objects_of_maps(semantic, instance, num_thing_classes)
        # crowd keeps its class in the map; the heads read only stuff classes off it
        targets = FrameTargets(objects, torch.from_numpy(np.ascontiguousarray(semantic)))
        if frame.depth is not None:
            targets.depth = torch.from_numpy(mmcv.impad(frame.depth, shape=shape, pad_val=0))
    return Frame(
        image=torch.from_numpy(normalize(frame.image, shape)),
        size=(height, width),
        original_size=frame.original_size,
        targets=targets,
        name=frame.name,
        flipped=frame.flipped,
    )


def normalize(image: np.ndarray, shape: Tuple[int, int]) -> np.ndarray:
    """A BGR image, (H, W, 3), uint8, as network input, (3, *shape), float32: RGB planes of mean 0
    and deviation 1 over ImageNet, padded with 0 to the right and below."""
    height, width = image.shape[:2]
    planes = np.zeros((3, *shape), np.float32)
    for plane, values, channel in zip(planes, NORMALIZED, cv2.split(image)[::-1]):
        plane[:height, :width] = cv2.LUT(channel, values)
    return planes


def padded_size(height: int, width: int) -> Tuple[int, int]:
    """(height, width) of the network input that an image fits in."""
    height, width = (-(-side // DIVISOR) * DIVISOR for side in (height, width))
    # norms need more than one pixel at the coarsest stride
    return height, width if height > DIVISOR else max(width, 2 * DIVISOR)


def objects_of_maps(semantic: np.ndarray, instance: np.ndarray, num_thing_classes: int) -> Objects:
    """The things of a frame.

    Thing pixels with instance id 0 are crowd: no object, and void for the masks.

    Args:
        semantic: (H, W), model classes.
        instance: (H, W), instance ids, 0..65535.
        num_thing_classes: T.
    """
    codes = semantic.astype(np.int32)
    codes <<= 16
    codes |= instance
    codes = codes.ravel()
    # neighbours mostly belong together: only the runs of equal codes are sorted
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    run_codes = codes[starts]
    is_thing = (run_codes >> 16 < num_thing_classes) & (run_codes & 0xFFFF > 0)
    ids, run_index = np.unique(np.where(is_thing, run_codes, -1), return_inverse=True)
    number = np.arange(len(ids)) - (ids[0] < 0)  # -1: no object
    ids = ids[ids >= 0].astype(np.int64)
    small = np.min_scalar_type(-len(ids) - 1)
    index = np.repeat(number[run_index].astype(small), np.diff(starts, append=codes.size))
    masks = index.reshape(semantic.shape) == np.arange(len(ids), dtype=small)[:, None, None]
    return Objects(torch.from_numpy(masks), torch.from_numpy(ids >> 16), torch.from_numpy(ids))


def picture_of(frame: Frame, with_padding: bool = False) -> np.ndarray:
    """The image of a frame for a network: normalization, and padding, turned back.

    Returns:
        (h, w, 3), uint8 RGB.
    """
    height, width = frame.image.shape[1:] if with_padding else frame.size
    image: Tensor = frame.image[:, :height, :width].permute(1, 2, 0).cpu()
    # the normalization turned BGR into RGB; imdenormalize turns it back
    array = mmcv.imdenormalize(image.numpy(), MEAN, STD, to_bgr=True)
    return array.round().clip(0, 255).astype(np.uint8)[..., ::-1]
