"""Waymo: from Parquet files to the STEP layout."""

import io
import json
import sys

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from prepare_waymo import Options, prepare_waymo
from waymo_parquet import (
    DIVISOR,
    IMAGE,
    INFO_COLUMNS,
    PANOPTIC,
    LabelInfo,
    SourceError,
    class_table,
    number_objects,
    read_rows,
)

from knet.errors import InputError
from knet.evaluation import evaluate_folders
from knet.label_space import STEP, WAYMO
from knet.step_format import read_panoptic, read_png, scan_split, write_panoptic
from tests.conftest import assert_one_line_error, run
from tests.datasets.sources import SIZE, street, tree, write_waymo


@pytest.fixture
def download(tmp_path):
    write_waymo(tmp_path / 'download')
    return tmp_path / 'download'


def run_script(download, *args):
    return run(
        sys.executable, 'datasets/prepare_waymo.py', download, download.parent / 'out', *args
    )


def change(path, column, row, value):
    """Replace a value in a Parquet file."""
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    index = table.schema.names.index(column)
    field = table.schema.field(index)
    pq.write_table(
        table.set_column(index, field, pa.array(values, field.type)), path, row_group_size=5
    )


def test_frames_classes_and_ids(download, tmp_path):
    before = tree(download)
    plans = prepare_waymo(download, tmp_path / 'out', Options())
    assert [(plan.groups, plan.complete(), plan.problems) for plan in plans] == [
        (12, 24, []),
        (6, 12, []),
    ]
    assert plans[0].notes == {'objects in single images without a track: instance id 0': 24}
    found = scan_split(tmp_path / 'out/video_sequence/train')
    assert {sequence: list(frames) for sequence, frames in found.items()} == {
        10 * number + camera: [0, 1, 2] if number % 2 else [0]
        for number in (1, 2, 3, 4)
        for camera in (1, 2, 4)
    }
    for sequence, time in (
        (11, 1),
        (32, 1),
        (24, 4),
        (44, 4),
    ):  # frame 0 of each: label time 1, or 4 of the second sequence
        size = SIZE if sequence % 10 < 4 else (48, 128)
        picture, semantic, instance = street(time, size)
        semantic[36:40, :8] = 14  # the truck, which is stuff here
        files = found[sequence][0]
        got = read_panoptic(files['panoptic'])
        assert np.array_equal(got[0], semantic)
        # In order of rising global ids: car 900 + camera, person 50000.
        assert set(zip(instance.ravel(), got[1].ravel())) == {(0, 0), (7, 1), (300, 2)}
        jpeg = cv2.imdecode(cv2.imencode('.jpg', picture)[1], cv2.IMREAD_COLOR)
        assert np.array_equal(read_png(files['leftImg8bit']), jpeg)
    assert tree(download) == before


def test_images_lie_as_their_maps_whatever_the_camera_noted(tmp_path, monkeypatch):
    encode = cv2.imencode

    def encode_turned(ending, picture):
        done, data = encode(ending, picture)
        if ending == '.jpg':
            exif, file = Image.Exif(), io.BytesIO()
            exif[0x0112] = 6
            Image.open(io.BytesIO(data.tobytes())).save(file, 'JPEG', exif=exif.tobytes())
            data = np.frombuffer(file.getvalue(), np.uint8)
        return done, data

    monkeypatch.setattr(cv2, 'imencode', encode_turned)
    write_waymo(tmp_path / 'download')
    monkeypatch.undo()
    prepare_waymo(tmp_path / 'download', tmp_path / 'out', Options(cameras=(1,)), ['val'])
    for frames in scan_split(tmp_path / 'out/video_sequence/val').values():
        for files in frames.values():
            assert read_png(files['leftImg8bit']).shape[:2] == SIZE
            assert read_panoptic(files['panoptic'])[0].shape == SIZE


def test_ids_stay_the_same_over_time(download, tmp_path):
    prepare_waymo(download, tmp_path / 'out', Options(), ['val'])
    for frames in scan_split(tmp_path / 'out/video_sequence/val').values():
        for files in frames.values():
            semantic, instance = read_panoptic(files['panoptic'])
            assert set(instance[semantic == 13]) == {1} and set(instance[semantic == 11]) == {2}
            assert set(instance[(semantic != 13) & (semantic != 11)]) == {0}


def test_table_of_sequences(download, tmp_path):
    prepare_waymo(download, tmp_path / 'out', Options(cameras=(2,)), ['train'])
    rows = json.loads((tmp_path / 'out' / 'sequences_train.json').read_text())
    assert [
        (row['sequence'], row['segment'], row['camera_name'], row['timestamps']) for row in rows
    ] == [
        (12, '111_a', 'front-left', [1000, 2000, 3000]),
        (22, '111_a', 'front-left', [4000]),
        (32, '222_b', 'front-left', [1000, 2000, 3000]),
        (42, '222_b', 'front-left', [4000]),
    ]


def test_class_map():
    mapped = {
        WAYMO.classes[native]: STEP.classes[step]
        for native, step in enumerate(class_table())
        if step != 255
    }
    assert mapped == {
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


def test_objects_are_numbered_by_appearance_in_their_sequence():
    infos = [
        LabelInfo(1, 1, 'a', {5: 70, 6: 60}, 0),
        LabelInfo(1, 2, 'a', {1: 80}, 0),
        LabelInfo(2, 1, 'a', {9: 50, 8: 60}, 1),
        LabelInfo(3, 1, 'b', {1: 50}, 0),
    ]
    assert number_objects(infos, 'file') == {
        ('a', 1): {60: 1, 70: 2, 50: 3},
        ('a', 2): {80: 1},
        ('b', 1): {50: 1},
    }
    with pytest.raises(SourceError, match='more than 65535 objects'):
        number_objects([LabelInfo(1, 1, 'a', {local: local for local in range(65536)}, 0)], 'file')


def test_weighted_stq_of_native_classes(download, tmp_path):
    out = tmp_path / 'out'
    prepare_waymo(download, out, Options(native_classes=True, camera_coverage=True), ['val'])
    for sequence, frames in scan_split(out / 'native_classes' / 'val').items():
        for frame, files in frames.items():
            semantic, instance = read_panoptic(files['panoptic'])
            assert set(np.unique(semantic)) == {0, 2, 3, 9, 20, 25} and set(
                instance[semantic == 3]
            ) == {0}
            coverage = read_png(
                out / f'camera_coverage/val/{sequence}/{sequence:06d}_{frame:06d}.png'
            )
            assert (
                coverage.dtype == np.uint8
                and coverage.shape == semantic.shape
                and (coverage == sequence % 10).all()
            )
            semantic[semantic == 2] = 9  # all cars are taken for people
            write_panoptic(
                tmp_path / f'result/panoptic/{sequence}/{sequence:06d}_{frame:06d}.png',
                semantic,
                instance,
            )
    result = evaluate_folders(
        tmp_path / 'result',
        out / 'native_classes' / 'val',
        'waymo',
        coverage=out / 'camera_coverage' / 'val',
        progress=False,
    )
    assert result['weighted'] and result['num_frames'] == 12
    assert (
        result['stq']['AQ'] == 1 and result['stq']['num_tubes'] == 12
    )  # each car as a whole, whatever it is called
    assert result['stq']['iou_per_class'][2] == 0 and result['stq']['iou_per_class'][20] == 1


def test_cameras_cap_and_growth(download, tmp_path):
    args = download, tmp_path / 'out', Options(cameras=(1, 2))
    plans = prepare_waymo(*args, max_frames=(4, 3))
    assert [plan.complete() for plan in plans] == [4, 3]
    train = tmp_path / 'out/video_sequence/train'
    assert {sequence: list(frames) for sequence, frames in scan_split(train).items()} == {
        11: [0, 1, 2],
        12: [0],
    }
    write_waymo(
        download, {'training': ['000_new']}
    )  # sorts before the others, and is numbered after them
    assert [plan.complete() for plan in prepare_waymo(*args, max_frames=(100,))] == [24, 8]
    rows = json.loads((tmp_path / 'out' / 'sequences_train.json').read_text())
    assert [(row['sequence'], row['segment']) for row in rows][:3] == [
        (11, '111_a'),
        (12, '111_a'),
        (21, '000_new'),
    ]
    with pytest.raises(InputError, match='holds files that this run would not write'):
        prepare_waymo(*args, max_frames=(4,))
    with pytest.raises(
        InputError,
        match='--max-frames takes one number for all splits, or one for each of train, val; got 3',
    ):
        prepare_waymo(*args, max_frames=(4, 5, 6))


def test_jpegs_kept_as_they_are(download, tmp_path):
    prepare_waymo(download, tmp_path / 'out', Options(cameras=(4,), keep_jpeg=True), ['val'])
    files = scan_split(tmp_path / 'out/video_sequence/val')[14][1]
    path = download / 'validation/camera_image/333_c.parquet'
    (expected,) = (values[0] for _, values in read_rows(path, [IMAGE], {(2000, 4)}))
    assert (
        files['leftImg8bit'].name == '000014_000001_leftImg8bit.jpg'
        and files['leftImg8bit'].read_bytes() == expected
    )
    assert read_png(files['leftImg8bit']).shape == (48, 128, 3)
    twin = files['leftImg8bit'].with_suffix('.png')
    twin.touch()
    with pytest.raises(
        InputError,
        match='two images of a frame, 000014_000001_leftImg8bit.jpg and '
        '000014_000001_leftImg8bit.png',
    ):
        scan_split(twin.parent)
    files['leftImg8bit'].write_bytes(expected[:-100])
    with pytest.raises(InputError, match='leftImg8bit.jpg is not a readable image'):
        read_png(files['leftImg8bit'])


def test_only_wanted_row_groups_are_read(download, monkeypatch):
    groups = []
    plain = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        'iter_batches',
        lambda self, size, row_groups, *args, **more: (
            groups.extend(row_groups),
            plain(self, size, row_groups, *args, **more),
        )[1],
    )
    rows = list(
        read_rows(download / 'training/camera_image/111_a.parquet', [IMAGE], {(1000, 1), (4000, 2)})
    )
    assert [key for key, _ in rows] == [(1000, 1), (4000, 2)] and groups == [
        0,
        2,
    ]  # of 18 rows in groups of 5


def test_truncated_files(download):
    path = download / 'training/camera_image/222_b.parquet'
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = run_script(download)
    assert_one_line_error(
        done, '1 problem', f'train: {path} is not a readable Parquet file', 'download it again'
    )
    assert len(scan_split(download.parent / 'out/video_sequence/train')) == 6
    path.write_bytes(whole)
    assert run_script(download).returncode == 0
    assert len(scan_split(download.parent / 'out/video_sequence/train')) == 12
    path = download / 'validation/camera_segmentation/333_c.parquet'
    path.write_bytes(b'')
    assert_one_line_error(run_script(download), f'{path} is not a readable Parquet file')


def test_damage_within_a_file(download, tmp_path):
    labels, images = (
        download / f'training/{part}/111_a.parquet'
        for part in ('camera_segmentation', 'camera_image')
    )
    change(
        labels, PANOPTIC, 3, cv2.imencode('.png', np.full(SIZE, 29 * 1001, np.uint16))[1].tobytes()
    )
    change(labels, DIVISOR, 4, 5)
    change(labels, PANOPTIC, 5, cv2.imencode('.png', np.zeros((9, 9), np.uint16))[1].tobytes())
    change(images, IMAGE, 6, b'\xff\xd8 no image')
    (download / 'training/camera_image/222_b.parquet').rename(tmp_path / 'away')
    train = prepare_waymo(download, tmp_path / 'out', Options(), ['train'])[0]
    assert train.problems[0] == (
        'segment 222_b has labels but no images; '
        f'{download}/training/camera_image/222_b.parquet is missing'
    )
    for problem, words in zip(
        train.problems[1:],
        (
            ('timestamp 1000, camera 1 (front)', 'class 29; classes are 0..28'),
            ('camera 2 (front-left)', 'divisor 5'),
            ('camera 4 (side-left)', 'size (9, 9), its image (48, 128)'),
            ('timestamp 2000, camera 1', 'not a readable JPEG'),
        ),
    ):
        assert 'segment 111_a' in problem and all(word in problem for word in words), problem
    assert len(train.problems) == 5 and train.complete() == 8
    (tmp_path / 'away').rename(download / 'training/camera_image/222_b.parquet')
    assert (
        prepare_waymo(download, tmp_path / 'out', Options(), ['train'])[0].complete() == 20
    )  # with the same numbers


def test_lists_that_do_not_belong_together_and_other_files(download, tmp_path):
    labels = download / 'training/camera_segmentation/111_a.parquet'
    change(labels, INFO_COLUMNS[2], 6, [1])
    with pytest.raises(InputError, match='timestamp 2000, camera 1 .*do not belong together'):
        prepare_waymo(download, tmp_path / 'out', Options())
    labels.write_bytes((download / 'training/camera_image/111_a.parquet').read_bytes())
    with pytest.raises(
        InputError,
        match='111_a.parquet has no column '
        '.CameraSegmentationLabelComponent..panoptic_label_divisor',
    ):
        prepare_waymo(download, tmp_path / 'out', Options())
    assert not (tmp_path / 'out').exists()


def test_mistyped_path_and_other_table(download):
    assert_one_line_error(
        run_script(download / 'training'),
        f'{download}/training/training/camera_segmentation is not a folder',
    )
    out = download.parent / 'out'
    out.mkdir(exist_ok=True)
    (out / 'sequences_train.json').write_text('[{"a": 1}]')
    with pytest.raises(InputError, match='sequences_train.json was not written by this script'):
        prepare_waymo(download, out, Options())


def test_killed_run_goes_on(tmp_path, kill_halfway):
    write_waymo(tmp_path / 'download', {'training': [f'{number}_a' for number in range(12)]})
    args = tmp_path / 'download', tmp_path / 'out', '--splits', 'train'
    assert 4 <= kill_halfway(tmp_path / 'out', 'prepare_waymo', *args) < 288
    for out in ('out', 'whole'):
        assert (
            prepare_waymo(tmp_path / 'download', tmp_path / out, Options(), ['train'])[0].complete()
            == 144
        )
    assert tree(tmp_path / 'out') == tree(tmp_path / 'whole')


def test_training_on_it(download, tmp_path, train_and_validate):
    prepare_waymo(download, tmp_path / 'out', Options(cameras=(1, 4)), max_frames=(4,))
    losses, figures = train_and_validate(tmp_path / 'out')
    assert len(losses) == 2 and 0 <= figures['STQ'] <= 1
