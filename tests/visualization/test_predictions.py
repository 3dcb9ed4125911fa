"""Pictures of predictions on disk."""
import cv2
import numpy as np
import pytest

from knet.errors import InputError
from knet.label_space import STEP
from knet.step_format import write_panoptic, write_png
from knet.visualization import render_predictions


@pytest.fixture
def folders(tmp_path):
    """Images and ground truth of sequences 2 (frames 0, 1) and 6 (frame 5), with predictions; sizes 8x24."""
    result, split = tmp_path / 'result', tmp_path / 'val'
    semantic, instance = np.zeros((8, 24), np.uint8), np.zeros((8, 24), np.int32)
    semantic[2:7, 4:9], instance[2:7, 4:9] = 13, 300
    for name in ('000002_000000', '000002_000001', '000006_000005'):
        write_png(split / f'{name}_leftImg8bit.png', np.full((8, 24, 3), 90, np.uint8))
        write_panoptic(split / f'{name}_panoptic.png', semantic, instance)
        write_panoptic(result / 'panoptic' / str(int(name[:6])) / f'{name}.png', semantic, instance)
    return result, split, tmp_path / 'out'


def draw(folders, **options):
    return render_predictions(*folders, STEP, progress=False, **options)


def height(path):
    return int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_HEIGHT))


def test_all_sequences(folders):
    out = folders[2]
    written = draw(folders)
    names = [path.relative_to(out).as_posix() for path in written]
    assert names == ['semantic/2/000002_000000.png', 'tracks/2/000002_000000.png', 'semantic/2/000002_000001.png',
                     'tracks/2/000002_000001.png', 'videos/000002.mp4',
                     'semantic/6/000006_000005.png', 'tracks/6/000006_000005.png', 'videos/000006.mp4']
    assert sorted(written) == sorted(path for path in out.rglob('*') if path.is_file())


def test_chosen_sequences_only(folders):
    written = draw(folders, sequences=[6])
    assert len(written) == 3 and all('000006' in path.name for path in written)
    assert not (folders[2] / 'videos' / '000002.mp4').exists()


def test_a_split_without_ground_truth_has_two_panels(folders):
    for path in folders[1].glob('000006*_panoptic.png'):
        path.unlink()
    draw(folders)
    assert 2 * height(folders[2] / 'videos' / '000002.mp4') == 3 * height(folders[2] / 'videos' / '000006.mp4')


@pytest.mark.parametrize('missing, words', [
    ('result/panoptic/2/000002_000001.png', 'sequence 2, frame 1: there is no prediction'),
    ('val/000006_000005_leftImg8bit.png', 'sequence 6: .*000006_000005.png has no image'),
])
def test_a_missing_file_is_named_before_anything_is_drawn(folders, tmp_path, missing, words):
    (tmp_path / missing).unlink()
    with pytest.raises(InputError, match=words):
        draw(folders)
    assert not folders[2].exists()


def test_wrong_folders_and_sequences(folders, tmp_path):
    result, split, out = folders
    (tmp_path / 'empty').mkdir()
    for result_path, split_folder, sequences, words in (
            (tmp_path / 'nothing', split, None, 'holds no predictions'), (result, tmp_path / 'empty', None, 'holds no images'),
            (result, tmp_path / 'nothing', None, 'not a folder'), (result, split, [7], 'sequence 7'),
            (result, split, [], 'nothing to draw')):
        with pytest.raises(InputError, match=words):
            render_predictions(result_path, split_folder, out, STEP, sequences, progress=False)
    assert not out.exists()


def test_another_size_is_named_and_no_video_lacks_frames(folders):
    wrong = np.zeros((8, 20), np.uint8)
    write_panoptic(folders[0] / 'panoptic' / '2' / '000002_000001.png', wrong, wrong)
    with pytest.raises(InputError, match='sequence 2, frame 1: .*size'):
        draw(folders)
    assert not any((folders[2] / 'videos').iterdir())
