"""Reads the Parquet files of the Waymo Open Dataset v2 as a stream, labels as maps.

Columns of `camera_segmentation/<segment>.parquet` and `camera_image/<segment>.parquet`, one row per
image:

    key.frame_timestamp_micros              int64
    key.camera_name                         1 front, 2 front-left, 3 front-right, 4 side-left,
                                            5 side-right
    [CameraImageComponent].image            JPEG
    [CameraSegmentationLabelComponent].
        panoptic_label                      16-bit PNG: class * divisor + local instance id
        panoptic_label_divisor              int
        sequence_id                         which frames of the segment were labelled together
        instance_id_to_global_id_mapping.
            local_instance_ids, global_instance_ids, is_tracked     lists of equal length
        num_cameras_covered                 8-bit PNG: how many cameras see a pixel
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

import cv2
import numpy as np
from preparation import load_package

from knet.errors import InputError
from knet.label_space import STEP, WAYMO, LabelSpace
from knet.step_format import MAX_INSTANCE_ID

CAMERAS = {1: 'front', 2: 'front-left', 3: 'front-right', 4: 'side-left', 5: 'side-right'}
TIMESTAMP, CAMERA = 'key.frame_timestamp_micros', 'key.camera_name'
IMAGE = '[CameraImageComponent].image'
LABEL = '[CameraSegmentationLabelComponent].'
MAPPING = LABEL + 'instance_id_to_global_id_mapping.'
DIVISOR, PANOPTIC, COVERAGE = (
    LABEL + 'panoptic_label_divisor',
    LABEL + 'panoptic_label',
    LABEL + 'num_cameras_covered',
)
INFO_COLUMNS = (
    LABEL + 'sequence_id',
    MAPPING + 'local_instance_ids',
    MAPPING + 'global_instance_ids',
    MAPPING + 'is_tracked',
)
BATCH_ROWS = 4  # rows in memory at a time; an image has a few hundred kB
BUFFER = 1 << 20  # bytes of a column that are read ahead

# Native class → STEP class; all others become void.
STEP_CLASSES = {
    'road': 'road',
    'lane marker': 'road',
    'road marker': 'road',
    'sidewalk': 'sidewalk',
    'building': 'building',
    'pole': 'pole',
    'traffic light': 'traffic light',
    'sign': 'traffic sign',
    'vegetation': 'vegetation',
    'sky': 'sky',
    'person': 'person',
    'cyclist': 'rider',
    'motorcyclist': 'rider',
    'car': 'car',
    'truck': 'truck',
    'bus': 'bus',
    'motorcycle': 'motorcycle',
    'bicycle': 'bicycle',
}

Key = Tuple[int, int]  # timestamp in microseconds, camera


class SourceError(InputError):
    """A part of the download cannot be used; the rest of it can."""


class LabelInfo(NamedTuple):
    """What a label says about its frame, without the pixels.

    ids: Local instance id → global id, tracked objects only.
    untracked: Number of objects that are not tracked.
    """

    timestamp: int
    camera: int
    sequence_id: str
    ids: Dict[int, int]
    untracked: int


def read_rows(
    path: str, columns: Sequence[str], wanted: Optional[Set[Key]] = None
) -> Iterator[Tuple[Key, List]]:
    """Rows of a Parquet file as (timestamp, camera) and the values of `columns`.

    The small key columns of a row group are looked at first; row groups without a wanted row are
    passed over, the others are read a few rows at a time. So memory holds a page of the file,
    packed and unpacked, and those rows; a page is at most a column of a row group.

    Args:
        path: File.
        columns: Names of the columns to read.
        wanted: Rows to give; None for all.

    Raises:
        SourceError: the file is missing, cut off, damaged, or lacks a column.
    """
    parquet = load_package('pyarrow.parquet', 'pyarrow')
    arrow_error = load_package('pyarrow', 'pyarrow').ArrowException
    try:
        with parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as file:
            missing = [
                name
                for name in (TIMESTAMP, CAMERA, *columns)
                if name not in file.schema_arrow.names
            ]
            if missing:
                raise SourceError(
                    f'{path} has no column {missing[0]}; is it a file of the Waymo Open Dataset '
                    'v2, of this component?'
                )
            for group in range(file.num_row_groups):
                keys = file.read_row_group(group, [TIMESTAMP, CAMERA], use_threads=False)
                keys = list(zip(keys[TIMESTAMP].to_pylist(), keys[CAMERA].to_pylist()))
                if wanted is not None and wanted.isdisjoint(keys):
                    continue
                start = 0
                for batch in file.iter_batches(
                    BATCH_ROWS, [group], list(columns), use_threads=False
                ):
                    for row, key in enumerate(keys[start : start + batch.num_rows]):
                        if wanted is None or key in wanted:
                            yield key, [batch[name][row].as_py() for name in columns]
                    start += batch.num_rows
    except (arrow_error, OSError) as error:
        raise SourceError(
            f'{path} is not a readable Parquet file: it is damaged or incomplete '
            f'({str(error).splitlines()[0]}); '
            'download it again'
        ) from None


def read_infos(path: str) -> List[LabelInfo]:
    """What the labels of a segment say about each frame, in the order of time and camera; rows
    without label are passed over.

    Raises:
        SourceError: the file is damaged, or the lists of an image do not belong together.
    """
    infos = []
    for (timestamp, camera), (divisor, sequence_id, *lists) in read_rows(
        path, (DIVISOR, *INFO_COLUMNS)
    ):
        if divisor is None:
            continue
        local, glob, tracked = (values or [] for values in lists)
        if not len(local) == len(glob) == len(tracked) or len(set(local)) < len(local):
            raise SourceError(
                f'{path}: {describe(timestamp, camera)}: the local ids, global ids and tracked '
                'flags do not belong together'
            )
        ids = {one: other for one, other, is_tracked in zip(local, glob, tracked) if is_tracked}
        infos.append(LabelInfo(timestamp, camera, sequence_id or '', ids, len(local) - len(ids)))
    return sorted(infos, key=lambda info: (info.timestamp, info.camera))


def number_objects(infos: Sequence[LabelInfo], path: str) -> Dict[Tuple[str, int], Dict[int, int]]:
    """Numbers 1..n for the tracked objects of each sequence, in order of appearance; within a frame
    by rising global id.

    Args:
        infos: All labels of a segment, in the order of time.
        path: File that they are from; for the error.

    Returns:
        (sequence id, camera) → global id → number.

    Raises:
        SourceError: there are more objects than the maps can number.
    """
    numbers: Dict[Tuple[str, int], Dict[int, int]] = {}
    for info in infos:
        seen = numbers.setdefault((info.sequence_id, info.camera), {})
        for glob in sorted(set(info.ids.values()) - set(seen)):
            seen[glob] = len(seen) + 1
        if len(seen) > MAX_INSTANCE_ID:
            raise SourceError(
                f'{path}: camera {info.camera} has more than {MAX_INSTANCE_ID} objects'
            )
    return numbers


def class_table() -> np.ndarray:
    """Look-up table, shape (29,), uint8: native class → train id, 255 = void."""
    table = np.full(WAYMO.num_classes, STEP.void, np.uint8)
    for native, step in STEP_CLASSES.items():
        table[WAYMO.classes.index(native)] = STEP.classes.index(step)
    return table


def code_table(
    divisor: int, numbers: Dict[int, int], classes: np.ndarray, space: LabelSpace
) -> np.ndarray:
    """Look-up table from the values of a panoptic label to codes.

    Args:
        divisor: Of the label.
        numbers: Local instance id → number of the object; all others get 0.
        classes: Native class → class, shape (29,).
        space: Classes of the codes; only its things keep their number.

    Returns:
        shape (29 * divisor,), uint32: class << 16 | number.
    """
    objects = np.zeros(divisor, np.uint32)
    objects[list(numbers)] = list(numbers.values())
    is_thing = np.isin(classes, space.thing_ids)
    codes = classes.astype(np.uint32)[:, None] << 16 | np.where(
        is_thing[:, None], objects, 0
    )  # (29, divisor)
    return codes.astype(np.uint32).reshape(-1)


def decode_label(data: bytes, divisor: int, numbers: Dict[int, int]) -> np.ndarray:
    """The pixels of a panoptic label, shape (H, W), checked to be indices of `code_table`.

    Raises:
        SourceError: it is not a 16-bit PNG, or divisor, classes or instance ids are out of range.
    """
    label = decode(data, cv2.IMREAD_UNCHANGED)
    if label is None or label.ndim != 2 or label.dtype != np.uint16:
        raise SourceError('the panoptic label is not a readable 16-bit PNG')
    if not divisor or divisor < 1 or any(not 0 <= local < divisor for local in numbers):
        raise SourceError(
            f'the panoptic label has the divisor {divisor}, which does not fit its instance ids'
        )
    largest = int(label.max()) // divisor
    if largest >= WAYMO.num_classes:
        raise SourceError(
            f'the panoptic label holds class {largest}; classes are 0..{WAYMO.num_classes - 1}'
        )
    return label


def draw(label: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A map in STEP encoding, shape (H, W, 3), uint8 BGR, of a label and a `code_table`."""
    # The bytes of a little-endian code class << 16 | number are B, G, R, 0.
    return cv2.cvtColor(
        np.take(table.astype('<u4'), label).view(np.uint8).reshape(*label.shape, 4),
        cv2.COLOR_BGRA2BGR,
    )


def decode(data: Optional[bytes], flags: int) -> Optional[np.ndarray]:
    """An image of its bytes; None where they are none."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None


def describe(timestamp: int, camera: int) -> str:
    return f'timestamp {timestamp}, camera {camera} ({CAMERAS.get(camera, "unknown")})'
