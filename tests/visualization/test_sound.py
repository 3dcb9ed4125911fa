"""The sound of videos: whether it is there, and whether it is where it belongs."""

import subprocess

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from knet.visualization import VideoWriter
from knet.visualization.sound import has_sound

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
RATE = 8000


@pytest.fixture(scope='module')
def beep(tmp_path_factory):
    """Four seconds of sound: silence, and a tone from 2.0 to 2.5 s."""
    path = tmp_path_factory.mktemp('sound') / 'beep.wav'
    tone = "aevalsrc='if(between(t,2,2.5),sin(2*PI*440*t),0)':duration=4:sample_rate=16000"
    subprocess.run([FFMPEG, '-loglevel', 'error', '-f', 'lavfi', '-i', tone, path], check=True)
    return path


def write(path, count, fps, **sound):
    writer = VideoWriter(path, fps, **sound)
    for number in range(count):
        writer.add(np.full((32, 48, 3), 5 * number, np.uint8))
    writer.close()
    return writer


def listen(path):
    """Loudness of a file's sound, RATE values per second."""
    command = [FFMPEG, '-loglevel', 'error', '-i', path, '-ac', '1', '-ar', str(RATE)]
    data = subprocess.run([*command, '-f', 's16le', '-'], check=True, capture_output=True).stdout
    return np.abs(np.frombuffer(data, '<i2').astype(int))


def frames_of(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            return frames
        frames.append(frame)


@pytest.mark.parametrize('start, first', [(0.0, 2.0), (1.25, 0.75)])
def test_sound_begins_where_the_video_does(tmp_path, beep, start, first):
    writer = write(tmp_path / 'a.mp4', 30, 10, sound=beep, sound_start=start)
    assert writer.has_sound and has_sound(tmp_path / 'a.mp4')
    loud = np.flatnonzero(listen(tmp_path / 'a.mp4') > 2000)
    assert loud[0] / RATE == pytest.approx(first, abs=0.03)
    assert loud[-1] / RATE == pytest.approx(first + 0.5, abs=0.03)


def test_sound_ends_with_the_video_whose_pictures_stay(tmp_path, beep):
    write(tmp_path / 'with.mp4', 10, 10, sound=beep)
    write(tmp_path / 'without.mp4', 10, 10)
    assert len(listen(tmp_path / 'with.mp4')) / RATE == pytest.approx(1, abs=0.15)
    frames = frames_of(tmp_path / 'with.mp4')
    assert len(frames) == 10 and np.array_equal(frames, frames_of(tmp_path / 'without.mp4'))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['with.mp4', 'without.mp4']


def test_files_without_sound(tmp_path):
    write(tmp_path / 'silent.mp4', 3, 10)
    (tmp_path / 'Audio: no.mp4').write_text('Stream #0:0: Audio: aac')
    for source in ('silent.mp4', 'Audio: no.mp4', 'missing.mp4'):
        assert not has_sound(tmp_path / source)
        writer = write(tmp_path / 'b.mp4', 3, 10, sound=tmp_path / source)
        assert not writer.has_sound and len(frames_of(tmp_path / 'b.mp4')) == 3


def test_sound_that_cannot_be_used_is_a_warning(tmp_path, beep, monkeypatch):
    monkeypatch.setattr('knet.visualization.sound.AAC', ('-c:a', 'no-such-codec'))
    with pytest.warns(UserWarning, match='a.mp4 has no sound: .*Encoder not found'):
        writer = write(tmp_path / 'a.mp4', 3, 10, sound=beep)
    assert not writer.has_sound and len(frames_of(tmp_path / 'a.mp4')) == 3
    assert [path.name for path in tmp_path.iterdir()] == ['a.mp4']


@pytest.mark.parametrize('fps', [30000 / 1001, 30000 / 1001 / 4, 0.25, 7])
def test_frames_per_second_are_kept_exactly(tmp_path, fps):
    """To two places only, sound and pictures of an hour would end 1.2 seconds apart."""
    write(tmp_path / 'a.mp4', 3, fps)
    capture = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-5)
