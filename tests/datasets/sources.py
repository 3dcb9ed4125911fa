"""Small downloads with the structure of the real ones: KITTI tracking with KITTI-STEP, Cityscapes,
the Waymo Open Dataset v2."""

import json
from pathlib import Path
from typing import Dict, List, Tuple

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from waymo_parquet import CAMERA, COVERAGE, DIVISOR, IMAGE, INFO_COLUMNS, PANOPTIC, TIMESTAMP

from knet.step_format import write_panoptic, write_png

SIZE = (64, 128)


def street(time: int, size: Tuple[int, int] = SIZE) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, (H, W, 3) BGR, and its train ids and instance ids: sky, road, a driving car 7, a
    walking person 300, void."""
    semantic, instance = np.full(size, 10, np.uint8), np.zeros(size, np.int32)
    semantic[size[0] // 2 :] = 0
    (
        semantic[30:44, 10 + 6 * time : 50 + 6 * time],
        instance[30:44, 10 + 6 * time : 50 + 6 * time],
    ) = 13, 7
    (
        semantic[20:44, 100 - 4 * time : 110 - 4 * time],
        instance[20:44, 100 - 4 * time : 110 - 4 * time],
    ) = 11, 300
    semantic[-6:], instance[-6:] = 255, 0
    colours = np.random.default_rng(0).integers(0, 255, (256, 3), np.uint8)
    return colours[semantic], semantic, instance


def write_kitti(root: Path, frames: int = 4, maps: str = 'panoptic_maps/{split}') -> None:
    """Sequences 0 (train) and 2 (val) with maps, and sequence 1 of the test images."""
    for split, sequence in (('train', 0), ('val', 2)):
        for frame in range(frames):
            picture, semantic, instance = street(frame)
            write_png(root / f'kitti/training/image_02/{sequence:04d}/{frame:06d}.png', picture)
            write_panoptic(
                root / 'kitti-step' / maps.format(split=split) / f'{sequence:04d}/{frame:06d}.png',
                semantic,
                instance,
            )
    write_png(root / 'kitti/testing/image_02/0001/000003.png', street(0)[0])


def write_cityscapes(
    root: Path,
    names: Tuple[str, ...] = (
        'train/aachen/aachen_000000_000019',
        'train/aachen/aachen_000001_000019',
        'train/ulm/ulm_000000_000019',
        'val/lindau/lindau_000000_000019',
    ),
) -> None:
    """Images with polygons: sky, road, two cars, a group of cars, a person, a rider, a trailer, a
    deleted bus, a licence plate."""

    def box(label: str, top: int, left: int, bottom: int, right: int, **more) -> Dict:
        return dict(
            label=label,
            polygon=[[left, top], [right, top], [right, bottom], [left, bottom]],
            **more,
        )

    objects = [
        box('sky', 0, 0, 31, 127),
        box('road', 32, 0, 57, 127),
        box('car', 30, 10, 43, 29),
        box('cargroup', 30, 70, 43, 79),
        box('car', 30, 40, 43, 59),
        box('person', 20, 100, 43, 109),
        box('rider', 20, 112, 43, 117),
        box('trailer', 20, 120, 43, 125),
        box('bus', 0, 0, 20, 20, deleted=1),
        box('license plate', 40, 15, 41, 18),
    ]
    for name in names:
        write_png(root / f'leftImg8bit/{name}_leftImg8bit.png', street(0)[0])
        path = root / f'gtFine/{name}_gtFine_polygons.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(imgHeight=SIZE[0], imgWidth=SIZE[1], objects=objects)))


NATIVE = {0: 20, 10: 25, 11: 9, 13: 2, 255: 0}
"""Train ids of `street` → native Waymo classes."""


def waymo_label(time: int, camera: int, size: Tuple[int, int], divisor: int) -> Dict:
    """The label columns of an image. The local ids of an object differ from image to image; a truck
    is not tracked."""
    _, semantic, instance = street(time, size)
    local_car, local_person = 1 + time, 40 - time
    native = np.vectorize(NATIVE.get)(semantic).astype(np.uint16)
    native[36:40, :8] = 3
    local = np.select(
        [instance == 7, instance == 300, native == 3], [local_car, local_person, 77]
    ).astype(np.uint16)
    return {
        PANOPTIC: cv2.imencode('.png', native * np.uint16(divisor) + local)[1].tobytes(),
        DIVISOR: divisor,
        COVERAGE: cv2.imencode('.png', np.full(size, camera, np.uint8))[1].tobytes(),
        INFO_COLUMNS[1]: [local_car, local_person, 77],
        INFO_COLUMNS[2]: [900 + camera, 50000, 123 + time],
        INFO_COLUMNS[3]: [True, True, False],
    }


def write_waymo(
    root: Path,
    segments: Dict[str, List[str]] = {  # noqa: B006
        'training': ['111_a', '222_b'],
        'validation': ['333_c'],
    },
    times: int = 6,
) -> None:
    """Segments of `times` images of cameras 1, 2 and 4. Labelled: time 1 to 4 of each, the last of
    them as another sequence.

    Time 0 has rows without labels, time 5 no rows.
    """
    text, long, byte, bytes_, ids = (
        pa.string(),
        pa.int64(),
        pa.int8(),
        pa.binary(),
        pa.list_(pa.int32()),
    )
    key = [('index', text), ('key.segment_context_name', text), (TIMESTAMP, long), (CAMERA, byte)]
    image_schema = pa.schema(
        [
            *key,
            (IMAGE, bytes_),
            ('[CameraImageComponent].pose.transform', pa.list_(pa.float64())),
            ('[CameraImageComponent].rolling_shutter_params.shutter', pa.float64()),
        ]
    )
    label_schema = pa.schema(
        [
            *key,
            (DIVISOR, pa.int32()),
            (PANOPTIC, bytes_),
            (INFO_COLUMNS[1], ids),
            (INFO_COLUMNS[2], ids),
            (INFO_COLUMNS[3], pa.list_(pa.bool_())),
            (INFO_COLUMNS[0], text),
            (COVERAGE, bytes_),
        ]
    )
    for split, names in segments.items():
        for name in names:
            images, labels = [], []
            for time in range(times):
                for camera in (1, 2, 4):
                    size = SIZE if camera < 4 else (48, 128)
                    row = {
                        'index': f'{name};{time};{camera}',
                        'key.segment_context_name': name,
                        TIMESTAMP: 1000 * time,
                        CAMERA: camera,
                    }
                    images.append(
                        {
                            **row,
                            IMAGE: cv2.imencode('.jpg', street(time, size)[0])[1].tobytes(),
                            '[CameraImageComponent].pose.transform': [1.0] * 16,
                        }
                    )
                    if time == 0:
                        labels.append(row)
                    if 1 <= time <= 4:
                        sequence_id = f'{name}_{time // 4}'
                        labels.append(
                            {
                                **row,
                                **waymo_label(time, camera, size, 1000 + time),
                                INFO_COLUMNS[0]: sequence_id,
                            }
                        )
            for part, rows, schema in (
                ('camera_image', images, image_schema),
                ('camera_segmentation', labels, label_schema),
            ):
                path = root / split / part / f'{name}.parquet'
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=5)


def tree(root: Path) -> Dict[str, bytes]:
    """Relative path → content of all files."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }
