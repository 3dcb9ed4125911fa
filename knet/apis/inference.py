"""Segmentation of images and videos from Python.

    model = init_model(config, checkpoint)
    result = segment_image(model, 'street.png')
    for result in segment_video(model, 'drive.mp4'):
        result.semantic, result.instance, result.segments

Frame by frame, with a state that belongs to the caller (one for each camera):

    state = model.new_state()
    for image in camera:
        result, state = model.step(prepare_frame(model, image), state)
"""

from __future__ import annotations

import logging
import warnings
from numbers import Integral
from pathlib import Path
from typing import Iterable, Iterator, Optional, Union

import cv2
import numpy as np
import torch
from mmcv import Config
from mmcv.cnn.utils import revert_sync_batchnorm

from knet.apis.build import build_model
from knet.apis.config import load_config
from knet.data.transforms import LoadedFrame, TestTransform
from knet.errors import InputError
from knet.models.knet import KNet
from knet.step_format import read_png
from knet.structures import Frame, FrameResult

Image = Union[str, Path, np.ndarray]
IMAGE_ENDINGS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


def init_model(
    config: Union[str, Path, Config],
    checkpoint: Optional[Union[str, Path]] = None,
    device: Optional[Union[str, torch.device]] = None,
    allow_pickle: bool = False,
    logger: Optional[logging.Logger] = None,
) -> KNet:
    """A model that is ready to segment.

    Args:
        config: Config file, or a config.
        checkpoint: Its weights; without it they are random.
        device: Where it computes; by default the first GPU, or the CPU.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.
        logger: Gets the report of what was loaded.

    Raises:
        InputError: config or checkpoint cannot be used.
    """
    cfg = config if isinstance(config, Config) else load_config(str(config))
    path = None if checkpoint is None else str(checkpoint)
    model = build_model(cfg, path, allow_pickle, logger, complete=True, pretrained=False)
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return revert_sync_batchnorm(model).to(device).eval()


def prepare_frame(model: KNet, image: Image, name: str = '') -> Frame:
    """An image as `model.step` takes it.

    Args:
        model: The model it is for.
        image: Image file, or array (H, W, 3) in OpenCV's order BGR, (H, W) grey or (H, W, 4) with
            alpha, which is dropped; uint8, or uint16, which is scaled to 8 bit.
        name: Of the image, for messages.

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
    image = to_colour(image, name or 'the image')
    loaded = LoadedFrame(image, name=name, original_size=image.shape[:2])
    return TestTransform(model.kernel_set.num_thing_classes)([loaded])[0]


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


def segment_image(model: KNet, image: Image) -> FrameResult:
    """Panoptic segmentation of an image; see `prepare_frame` for what an image can be.

    Raises:
        InputError: it cannot be read.
    """
    return model.step(prepare_frame(model, image), model.new_state())[0]


def segment_video(
    model: KNet, source: Union[str, Path, int, Iterable[Image]]
) -> Iterator[FrameResult]:
    """Segmentation of the frames of a video, one by one; memory does not grow with its length.

    Args:
        model: An image model gives every frame ids of its own, a video model track ids.
        source: Video file, folder of images (in the order of their names), list or iterator of
            image files or arrays, or the number of a camera.

    Raises:
        InputError: the source is no video, or a frame cannot be used or has another size than the
            first; the message names its number. A video that ends earlier than its header says is
            a warning.
    """
    size, state = None, model.new_state()
    for number, image in enumerate(read_frames(source)):
        frame = prepare_frame(model, image, f'frame {number}')
        size = size or frame.original_size
        if frame.original_size != size:
            raise InputError(
                f'frame {number} has the size {frame.original_size}, the first frame {size} '
                '(height, width); segment it as another video'
            )
        result, state = model.step(frame, state)
        yield result


def read_frames(source: Union[str, Path, int, Iterable[Image]]) -> Iterator[Image]:
    """Images of a source, see `segment_video`."""
    if isinstance(source, Integral):
        yield from _decode(int(source), f'camera {source}')
    elif isinstance(source, (str, Path)) and Path(source).is_dir():
        files = sorted(file for file in Path(source).iterdir() if _is_image(file))
        if not files:
            raise InputError(f'{source} holds no images ({", ".join(IMAGE_ENDINGS)})')
        yield from files
    elif isinstance(source, (str, Path)) and Path(source).is_file():
        yield from _decode(str(source), f'video {source}')
    elif isinstance(source, (str, Path)):
        raise InputError(f'{source} is neither a video file nor a folder of images')
    elif isinstance(source, Iterable) and getattr(source, 'ndim', 4) == 4:
        yield from source
    else:
        raise InputError(
            f'a source of type {type(source).__name__} is no video; expected a file, a folder, '
            'a list or iterator of images, or the number of a camera'
        )


def _is_image(file: Path) -> bool:
    """Whether a file is meant as an image; some systems put others of the same name beside it."""
    return file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith('.')


def _decode(source: Union[str, int], name: str) -> Iterator[np.ndarray]:
    """Frames of a video or camera as they were recorded, turned upright, (H, W, 3) uint8 BGR."""
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise InputError(f'{name} cannot be opened; it is missing, damaged or of unknown type')
        expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        count = 0
        while True:
            there, image = capture.read()
            if not there:
                break
            count += 1
            yield image
        if count == 0:
            raise InputError(f'{name}: no frame of it can be decoded')
        if isinstance(source, str) and count < expected - 1:
            # no error: for many formats the number is an estimate
            warnings.warn(
                f'{name} ended after {count} frames; its header lets expect about {expected}. '
                'Where the frame rate varies or the video was cut, that is normal; else it is '
                'damaged.',
                stacklevel=2,
            )
    finally:
        capture.release()
