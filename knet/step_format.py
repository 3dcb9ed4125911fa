"""The STEP layout on disk: file names, the panoptic encoding, reading and writing of single frames.

    <split>/<name>_leftImg8bit.png   image; .jpg where a download's JPEG is kept as it is
    <split>/<name>_panoptic.png      RGB: R = train id (255 void), G * 256 + B = instance id
    <split>/<name>_depth.png         uint16, metres * 256 (optional)

where <name> is {sequence:06d}_{frame:06d}. An instance id of 0 means stuff, or a crowd of things.
Predictions use the same encoding in `panoptic/<sequence>/<name>.png` and
`depth/<sequence>/<name>.png`.
"""

import contextlib
import os
import re
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Dict, Optional, Sequence, Tuple

import cv2
import numpy as np

from knet.errors import InputError
from knet.files import write_bytes

MAX_INSTANCE_ID = 65535
DEPTH_UNITS = 256
"""Of depth on disk, to a metre."""
PNG_BEGIN, PNG_END = b'\x89PNG', b'IEND\xaeB`\x82'
JPEG_BEGIN, JPEG_END = b'\xff\xd8', b'\xff\xd9'
# Label maps in this form are read twice as fast as with OpenCV's defaults, and written as fast;
# they are a tenth larger.
LABEL_PNG = (
    cv2.IMWRITE_PNG_COMPRESSION,
    3,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_UP,
)
FILE_NAME = re.compile(r'(\d+)_(\d+)_(?:(leftImg8bit)\.(?i:png|jpe?g)|(panoptic|depth)\.(?i:png))')
ALIKE = re.compile(r'[^.].*_(leftImg8bit|panoptic|depth)\.\w+')
"""Names that are meant as those of frames."""


def frame_name(sequence: int, frame: int) -> str:
    """`{sequence:06d}_{frame:06d}`: what all files of a frame begin with."""
    return f'{sequence:06d}_{frame:06d}'


def scan_split(folder) -> Dict[int, Dict[int, Dict[str, Path]]]:
    """List a split folder in STEP layout.

    Returns:
        sequence → frame → kind ('leftImg8bit', 'panoptic' or 'depth') → path; sequences and frames
        in rising order. Other files are passed over.

    Raises:
        InputError: the folder does not exist, a name is nearly that of a frame, or a frame has two
            files of a kind.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f'{folder} is not a folder; expected files like 000002_000000_panoptic.png in it (see '
            'DATASET.md)'
        )
    found: Dict[int, Dict[int, Dict[str, Path]]] = {}
    for name in sorted(os.listdir(folder)):
        match = FILE_NAME.fullmatch(name)
        if match:
            sequence, frame, kind = int(match[1]), int(match[2]), match[3] or match[4]
            files = found.setdefault(sequence, {}).setdefault(frame, {})
            if kind in files:
                raise InputError(
                    f'{folder} holds two images of a frame, {files[kind].name} and {name}; delete '
                    'one'
                )
            files[kind] = folder / name
        elif ALIKE.fullmatch(name):
            raise InputError(
                f'{folder / name}: a name of a frame is like 000002_000000_leftImg8bit.png (or '
                '.jpg) or 000002_000000_panoptic.png; rename it, or move it elsewhere'
            )
    return {sequence: dict(sorted(frames.items())) for sequence, frames in sorted(found.items())}


def read_png(path, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Decode an image file with OpenCV (channels in BGR order; an orientation that a camera has
    noted is not applied, unless `flags` ask for it).

    A file that is called .png, .jpg or .jpeg must be one; of a PNG all checksums are checked.

    Raises:
        InputError: the file is missing, damaged, of another type than its name says, or an
            animation.
    """
    content = read_file(path)
    reason = _image_fault(content, Path(path).suffix.lower())
    image = None
    if reason is None:
        with contextlib.suppress(cv2.error):  # such as a size beyond all limits
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        reason = reason or 'the file is damaged or incomplete'
        raise InputError(f'{path} is not a readable image ({len(content)} bytes): {reason}')
    return image


def read_file(path) -> bytes:
    """Content of a regular file.

    Raises:
        InputError: it is missing, or a folder, a pipe or the like.
    """
    try:
        with _open_file(path) as file:
            return file.read()
    except OSError as error:
        raise InputError(f'cannot read {path}: {error.strerror}') from None


def _open_file(path) -> BinaryIO:
    """Open a regular file; a pipe would be waited for."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError(f'cannot read {path}: it is not a file')
    return open(path, 'rb')


def _image_fault(content: bytes, suffix: str) -> Optional[str]:
    """What is wrong with the bytes of an image file; decoders fill the rest of an image that was
    cut off with zeros, or warn on stderr."""
    if not content:
        return 'it is empty'
    is_png, is_jpeg = content.startswith(PNG_BEGIN), content.startswith(JPEG_BEGIN)
    if suffix == '.png' and not is_png:
        return 'it is no PNG, whatever its name says'
    if suffix in ('.jpg', '.jpeg') and not is_jpeg:
        return 'it is no JPEG, whatever its name says'
    if is_jpeg and not is_whole_jpeg(content):
        return 'the file is damaged or incomplete'
    return _png_fault(content) if is_png else None


def _png_fault(content: bytes) -> Optional[str]:
    """What is wrong with a PNG, by its chunks and their checksums; what follows the last one does
    not matter."""
    if content[8:16] != b'\0\0\0\x0dIHDR':
        return 'the file is damaged or incomplete'
    place, kind = 8, b''
    while kind != b'IEND':
        head = content[place : place + 8]
        length, kind = int.from_bytes(head[:4], 'big'), head[4:]
        end = place + 8 + length
        if len(head) < 8 or end + 4 > len(content):
            return 'the file is damaged or incomplete'
        if zlib.crc32(content[place + 4 : end]) != int.from_bytes(content[end : end + 4], 'big'):
            return f'the file is damaged: a checksum does not agree at byte {place}'
        if kind == b'acTL':
            return 'it is an animation'
        if kind == b'IHDR' and length == 13:
            width, height, bits = struct.unpack('>IIB', content[place + 8 : place + 17])
            if width * height * bits // 8 > 1100 * len(content):  # more than compression can do
                return f'{len(content)} bytes cannot hold the {width} x {height} pixels it names'
        place = end + 4
    return None


def is_whole_jpeg(content: bytes) -> bool:
    """Whether the bytes begin and end as those of a JPEG; others may follow the end."""
    place = 2
    while content.startswith(JPEG_BEGIN) and content[place : place + 1] == b'\xff':
        marker = content[place + 1 : place + 2]
        if marker == b'\xda':  # the pixels; a thumbnail with an end of its own lies before them
            return content.find(JPEG_END, place) >= 0
        place += 2 + int.from_bytes(content[place + 2 : place + 4], 'big')
    return False


def read_png_size(path) -> Tuple[int, int]:
    """Height and width of a PNG in pixels, from its first bytes; its last ones tell whether it is
    whole.

    Raises:
        InputError: the file is missing, cut off or no PNG.
    """
    try:
        with _open_file(path) as file:
            head = file.read(24)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(PNG_END)))
            tail = file.read()
    except OSError as error:
        raise InputError(f'cannot read {path}: {error.strerror}') from None
    if not head.startswith(PNG_BEGIN) or tail != PNG_END:
        raise InputError(
            f'{path} is not a whole PNG ({size} bytes): the file is damaged or incomplete'
        )
    return int.from_bytes(head[20:24], 'big'), int.from_bytes(head[16:20], 'big')


def read_panoptic(path) -> Tuple[np.ndarray, np.ndarray]:
    """Read a map in STEP encoding.

    Returns:
        semantic map, shape (H, W), uint8 train ids with 255 = void, and instance map, shape (H, W),
        int32, 0..65535.

    Raises:
        InputError: missing, unreadable, or not 8-bit RGB.
    """
    image = read_png(path)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f'{path} is {image.dtype} of shape {image.shape}, not an 8-bit RGB map (R = class, G '
            '* 256 + B = '
            'instance id)'
        )
    blue, green, red = cv2.split(image)
    return red, green.astype(np.int32) * 256 + blue


def write_png(path, image: np.ndarray, parameters: Sequence[int] = ()) -> None:
    """Write an image (BGR where it has colours) as PNG: the file is there whole or not at all.

    Args:
        path: File to write.
        image: Anything that OpenCV can write as PNG.
        parameters: Pairs of an OpenCV flag IMWRITE_PNG_* and its value.

    Raises:
        InputError: the file cannot be written.
    """
    ok, data = cv2.imencode('.png', image, parameters)
    if not ok:
        raise ValueError(
            f'{path}: an array of shape {image.shape} and type {image.dtype} cannot be a PNG'
        )
    write_bytes(path, data)


def write_panoptic(path, semantic: np.ndarray, instance: np.ndarray) -> None:
    """Write a map in STEP encoding (see `read_panoptic` for shapes and ranges).

    Raises:
        ValueError: a class or an id is out of range.
        InputError: there are more ids than the encoding holds, or the file cannot be written.
    """
    if semantic.min() < 0 or semantic.max() > 255 or instance.min() < 0:
        raise ValueError(f'{path}: class ids must lie in 0..255 and instance ids from 0 on')
    if instance.max() > MAX_INSTANCE_ID:
        raise InputError(
            f'{path}: id {instance.max()} does not fit the encoding, which has ids up to '
            f'{MAX_INSTANCE_ID}; cut the sequence in two, or let fewer tracks start'
        )
    instance = instance.astype(np.int32)
    write_png(
        path, np.dstack([instance & 255, instance >> 8, semantic]).astype(np.uint8), LABEL_PNG
    )


def read_depth(path) -> np.ndarray:
    """Depth of a file, (H, W), float32, metres, 0 = no label; see `read_depth_units`."""
    return read_depth_units(path).astype(np.float32) / DEPTH_UNITS


def read_depth_units(path) -> np.ndarray:
    """Depth as files and the metrics have it, (H, W), uint16, metres * 256, 0 = no label.

    Raises:
        InputError: missing, unreadable, or not 16 bit of one channel.
    """
    values = read_png(path)
    if values.ndim != 2 or values.dtype != np.uint16:
        raise InputError(
            f'{path} is {values.dtype} of shape {values.shape}, not a 16-bit map (metres * '
            f'{DEPTH_UNITS}, 0 = no label)'
        )
    return values


def encode_depth(depth: np.ndarray) -> np.ndarray:
    """Metres as files and the metrics have them, uint16: times 256, rounded; at most 255.99 m."""
    return np.rint(np.float32(depth) * DEPTH_UNITS).clip(0, 65535).astype(np.uint16)


def write_depth(path, depth: np.ndarray) -> None:
    """Write a depth map, (H, W), metres, 0 = no label (see `read_depth`).

    Raises:
        InputError: the file cannot be written.
    """
    write_png(path, encode_depth(depth), LABEL_PNG)
