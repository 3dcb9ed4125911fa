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
from pathlib import Path
from typing import Iterable, Iterator, Optional, Tuple, Union

import torch
from mmcv import Config
from mmcv.cnn.utils import revert_sync_batchnorm

from knet.apis.build import build_model
from knet.apis.clips import segment_clips
from knet.apis.config import load_config
from knet.apis.images import Image, read_image
from knet.apis.sources import SourceFrame, VideoSource
from knet.data.transforms import LoadedFrame, TestTransform
from knet.errors import InputError
from knet.models.knet import KNet
from knet.models.precision import PRECISIONS, check_precision, use_precision
from knet.structures import Frame, FrameResult


def init_model(
    config: Union[str, Path, Config],
    checkpoint: Optional[Union[str, Path]] = None,
    device: Optional[Union[str, torch.device]] = None,
    allow_pickle: bool = False,
    logger: Optional[logging.Logger] = None,
    precision: str = 'fp32',
) -> KNet:
    """A model that is ready to segment.

    Args:
        config: Config file, or a config.
        checkpoint: Its weights; without it they are random.
        device: Where it computes, see `find_device`.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.
        logger: Gets the report of what was loaded.
        precision: Of the network: 'fp32', or 'bf16' or 'fp16' for autocast to half precision; what
            follows it (merge, tracking) is always in float32.

    Raises:
        InputError: config, checkpoint or device cannot be used, or not in that precision.
    """
    cfg = config if isinstance(config, Config) else load_config(str(config))
    path = None if checkpoint is None else str(checkpoint)
    model = build_model(cfg, path, allow_pickle, logger, complete=True, pretrained=False)
    model = revert_sync_batchnorm(model).to(find_device(device)).eval()
    if precision not in PRECISIONS:
        raise InputError(f'precision must be one of {", ".join(PRECISIONS)}, got {precision!r}')
    model.precision = PRECISIONS[precision]
    check_precision(model.precision, model.device)
    return use_precision(model, model.precision)


def find_device(device: Optional[Union[str, torch.device]] = None) -> torch.device:
    """A device that can be computed on; by default the first GPU, or the CPU.

    Raises:
        InputError: it is not there.
    """
    if device is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines() or ['it is not there']
        raise InputError(
            f'device {str(device)!r} cannot be used ({reason[0]}); expected cpu, cuda, or cuda:1 '
            'and so on for another GPU than the first'
        ) from None
    return torch.device(device)


def prepare_frame(model: KNet, image: Image, name: str = '') -> Frame:
    """An image as `model.step` takes it.

    Args:
        model: The model it is for.
        image: See `knet.apis.images.read_image`.
        name: Of the image, for messages.

    Raises:
        InputError: it is no image.
    """
    array = read_image(image, name)
    if isinstance(image, (str, Path)):
        name = name or str(image)
    loaded = LoadedFrame(array, name=name, original_size=array.shape[:2])
    return TestTransform(model.kernel_set.num_thing_classes)([loaded])[0]


def segment_image(model: KNet, image: Image) -> FrameResult:
    """Panoptic segmentation of an image; see `knet.apis.images.read_image` for what an image can
    be.

    Raises:
        InputError: it cannot be read.
    """
    return model.step(prepare_frame(model, image), model.new_state())[0]


def segment_video(
    model: KNet, source: Union[str, Path, int, Iterable[Image], VideoSource]
) -> Iterator[FrameResult]:
    """Segmentation of the frames of a video, one by one; memory does not grow with its length.

    Args:
        model: An image model gives every frame ids of its own, a video model track ids.
        source: Video file, folder of images, list or iterator of image files or arrays, or the
            number of a camera; a `VideoSource` of one of them takes a part of it.

    Raises:
        InputError: the source is no video, or a frame cannot be used or has another size than the
            first; the message names its number. A video that ends earlier than its header says is
            a warning.
    """
    frames = source if isinstance(source, VideoSource) else VideoSource(source)
    for _, result in segment_frames(model, frames):
        yield result


def segment_frames(
    model: KNet, frames: Iterable[SourceFrame], clip_len: int = 1
) -> Iterator[Tuple[SourceFrame, FrameResult]]:
    """Frames of a video and their segmentation, see `segment_video`.

    Args:
        model, frames: See `segment_video`.
        clip_len: Frames that are waited for and computed together.

    Raises:
        InputError: also where a frame needs more memory than there is.
    """

    def prepared() -> Iterator[Tuple[SourceFrame, Frame]]:
        size = None
        for source in frames:
            frame = prepare_frame(model, source.image, f'frame {source.number}')
            size = size or frame.original_size
            if frame.original_size != size:
                raise InputError(
                    f'frame {source.number} has the size {frame.original_size}, the first frame '
                    f'{size} (height, width); segment it as another video, or give all one size '
                    '(--resize)'
                )
            yield source, frame

    for source, _, result in segment_clips(model, prepared(), clip_len):
        yield source, result
