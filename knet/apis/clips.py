"""Frames of a video through a model, some of them together."""

from __future__ import annotations

import contextlib
from typing import Iterable, Iterator, List, Tuple, TypeVar

import torch

from knet.errors import InputError
from knet.models.knet import KNet
from knet.structures import Frame, FrameResult

Key = TypeVar('Key')


def segment_clips(
    model: KNet, frames: Iterable[Tuple[Key, Frame]], clip_len: int
) -> Iterator[Tuple[Key, Frame, FrameResult]]:
    """Results of the frames of a video, in order.

    Args:
        model: An image model gives every frame ids of its own, a video model track ids.
        frames: Each with something that says which it is.
        clip_len: Frames that are waited for and computed together, where they have one size.

    Raises:
        InputError: a frame cannot be read (the results of those before it come first), or needs
            more memory than there is.
    """
    state = model.new_state()
    for clip in _group(frames, clip_len):
        with _blame_size(clip[0][1]):
            results, state = model.step_clip([frame for _, frame in clip], state)
        for (key, frame), result in zip(clip, results):
            yield key, frame, result


def _group(frames: Iterable[Tuple[Key, Frame]], clip_len: int) -> Iterator[List[Tuple[Key, Frame]]]:
    """Frames in clips of one size; one that cannot be read ends the clip before it."""
    iterator = iter(frames)
    clip: List[Tuple[Key, Frame]] = []
    while True:
        try:
            item = next(iterator, None)
        except InputError:
            if clip:
                yield clip
            raise
        if clip and (item is None or item[1].image.shape != clip[0][1].image.shape):
            yield clip
            clip = []
        if item is None:
            return
        clip.append(item)
        if len(clip) == clip_len:
            yield clip
            clip = []


@contextlib.contextmanager
def _blame_size(frame: Frame) -> Iterator[None]:
    """Say in one line that a frame is too large for the memory."""
    try:
        yield
    except RuntimeError as error:  # torch's memory errors are some
        is_memory = isinstance(error, torch.OutOfMemoryError)
        if not is_memory and 'DefaultCPUAllocator' not in str(error):
            raise
        height, width = frame.original_size
        longest = max(height, width) // 2
        raise InputError(
            f'{frame.name} of {width}x{height} pixels needs more memory than there is; compute '
            'fewer frames together (--clip-len 1), or make them smaller (tools/video_demo.py '
            f'--resize {longest}; VideoSource(..., resize={longest}))'
        ) from None


def default_clip_len(device: torch.device) -> int:
    """Frames that are best computed together: a GPU is not busy with one."""
    return 1 if device.type == 'cpu' else 4
