"""Sources of videos: which frames come, from where, at what time, in what size."""

import subprocess

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from knet.apis import VideoSource
from knet.apis.images import parse_size
from knet.apis.sources import parse_moment
from knet.errors import InputError
from knet.step_format import write_png
from knet.visualization import VideoWriter

SIZE = (48, 64)
FPS = 12.5


def grey(number):
    """A frame that shows its number, by how bright it is."""
    return np.full((*SIZE, 3), 20 + 4 * number, np.uint8)


def number_of(image):
    return round((float(image.mean()) - 20) / 4)


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """40 frames at 12.5 per second, 3.2 seconds."""
    path = tmp_path_factory.mktemp('video') / 'drive.mp4'
    writer = VideoWriter(path, FPS)
    for number in range(40):
        writer.add(grey(number))
    writer.close()
    return path


def shown(source):
    """Numbers that the frames of a source show; they agree with those that it says."""
    frames = list(source)
    shown_numbers = [number_of(frame.image) for frame in frames]
    assert shown_numbers == [frame.number for frame in frames]
    return shown_numbers


@pytest.mark.parametrize(
    'options, expected',
    [
        ({}, range(40)),
        (dict(start=7), range(7, 40)),
        (dict(end=5), range(5)),
        (dict(start=3, end=31, stride=7), range(3, 31, 7)),
        (dict(stride=39), (0, 39)),
        (dict(start='2s'), range(25, 40)),  # frame 25 is the one at 2 seconds
        (dict(start='2.01s', end='0:00:02.5'), range(26, 32)),  # 2.08 to 2.48
        (dict(start='0:01', end='1.5s', stride=2), range(13, 19, 2)),  # 1.04 to 1.44
        (dict(start='10', end='100'), range(10, 40)),
        (dict(start=39, end=40), (39,)),
    ],
)
def test_parts_of_a_video_are_exact(video, options, expected):
    source = VideoSource(video, **options)
    assert source.length == len(expected) and shown(source) == list(expected)


def test_frames_of_a_video_are_decoded_once(video, monkeypatch):
    """Only those that are asked for become images, and none of them twice."""
    calls = []

    class Capture:
        def __init__(self, source):
            self.capture = real(source)

        def __getattr__(self, name):
            calls.append(name)
            return getattr(self.capture, name)

    real = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', Capture)
    assert shown(VideoSource(video, start=10, end=20, stride=5)) == [10, 15]
    assert calls.count('retrieve') == 2 and calls.count('grab') <= 21
    assert not {'read', 'set'} & set(calls) and calls[-1] == 'release'


def test_what_a_video_says_of_itself(video):
    source = VideoSource(str(video))
    assert source.reader.fps == FPS and source.length == 40 and source.reader.sequence == 0
    frames = list(source)
    assert [frame.seconds for frame in frames] == pytest.approx([n / FPS for n in range(40)])
    assert frames[12].name == '000000_000012' and frames[12].file is None
    assert len(list(source)) == 40  # it can be read again


def test_times_of_a_video_whose_rate_varies(tmp_path):
    """20 frames per second in the first second, 5 in the second one."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), '-loglevel', 'error', '-f', 'lavfi']
    command += ['-i', 'testsrc=size=64x48:rate=20:duration=2', '-fps_mode', 'vfr']
    command += ['-vf', "select='lt(n,20)+not(mod(n,4))'", str(tmp_path / 'phone.mp4')]
    subprocess.run(command, check=True)
    expected = [n / 20 for n in (*range(20), 20, 24, 28, 32, 36)]
    times = [frame.seconds for frame in VideoSource(tmp_path / 'phone.mp4')]
    assert times == pytest.approx(expected, abs=1e-3)
    late = VideoSource(tmp_path / 'phone.mp4', start='1.1s')
    assert [frame.number for frame in late] == [21, 22, 23, 24]


def test_videos_of_phones_are_upright(video, tmp_path):
    """Held upright, they note that the picture is to be turned."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), '-loglevel', 'error', '-display_rotation', '90']
    subprocess.run([*command, '-i', video, '-c', 'copy', tmp_path / 'phone.mp4'], check=True)
    source = VideoSource(tmp_path / 'phone.mp4', start=3, end=5)
    assert shown(source) == [3, 4] and next(iter(source)).image.shape == (*SIZE[::-1], 3)


def test_a_folder_in_the_order_of_its_names(tmp_path):
    for number in range(12):
        write_png(tmp_path / f'frame_{number}.png', grey(number))
    assert shown(VideoSource(tmp_path)) == list(range(12))
    source = VideoSource(tmp_path, start='0.5s', end=10, stride=2, fps=4)
    assert source.length == 4 and shown(source) == [2, 4, 6, 8]
    first = next(iter(source))
    assert (first.name, first.file, first.seconds) == ('000000_000002', 'frame_2.png', 0.5)


def step_folder(folder, sequences):
    """Frames from 43 on, with maps beside them."""
    for sequence in sequences:
        for number in (43, 44, 46):
            write_png(folder / f'{sequence:06d}_{number:06d}_leftImg8bit.png', grey(number))
            for kind in ('panoptic', 'depth'):
                write_png(folder / f'{sequence:06d}_{number:06d}_{kind}.png', grey(1))
    return folder


def test_names_of_the_step_layout_say_sequence_and_frame(tmp_path):
    source = VideoSource(step_folder(tmp_path, [7]))
    assert shown(source) == [43, 44, 46] and source.reader.sequence == 7
    assert [frame.name for frame in source] == [f'000007_0000{n}' for n in (43, 44, 46)]
    assert next(iter(source)).file == '000007_000043_leftImg8bit.png'
    part = VideoSource(tmp_path, start=44, end=46)
    assert part.length == 1 and shown(part) == [44]


def test_of_several_sequences_one_is_chosen(tmp_path):
    step_folder(tmp_path, [2, 16])
    with pytest.raises(InputError, match='holds the sequences 2, 16; choose one .--sequence 2'):
        VideoSource(tmp_path)
    source = VideoSource(tmp_path, sequence=16)
    assert [frame.name[:6] for frame in source] == ['000016'] * 3
    with pytest.raises(InputError, match='holds no images of sequence 3; it holds 2, 16'):
        VideoSource(tmp_path, sequence=3)


def test_lists_and_iterators():
    frames = [grey(number) for number in range(6)]
    source = VideoSource(frames, start=1, stride=2)
    assert source.length == 3 and shown(source) == [1, 3, 5]
    assert VideoSource(iter(frames)).length is None
    assert shown(VideoSource(iter(frames), end=4)) == [0, 1, 2, 3]
    assert VideoSource(iter(frames), end=4).length == 4
    assert list(VideoSource([])) == []


@pytest.mark.parametrize(
    'resize, size',
    [('32x24', (24, 32)), (32, (24, 32)), ('128', (96, 128)), ('10x90', (90, 10)), ('1', (1, 1))],
)
def test_frames_in_another_size(resize, size):
    source = VideoSource([grey(3)], resize=resize)
    assert shown(VideoSource([grey(0)], resize=resize)) == [0]
    assert next(iter(source)).image.shape == (*size, 3)


def test_upright_frames_keep_their_longer_side():
    image = np.zeros((200, 100, 3), np.uint8)
    assert parse_size('50')(image).shape == (50, 25, 3)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(start=50), 'has no frame from 50 on; it ends with frame 39'),
        (dict(start='1:00'), 'has no frame from 1:00 on; it ends with frame 39'),
        (dict(start=5, end=5), 'has no frame from 5 to before 5'),
        (dict(start='3s', end=20), 'has no frame from 3s to before 20'),
        (dict(start='soon'), "'soon' is no place in a video; expected the number of a frame, or"),
        (dict(start=-1), '-1 is no place in a video'),
        (dict(end='1:75'), "'1:75' is no place in a video"),
        (dict(stride=0), 'stride must be 1 or more'),
        (dict(fps=5), 'drive.mp4 has 12.5 frames per second of its own'),
        (dict(sequence=2), 'holds no numbered sequences'),
        (dict(resize='0x5'), "'0x5' is no size for frames; expected WIDTHxHEIGHT such as"),
        (dict(resize='99999'), "'99999' is no size"),
    ],
)
def test_what_does_not_fit(video, options, message):
    with pytest.raises(InputError, match=message):
        list(VideoSource(video, **options))


def test_folders_that_do_not_fit(tmp_path):
    step_folder(tmp_path / 'step', [7])
    with pytest.raises(InputError, match='no frame from 0 to before 9; .* the numbers 43 to 46'):
        VideoSource(tmp_path / 'step', end=9)
    for file in (tmp_path / 'step').glob('*leftImg8bit*'):
        file.unlink()
    with pytest.raises(InputError, match='holds maps in STEP layout, but no images'):
        VideoSource(tmp_path / 'step')
    with pytest.raises(InputError, match='fps must be between 0 and'):
        VideoSource([grey(0)], fps=0.0)


def test_a_camera_that_is_not_there():
    with pytest.raises(InputError, match='camera 77 cannot be opened'):
        VideoSource(77)


def test_a_camera_is_timed_by_the_clock(video, monkeypatch):
    """Frames come as they come; a video file plays the camera here."""
    real, clock = cv2.VideoCapture, iter([100.0, 100.5, 100.6, 100.65])
    monkeypatch.setattr(cv2, 'VideoCapture', lambda number: real(str(video)))
    monkeypatch.setattr('knet.apis.sources.time.monotonic', lambda: next(clock))
    source = VideoSource(0, end=3)
    assert source.is_live and source.length == 3
    assert [frame.seconds for frame in source] == pytest.approx([0, 0.5, 0.6])


@pytest.mark.parametrize(
    'text, moment',
    [
        ('0', (0, 0)),
        ('125', (125, 0)),
        ('12.5s', (None, 12.5)),
        ('3s', (None, 3)),
        ('1:30', (None, 90)),
        ('01:02:03.25', (None, 3723.25)),
        (12, (12, 0)),
    ],
)
def test_places_in_a_video(text, moment):
    assert parse_moment(text) == moment
