"""tools/misc/browse_dataset.py on frames drawn by hand."""

import numpy as np
import pytest

from knet.errors import InputError
from knet.step_format import read_png, write_depth, write_panoptic, write_png
from knet.visualization import colour_depth, track_colours
from knet.visualization.layout import LINE_HEIGHT
from knet.visualization.video import PANEL_WIDTH
from tests.conftest import ROOT

CONFIG = """
_base_ = r'{root}/configs/det/{base}'
data = dict(
    root=r'{data}', train=dict(scale=(8, 8), ratio_range=(1, 1), crop_size=(8, 8), flip_ratio=0))
"""
SCALE = PANEL_WIDTH // 64  # frames of 8x8 are padded to 32x64


def frame_of(picture, index=0):
    """Middle pixel (RGB) of each of the 32x64 pixels of panel `index`; panels that are not wide
    stand beside each other."""
    panel = picture[LINE_HEIGHT:, index * PANEL_WIDTH : (index + 1) * PANEL_WIDTH, ::-1]
    return panel[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE].astype(int)


def draw(folder, frame, car_column):
    """Grey road; car 7, three pixels wide; a crowd of persons in the last row but one; void
    below."""
    semantic, instance = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.int32)
    semantic[2:4, car_column : car_column + 3], instance[2:4, car_column : car_column + 3] = 13, 7
    semantic[6], semantic[7] = 11, 255
    write_png(
        f'{folder}/000003_{frame:06d}_leftImg8bit.png', np.full((8, 8, 3), (60, 80, 100), np.uint8)
    )
    write_panoptic(f'{folder}/000003_{frame:06d}_panoptic.png', semantic, instance)


@pytest.fixture
def step_config(tmp_path):
    for frame, column in ((0, 0), (1, 4)):
        draw(tmp_path / 'video_sequence/train', frame, column)
    path = tmp_path / 'config.py'
    path.write_text(
        CONFIG.format(root=ROOT, base='toy_step/video_knet_s3_r18_toy_step.py', data=tmp_path)
    )
    return path


def test_an_object_has_its_colour_in_both_frames(tool, step_config, tmp_path):
    out = tool('misc/browse_dataset', step_config, '--out', tmp_path / 'out')
    assert f'pictures: {tmp_path}/out' in out
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        '000003_000000.png',
        '000003_000001.png',
    ]
    picture = read_png(tmp_path / 'out/000003_000000.png')
    key, reference = frame_of(picture), frame_of(picture, 1)
    car = 0.4 * np.array([100, 80, 60]) + 0.6 * track_colours(
        np.array(7)
    )  # draw_tracks: opacity 0.6; the image was BGR
    crowd = 0.4 * np.array([100, 80, 60]) + 0.6 * np.array([220, 20, 60])
    for pixels, columns in ((key, (0, 2)), (reference, (4, 6))):
        assert (
            abs(pixels[3, list(columns)] - car).max() <= 1 and abs(pixels[6, 3] - crowd).max() <= 1
        )
        assert (
            abs(
                pixels[5, 3] - (0.7 * np.array([100, 80, 60]) + 0.3 * np.array([128, 64, 128]))
            ).max()
            <= 1
        )
    assert (key[3, 5] != key[3, 1]).any()


def test_boxes_and_void(tool, step_config, tmp_path):
    tool('misc/browse_dataset', step_config, '--out', tmp_path / 'out', '--number', 1)
    panel = read_png(tmp_path / 'out/000003_000000.png')[LINE_HEIGHT:, :PANEL_WIDTH, ::-1]
    # the box of the car is columns 0 to 2, rows 2 and 3
    assert (panel[2 * SCALE, 1 : 3 * SCALE - 1] == track_colours(np.array(7))).all()
    panel = panel[:, : 8 * SCALE]  # without the padding, which is void too
    hatched = (panel[7 * SCALE : 8 * SCALE - 1] == 160).all(-1)
    assert (
        0.2 < hatched.mean() < 0.3 and not (panel[4 * SCALE + 2 : 5 * SCALE] == 160).all(-1).any()
    )


def test_depth_stands_below_the_frame(tool, step_config, tmp_path):
    for frame in range(2):
        depth = np.full((8, 8), 80.0)
        depth[:4] = 0
        write_depth(tmp_path / f'video_sequence/train/000003_{frame:06d}_depth.png', depth)
    options = ('--number', 1, '--cfg-options', 'data.train.with_depth=True')
    tool('misc/browse_dataset', step_config, '--out', tmp_path / 'out', *options)
    picture = read_png(tmp_path / 'out/000003_000000.png')[LINE_HEIGHT:, :PANEL_WIDTH, ::-1]
    below = picture[32 * SCALE :][SCALE // 2 :: SCALE, SCALE // 2 :: SCALE]
    red, black = colour_depth(np.array([[80.0, 0]]))[0]
    assert (below[:4, :8] == black).all() and (below[4:8, :8] == red).all()


def test_images_without_videos(tool, tmp_path):
    name = 'aachen_000001_000019'
    semantic, instances = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint16)
    semantic[:3, :3], instances[:3, :3] = 13, 13000
    write_png(
        tmp_path / f'leftImg8bit/train/aachen/{name}_leftImg8bit.png', np.zeros((8, 8, 3), np.uint8)
    )
    write_png(tmp_path / f'gtFine/train/aachen/{name}_gtFine_labelTrainIds.png', semantic)
    write_png(tmp_path / f'gtFine/train/aachen/{name}_gtFine_instanceTrainIds.png', instances)
    config = tmp_path / 'config.py'
    config.write_text(
        CONFIG.format(root=ROOT, base='knet_cityscapes_step/knet_s3_r50_fpn.py', data=tmp_path)
    )
    tool('misc/browse_dataset', config, '--out', tmp_path / 'out')
    picture = read_png(tmp_path / 'out' / f'{name}.png')
    assert picture.shape == (PANEL_WIDTH // 2 + LINE_HEIGHT, PANEL_WIDTH, 3)
    assert abs(frame_of(picture)[0, 0] - 0.6 * track_colours(np.array(1))).max() <= 1


def test_bad_input(tool, step_config):
    with pytest.raises(InputError, match='/val does not exist; .* holds the splits train;'):
        tool('misc/browse_dataset', step_config, '--split', 'val')
    with pytest.raises(InputError, match='--number must be at least 1, got 0'):
        tool('misc/browse_dataset', step_config, '--number', 0)
