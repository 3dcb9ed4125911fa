"""Where videos come from: files, folders, cameras, lists.

    for frame in VideoSource('drive.mp4', start='1:30', stride=2):
        frame.number, frame.name, frame.image

Frames are read once each, when they are asked for.
"""

from __future__ import annotations

import bisect
import math
import os
import re
import time
import warnings
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sized,
    Tuple,
    Union,
)

import cv2
import numpy as np

from knet.apis.images import Image, parse_size, read_image
from knet.errors import InputError
from knet.step_format import FILE_NAME, frame_name, scan_split

IMAGE_ENDINGS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')
DEFAULT_FPS = 10.0
"""Frames per second of what does not say it, such as a folder of images."""
SILLY_FPS = 480
"""From this number on it is the unit of a file's clock, not a number of frames per second."""
TIME = re.compile(
    r'(?P<s>\d+(\.\d*)?)s|((?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d{2}(\.\d*)?)'
)
TOLERANCE = 1e-3
"""Seconds by which a frame may come before the time that is asked for; times are rounded."""


@dataclass
class SourceFrame:
    """A frame of a video.

    Attributes:
        number: In the source, from 0 on; in a folder in STEP layout as the file's name says.
        name: What its results are called: sequence and number, as in STEP layout.
        image: (H, W, 3), uint8 BGR, upright.
        seconds: When it is shown, from the start of the source.
        file: Name of its file in a folder of images, else None.
    """

    number: int
    name: str
    image: np.ndarray
    seconds: float
    file: Optional[str] = None


class VideoSource:
    """The frames of a video in order, some of them if need be.

    Args:
        source: Video file, folder of images, list or iterator of image files or arrays, or the
            number of a camera. Images of a folder come in the order of their names, numbers in them
            by value; where names are those of the STEP layout, maps beside the images are left out.
        start: The first frame: its number, or its time ('12.5s', '1:30', '0:01:30.5').
        end: The frame before which to stop, likewise; None = the end of the source.
        stride: Only every so many-th frame.
        sequence: Which one, of a folder in STEP layout that holds several.
        fps: Frames per second of a source that does not say it; by default `DEFAULT_FPS`.
        resize: New size of the frames: 'WIDTHxHEIGHT', or the longer side (aspect ratio kept).

    Attributes:
        reader: Of the source as a whole; it knows the frames per second and the sequence.
        length: How many frames there will be, as far as that is known; of many video files it is an
            estimate.

    Raises:
        InputError: there is no such video, or an argument does not fit.
    """

    def __init__(
        self,
        source: Union[str, Path, int, Iterable[Image]],
        start: Union[int, str] = 0,
        end: Optional[Union[int, str]] = None,
        stride: int = 1,
        sequence: Optional[int] = None,
        fps: Optional[float] = None,
        resize: Optional[Union[int, str]] = None,
    ):
        self.start, self.end = parse_moment(start), None if end is None else parse_moment(end)
        self.part = f'from {start} on' if end is None else f'from {start} to before {end}'
        self.resize = None if resize is None else parse_size(resize)
        if stride < 1:
            raise InputError(f'stride must be 1 or more, got {stride}')
        if fps is not None and not 0 < fps < SILLY_FPS:
            raise InputError(f'fps must be between 0 and {SILLY_FPS}, got {fps}')
        self.stride = int(stride)
        self.reader = open_source(source, sequence, fps)
        first, last = self.reader.position(self.start), self.reader.length
        if self.end is not None:
            end_position = self.reader.position(self.end)
            if first >= end_position:
                raise InputError(f'{self.reader.name} has no frame {self.part}{self.reader.span}')
            last = end_position if last is None else min(last, end_position)
        known = last is not None and first < last  # a header may be wrong
        self.length = len(range(first, last or 0, self.stride)) if known else None

    @property
    def is_live(self) -> bool:
        """Whether it is a camera: it ends when somebody stops it."""
        return isinstance(self.reader, CameraReader)

    def __iter__(self) -> Iterator[SourceFrame]:
        number, seen, taken = None, 0, 0
        for unread in self.reader:
            if self.end is not None and self.end.has_come(unread):
                break
            number = unread.number
            if not self.start.has_come(unread):
                continue
            if seen % self.stride == 0:
                yield self._read(unread)
                taken += 1
            seen += 1
        if not taken and number is not None:
            raise InputError(
                f'{self.reader.name} has no frame {self.part}; it ends with frame {number}'
            )

    def _read(self, unread: UnreadFrame) -> SourceFrame:
        image = read_image(unread.read(), f'frame {unread.number}')
        if self.resize:
            image = self.resize(image)
        name = frame_name(self.reader.sequence, unread.number)
        return SourceFrame(unread.number, name, image, unread.seconds, unread.file)


class Moment(NamedTuple):
    """A place in a video: the number of a frame, or a time in seconds."""

    frame: Optional[int]
    seconds: float = 0.0

    def has_come(self, frame: UnreadFrame) -> bool:
        """Whether a frame is there or behind it."""
        if self.frame is not None:
            return frame.number >= self.frame
        return frame.seconds >= self.seconds - TOLERANCE


def parse_moment(value: Union[int, str]) -> Moment:
    """A place in a video, as `VideoSource` takes it.

    Raises:
        InputError: it is none.
    """
    text = str(value).strip()
    match = TIME.fullmatch(text)
    if text.isascii() and text.isdecimal() and len(text) < 16:
        return Moment(int(text))
    if not match or (match['seconds'] and float(match['seconds']) >= 60):
        raise InputError(
            f'{value!r} is no place in a video; expected the number of a frame, or a time such as '
            '12.5s, 1:30 or 0:01:30.5'
        )
    if match['s']:
        return Moment(None, float(match['s']))
    minutes = 60 * int(match['hours'] or 0) + int(match['minutes'])
    return Moment(None, 60 * minutes + float(match['seconds']))


class UnreadFrame(NamedTuple):
    """A frame that can be read: `read` does it."""

    number: int
    seconds: float
    read: Callable[[], Image]
    file: Optional[str] = None


class Reader:
    """The frames of a source, in order.

    Attributes:
        name: Of the source, for messages.
        fps: Frames per second.
        length: Number of frames, where it is known.
        sequence: Number of the sequence.
        span: Says which frames there are, where that is known; for messages.
        step_folder: The folder in STEP layout that they lie in, if they do.
    """

    name: str
    fps: float
    span: str = ''
    length: Optional[int] = None
    sequence: int = 0
    step_folder: Optional[Path] = None

    def __iter__(self) -> Iterator[UnreadFrame]:
        raise NotImplementedError

    def position(self, moment: Moment) -> int:
        """About how many frames lie before a place."""
        if moment.frame is not None:
            return moment.frame
        return math.ceil((moment.seconds - TOLERANCE) * self.fps)


class ListReader(Reader):
    """Images in a list, or from an iterator."""

    def __init__(self, images: Iterable[Image], fps: float):
        self.name, self.fps, self.images = 'the list of images', fps, images
        self.length = len(images) if isinstance(images, Sized) else None

    def __iter__(self) -> Iterator[UnreadFrame]:
        for number, image in enumerate(self.images):
            yield UnreadFrame(number, number / self.fps, partial(_given, image))


class FolderReader(Reader):
    """Images of a folder.

    Raises:
        InputError: there are none, or several sequences of which none is chosen.
    """

    def __init__(self, folder: Path, sequence: Optional[int], fps: float):
        self.name, self.fps = str(folder), fps
        names = [file.name for file in folder.iterdir() if _is_image(file)]
        if any(FILE_NAME.fullmatch(name) for name in names):
            self.step_folder = folder
            self.sequence, files = _step_images(folder, sequence)
            self.numbers, self.files = list(files), list(files.values())
        else:
            _no_sequence(sequence, self.name)
            self.files = [folder / name for name in sorted(names, key=_natural)]
            self.numbers = list(range(len(names)))
        if not self.files:
            raise InputError(f'{folder} holds no images ({", ".join(IMAGE_ENDINGS)})')
        self.length = len(self.files)
        self.span = f'; its frames have the numbers {self.numbers[0]} to {self.numbers[-1]}'

    def __iter__(self) -> Iterator[UnreadFrame]:
        for index, (number, file) in enumerate(zip(self.numbers, self.files)):
            yield UnreadFrame(number, index / self.fps, partial(_given, file), file.name)

    def position(self, moment: Moment) -> int:
        if moment.frame is not None:
            return bisect.bisect_left(self.numbers, moment.frame)
        return super().position(moment)


class CaptureReader(Reader):
    """What OpenCV decodes: video files and cameras, turned upright.

    Args:
        source: For `cv2.VideoCapture`.
        name: For messages.
        fps: Frames per second where it does not know it.

    Raises:
        InputError: it cannot be opened.
    """

    def __init__(self, source: Union[str, int], name: str, fps: Optional[float]):
        self.source, self.name = source, name
        self._opened: Optional[cv2.VideoCapture] = self._open()
        own = self._opened.get(cv2.CAP_PROP_FPS)
        self.knows_fps = 0 < own < SILLY_FPS
        self.fps = own if self.knows_fps else fps or DEFAULT_FPS

    why_closed = 'it is damaged or of unknown type'

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self.source)
        if not capture.isOpened():
            raise InputError(f'{self.name} cannot be opened; {self.why_closed}')
        return capture

    def __iter__(self) -> Iterator[UnreadFrame]:
        capture, self._opened = self._opened or self._open(), None
        number, seconds = 0, -1.0
        try:
            while capture.grab():
                time_of_frame = self._time(capture)
                # some files do not say it, or say it wrongly
                rises = math.isfinite(time_of_frame) and time_of_frame > seconds
                seconds = time_of_frame if rises else seconds + 1 / self.fps
                yield UnreadFrame(number, seconds, partial(_retrieve, capture, self.name))
                number += 1
            if number == 0:
                raise InputError(f'{self.name}: no frame of it can be decoded')
            self._check_end(number)
        finally:
            capture.release()

    def _time(self, capture: cv2.VideoCapture) -> float:
        """Seconds from the start to the frame that was grabbed."""
        raise NotImplementedError

    def _check_end(self, number: int) -> None:
        """Look at how many frames there were."""


class FileReader(CaptureReader):
    """A video file.

    Raises:
        InputError: it cannot be opened.
    """

    def __init__(self, path: Path, fps: Optional[float]):
        super().__init__(os.path.abspath(path), f'video {path}', fps)  # a:b is a protocol
        self.path = path
        expected = self._opened.get(cv2.CAP_PROP_FRAME_COUNT) if self._opened else 0
        self.length = int(expected) if 0 < expected < 2**31 else None
        if fps is not None and self.knows_fps:
            raise InputError(
                f'{path} has {self.fps:g} frames per second of its own; another number is for '
                'folders of images; leave out --fps'
            )

    def _time(self, capture: cv2.VideoCapture) -> float:
        return capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def _check_end(self, number: int) -> None:
        if self.length is not None and number < self.length - 1:
            # no error: for many formats the number is an estimate
            warnings.warn(
                f'{self.name} ended after {number} frames; its header lets expect about '
                f'{self.length}. Where the frame rate varies or the video was cut, that is normal; '
                'else it is damaged.',
                stacklevel=2,
            )


class CameraReader(CaptureReader):
    """A camera; it waits for nobody.

    Raises:
        InputError: there is none of this number.
    """

    why_closed = 'is it connected, and used by no other program?'

    def __init__(self, number: int, fps: Optional[float]):
        super().__init__(number, f'camera {number}', fps)
        self._begin: Optional[float] = None

    def _time(self, capture: cv2.VideoCapture) -> float:
        now = time.monotonic()
        self._begin = now if self._begin is None else self._begin
        return now - self._begin


def open_source(
    source: Union[str, Path, int, Iterable[Image]],
    sequence: Optional[int] = None,
    fps: Optional[float] = None,
) -> Reader:
    """Reader of a source, see `VideoSource`.

    Raises:
        InputError: it is none.
    """
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        return FolderReader(Path(source), sequence, fps or DEFAULT_FPS)
    _no_sequence(sequence, f'{source}')
    if isinstance(source, Integral):
        return CameraReader(int(source), fps)
    if isinstance(source, (str, Path)) and Path(source).is_file():
        return FileReader(Path(source), fps)
    if isinstance(source, (str, Path)):
        if not Path(source).exists():
            raise InputError(f'{source} does not exist')
        raise InputError(f'{source} is neither a video file nor a folder of images')
    if isinstance(source, Iterable) and getattr(source, 'ndim', 4) == 4:
        return ListReader(source, fps or DEFAULT_FPS)
    raise InputError(
        f'a source of type {type(source).__name__} is no video; expected a file, a folder, '
        'a list or iterator of images, or the number of a camera'
    )


def _given(image: Image) -> Image:
    return image


def _retrieve(capture: cv2.VideoCapture, name: str) -> np.ndarray:
    there, image = capture.retrieve()
    if not there:
        raise InputError(f'{name}: a frame cannot be decoded; the file is damaged')
    return image


def _is_image(file: Path) -> bool:
    """Whether a file is meant as an image; some systems put others of the same name beside it."""
    return file.suffix.lower() in IMAGE_ENDINGS and not file.name.startswith('.')


def _natural(name: str) -> Tuple[List[Union[str, int]], str]:
    """Key that sorts frame_2 before frame_10."""
    parts: List[Union[str, int]] = [*re.split(r'(\d+)', name)]
    parts[1::2] = map(int, parts[1::2])
    return parts, name


def _step_images(folder: Path, sequence: Optional[int]) -> Tuple[int, Dict[int, Path]]:
    """Images of a sequence in a folder in STEP layout, by the numbers of their frames."""
    kind = 'leftImg8bit'
    images = {
        number: {frame: kinds[kind] for frame, kinds in frames.items() if kind in kinds}
        for number, frames in scan_split(folder).items()
    }
    there = [number for number, files in images.items() if files]
    names = ', '.join(map(str, there[:20])) + (', ...' if len(there) > 20 else '')
    if not there:
        raise InputError(f'{folder} holds maps in STEP layout, but no images beside them')
    if sequence is None and len(there) > 1:
        raise InputError(
            f'{folder} holds the sequences {names}; choose one (--sequence {there[0]}; from Python '
            f'VideoSource(folder, sequence={there[0]}))'
        )
    if sequence is not None and sequence not in there:
        raise InputError(f'{folder} holds no images of sequence {sequence}; it holds {names}')
    chosen = there[0] if sequence is None else sequence
    return chosen, images[chosen]


def _no_sequence(sequence: Optional[int], name: str) -> None:
    if sequence is not None:
        raise InputError(
            f'{name} holds no numbered sequences; leave out the sequence {sequence} (it is for '
            'folders of files like 000002_000000_leftImg8bit.png)'
        )
