"""The STEP layout on disk: file names, the panoptic encoding, reading and writing of single frames.

    <split>/<name>_leftImg8bit.png   image; .jpg where a download's JPEG is kept as it is
    <split>/<name>_panoptic.png      RGB: R = train id (255 void), G * 256 + B = instance id
    <split>/<name>_depth.png         uint16, metres * 256 (optional)

where <name> is {sequence:06d}_{frame:06d}. An instance id of 0 means stuff, or a crowd of things.
Predictions use the same encoding in `panoptic/<sequence>/<name>.png`.
"""

import os
import re
from pathlib import Path
from typing import Dict, Sequence, Tuple

import cv2
import numpy as np

from knet.errors import InputError
from knet.files import whole_file

MAX_INSTANCE_ID = 65535
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
FILE_NAME = re.compile(r'(\d{6,})_(\d{6,})_(?:(leftImg8bit)\.(?:png|jpg)|(panoptic|depth)\.png)')


def frame_name(sequence: int, frame: int) -> str:
    """`{sequence:06d}_{frame:06d}`: what all files of a frame begin with."""
    return f'{sequence:06d}_{frame:06d}'


def scan_split(folder) -> Dict[int, Dict[int, Dict[str, Path]]]:
    """List a split folder in STEP layout.

    Returns:
        sequence → frame → kind ('leftImg8bit', 'panoptic' or 'depth') → path; sequences and frames
        in rising order. Other files are passed over.

    Raises:
        InputError: the folder does not exist, or a frame has a PNG and a JPEG.
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
    return {sequence: dict(sorted(frames.items())) for sequence, frames in sorted(found.items())}


def read_png(path, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """Decode an image file with OpenCV (channels in BGR order).

    Raises:
        InputError: the file is missing, empty or not a readable image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f'cannot read {path}: {error.strerror}') from None
    content = data.tobytes()
    # Decoders fill the rest of an image that was cut off with zeros, or warn on stderr; so its end
    # is looked for first.
    cut_off = (content.startswith(PNG_BEGIN) and PNG_END not in content) or (
        content.startswith(JPEG_BEGIN) and not is_whole_jpeg(content)
    )
    image = None if cut_off or not content else cv2.imdecode(data, flags)
    if image is None:
        raise InputError(
            f'{path} is not a readable image ({data.size} bytes): the file is damaged or incomplete'
        )
    return image


def is_whole_jpeg(content: bytes) -> bool:
    """Whether the bytes begin and end as those of a JPEG; a few bytes may follow the end."""
    return content.startswith(JPEG_BEGIN) and JPEG_END in content[-64:]


def read_png_size(path) -> Tuple[int, int]:
    """Height and width of a PNG in pixels, from its first bytes; its last ones tell whether it is
    whole.

    Raises:
        InputError: the file is missing, cut off or no PNG.
    """
    try:
        with open(path, 'rb') as file:
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
    with whole_file(path) as partial:
        data.tofile(partial)


def write_panoptic(path, semantic: np.ndarray, instance: np.ndarray) -> None:
    """Write a map in STEP encoding (see `read_panoptic` for shapes and ranges).

    Raises:
        ValueError: a value does not fit the encoding.
    """
    if (
        semantic.min() < 0
        or semantic.max() > 255
        or instance.min() < 0
        or instance.max() > MAX_INSTANCE_ID
    ):
        raise ValueError(
            f'{path}: class ids must lie in 0..255 and instance ids in 0..{MAX_INSTANCE_ID}'
        )
    instance = instance.astype(np.int32)
    write_png(
        path, np.dstack([instance & 255, instance >> 8, semantic]).astype(np.uint8), LABEL_PNG
    )
