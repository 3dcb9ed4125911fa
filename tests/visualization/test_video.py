"""Pictures and videos of a sequence on disk."""

import cv2
import numpy as np
import pytest

from knet.errors import InputError
from knet.label_space import STEP
from knet.step_format import frame_name
from knet.visualization import SequenceRenderer, VideoWriter
from knet.visualization.video import is_whole_mp4


def frame(number):
    semantic = np.zeros((32, 80), np.uint8)
    instance = np.zeros((32, 80), np.int32)
    semantic[8:24, 5 * number : 5 * number + 20], instance[8:24, 5 * number : 5 * number + 20] = (
        13,
        4,
    )
    return np.full((32, 80, 3), 90, np.uint8), semantic, instance


def test_files_of_two_sequences(tmp_path):
    renderer = SequenceRenderer(tmp_path, STEP)
    for sequence, count in ((2, 5), (7, 3)):
        for number in range(count):
            image, semantic, instance = frame(number)
            truth = (semantic, instance) if sequence == 2 else (None, None)
            renderer.add(
                str(sequence), frame_name(sequence, number), image, semantic, instance, *truth
            )
    renderer.close()
    assert sorted(path.name for path in (tmp_path / 'videos').iterdir()) == ['2.mp4', '7.mp4']
    for name, count, panels in (('2', 5, 3), ('7', 3, 2)):
        video = cv2.VideoCapture(str(tmp_path / 'videos' / f'{name}.mp4'))
        frames = []
        while True:
            ok, picture = video.read()
            if not ok:
                break
            frames.append(picture)
        assert len(frames) == count and frames[0].shape == (panels * (32 * 12 + 24), 960, 3)
    semantic = cv2.imread(str(tmp_path / 'semantic' / '2' / '000002_000001.png'))
    assert semantic[10, 10].tolist() == [142, 0, 0] and semantic.shape == (32, 80, 3)  # BGR
    assert (tmp_path / 'tracks' / '7' / '000007_000002.png').exists()


def test_images_make_no_videos(tmp_path):
    with SequenceRenderer(tmp_path, STEP, fps=0) as renderer:
        renderer.add('ulm', 'ulm_000000_000019', *frame(0), *frame(0)[1:])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*.*')) == [
        'semantic/ulm/ulm_000000_000019.png',
        'tracks/ulm/ulm_000000_000019.png',
    ]


def test_interrupted_sequence_leaves_no_video(tmp_path):
    with pytest.raises(KeyboardInterrupt), SequenceRenderer(tmp_path, STEP) as renderer:
        renderer.add('2', '000002_000000', *frame(0))
        raise KeyboardInterrupt
    assert not list((tmp_path / 'videos').iterdir())


def test_frames_of_another_size_are_fitted_and_no_frames_make_no_file(tmp_path):
    writer = VideoWriter(tmp_path / 'a.mp4', 10)
    writer.close()
    assert not list(tmp_path.iterdir())
    writer.add(np.zeros((32, 32, 3), np.uint8))
    writer.add(np.full((16, 64, 3), 200, np.uint8))
    writer.close()
    capture = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    first, second = capture.read()[1], capture.read()[1]
    assert first.shape == second.shape == (32, 32, 3)
    assert second[2:6, 2:30].mean() > 190 and second[12:].mean() < 10 and first.mean() < 10


def test_a_video_that_was_cut_off_is_no_video(tmp_path):
    writer = VideoWriter(tmp_path / 'a.mp4', 10)
    writer.add(np.zeros((32, 32, 3), np.uint8))
    writer.close()
    data = (tmp_path / 'a.mp4').read_bytes()
    for cut in (len(data) - 1, len(data) // 2, 0):
        (tmp_path / 'b.mp4').write_bytes(data[:cut])
        assert not is_whole_mp4(tmp_path / 'b.mp4')
    assert is_whole_mp4(tmp_path / 'a.mp4')


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='cannot write'):
        VideoWriter(tmp_path / 'file' / 'a.mp4', 10).add(np.zeros((32, 32, 3), np.uint8))
