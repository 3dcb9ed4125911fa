"""tools/video_demo.py: from a video to overlays, maps and files that other programs load; stopping;
what it refuses and what it spares."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from pycocotools import mask as rle
from pycocotools.coco import COCO

from knet.apis import VideoSource, init_model, segment_video
from knet.commands import call
from knet.commands.video_demo import StopSignals
from knet.errors import InputError
from knet.evaluation import evaluate_folders
from knet.files import read_mark
from knet.models.checkpoint import published_state_dict
from knet.step_format import read_panoptic, read_png, write_png
from knet.visualization import VideoWriter
from knet.visualization.sound import has_sound
from tests.conftest import ROOT, assert_one_line_error, run_tool

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
FPS = 12.5


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    """Of a small model several threads make nothing faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def config(tmp_path_factory, tiny_config):
    """The tiny model, shown and tracked whatever it sees."""
    path = tmp_path_factory.mktemp('demo') / 'config.py'
    path.write_text(f"""
_base_ = r'{tiny_config}'
model = dict(
    tracker=dict(init_score_thr=0.0, obj_score_thr=0.0, nms_class_iou_thr=1.0),
    test_cfg=dict(merge_joint=True, instance_score_thr=0.0, overlap_thr=0.05))
""")
    return path


@pytest.fixture(scope='module')
def model(config):
    """Random weights, sure of many things."""
    torch.manual_seed(1)
    built = init_model(config, device='cpu')
    built.roi_head.mask_head[-1].branches['classes'].fc_out.bias.data[:2] += 4
    return built


@pytest.fixture(scope='module')
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('checkpoint') / 'epoch_1.pth'
    torch.save(dict(state_dict=published_state_dict(model), meta={}), path)
    return path


@pytest.fixture(scope='module')
def beep(tmp_path_factory):
    """Two seconds of sound with a tone from 0.8 to 1.0 s."""
    path = tmp_path_factory.mktemp('sound') / 'beep.wav'
    tone = "aevalsrc='if(between(t,0.8,1),sin(2*PI*440*t),0)':duration=2:sample_rate=16000"
    subprocess.run([FFMPEG, '-loglevel', 'error', '-f', 'lavfi', '-i', tone, path], check=True)
    return path


@pytest.fixture(scope='module')
def video(tmp_path_factory, toy_root, beep):
    """16 frames at 12.5 per second with sound: a street that becomes brighter by the frame."""
    path = tmp_path_factory.mktemp('video') / 'drive.mp4'
    street = read_png(toy_root / 'video_sequence/val/000002_000000_leftImg8bit.png')[..., ::-1]
    writer = VideoWriter(path, FPS, sound=beep)
    for number in range(16):
        writer.add(street // 2 + 6 * np.uint8(number))
    writer.close()
    return path


@pytest.fixture(scope='module')
def sequence(tmp_path_factory, toy_root):
    """A sequence in STEP layout with its ground truth."""
    folder = tmp_path_factory.mktemp('sequence')
    for file in (toy_root / 'video_sequence/val').glob('000006_*'):
        shutil.copy(file, folder)
    return folder


@pytest.fixture
def demo(tool, config, checkpoint):
    """Call the tool in this process."""
    before = signal.getsignal(signal.SIGINT)

    def call(*args):
        out = tool('video_demo', config, checkpoint, '--device', 'cpu', *args)
        assert signal.getsignal(signal.SIGINT) is before
        return out

    return call


def frames_of(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while capture.grab():
        frames.append(capture.retrieve()[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def tone(path):
    """Seconds at which the sound of a file begins and ends to be loud."""
    command = [FFMPEG, '-loglevel', 'error', '-i', path, '-ac', '1', '-ar', '8000']
    data = subprocess.run([*command, '-f', 's16le', '-'], check=True, capture_output=True).stdout
    loud = np.flatnonzero(np.abs(np.frombuffer(data, '<i2').astype(int)) > 2000) / 8000
    return [loud.min(), loud.max()]


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_command(demo, video, tmp_path):
    out = demo(video, '--out', tmp_path / 'out')
    assert files_in(tmp_path / 'out') == [
        '.lock',
        'coco_instances.json',
        'coco_panoptic',
        'coco_panoptic.json',
        'made_by.json',
        'video.mp4',
        'youtube_vis.json',
    ]
    frames, fps = frames_of(tmp_path / 'out/video.mp4')
    # 64 x 128 is enlarged, and something is drawn on it
    assert len(frames) == 16 and frames[0].shape == (512, 1024, 3) and fps == FPS
    street = cv2.resize(frames_of(video)[0][0], (1024, 512))
    assert 10 < np.abs(street.astype(int) - frames[0]).mean() < 100
    assert tone(tmp_path / 'out/video.mp4') == pytest.approx([0.8, 1.0], abs=0.03)
    assert '16 frames of video' in out and f'{tmp_path}/out/video.mp4 (12.5 frames' in out
    assert 'with sound' in out and f'--write images writes to {tmp_path}/out/images' in out
    mark = read_mark(tmp_path / 'out')
    assert mark['frames'] == 16 and mark['interrupted'] is False and mark['protocol'] == 'step'


def test_maps_of_a_sequence_are_those_that_are_evaluated(demo, model, sequence, tmp_path):
    demo(sequence, '--out', tmp_path, '--write', 'maps')
    assert files_in(tmp_path) == ['.lock', 'made_by.json', 'panoptic']
    names = sorted(file.name.replace('_panoptic', '') for file in sequence.glob('*_panoptic.png'))
    assert files_in(tmp_path / 'panoptic/6') == names
    results = list(segment_video(model, sequence))
    assert len(results) == len(names) == 4
    for name, result in zip(names, results):
        semantic, instance = read_panoptic(tmp_path / 'panoptic/6' / name)
        assert np.array_equal(semantic, result.semantic)
        assert np.array_equal(instance, result.instance) and instance.max() > 1
    figures = evaluate_folders(tmp_path, sequence)
    assert set(figures['sequences']) == {'6'} and figures['stq']['STQ'] > 0


def test_json_files_say_what_the_maps_say(demo, video, tmp_path, capsys):
    demo(video, '--out', tmp_path, '--write', 'maps, json, images', '--end', 4)
    panoptic = json.loads((tmp_path / 'coco_panoptic.json').read_text())
    coco = COCO(str(tmp_path / 'coco_instances.json'))
    tracks = json.loads((tmp_path / 'youtube_vis.json').read_text())
    things = {track['track_id']: track['category_id'] for track in tracks['annotations']}
    assert len(things) > 1 and tracks['videos'][0]['length'] == 4
    for number, (image, entry) in enumerate(zip(panoptic['images'], panoptic['annotations'])):
        assert image['file_name'] == f'000000_{number:06d}.jpg' and image['frame'] == number
        shown = cv2.imread(str(tmp_path / 'images' / image['file_name']))
        assert shown.shape[:2] == (image['height'], image['width'])
        semantic, instance = read_panoptic(tmp_path / f'panoptic/0/000000_{number:06d}.png')
        blue, green, red = cv2.split(read_png(tmp_path / 'coco_panoptic' / entry['file_name']))
        ids = red + 256 * green.astype(int) + 65536 * blue.astype(int)
        assert {s['id'] for s in entry['segments_info']} == set(np.unique(ids))
        for segment in entry['segments_info']:
            mask = ids == segment['id']
            assert (semantic[mask] == segment['category_id'] - 1).all()
            assert (instance[mask] == segment.get('track_id', 0)).all()
            assert segment['area'] == mask.sum()
        for annotation in coco.loadAnns(coco.getAnnIds(image['id'])):
            mask, track = coco.annToMask(annotation).astype(bool), annotation.get('track_id')
            if track is not None:
                assert np.array_equal(mask, instance == track)
                assert annotation['category_id'] == things[track]
        seen = {a.get('track_id', 0) for a in coco.loadAnns(coco.getAnnIds(image['id']))}
        assert seen - {0} == set(np.unique(instance)) - {0}
        for track in tracks['annotations']:
            mask = track['segmentations'][number]
            there = instance == track['track_id']
            assert np.array_equal(rle.decode(mask) if mask else np.zeros_like(there), there)


def test_parts_of_a_video_keep_their_sound(demo, video, tmp_path):
    """Frames 6, 9, 12, 15: they begin 0.48 seconds later, and a third as many come per second."""
    out = ('--out', tmp_path, '--write', 'video,frames,images')
    demo(video, *out, '--start', '0.41s', '--end', 16, '--stride', 3)
    names = [f'000000_{number:06d}.jpg' for number in (6, 9, 12, 15)]
    assert files_in(tmp_path / 'images') == files_in(tmp_path / 'frames') == names
    brightness = [cv2.imread(str(tmp_path / 'images' / name)).mean() for name in names]
    expected = [frames_of(video)[0][number].mean() for number in (6, 9, 12, 15)]
    assert brightness == pytest.approx(expected, abs=1.5)
    frames, fps = frames_of(tmp_path / 'video.mp4')
    assert len(frames) == 4 and fps == pytest.approx(FPS / 3, rel=1e-4)
    assert tone(tmp_path / 'video.mp4') == pytest.approx([0.32, 0.52], abs=0.03)
    assert 'JFIF' in str((tmp_path / 'frames' / names[0]).read_bytes()[:12])


def test_a_video_whose_rate_varies_keeps_its_pace(demo, beep, tmp_path):
    """10 frames per second in the first second, 5 in the second one: phones do that."""
    command = [FFMPEG, '-loglevel', 'error', '-f', 'lavfi']
    command += ['-i', 'testsrc=size=64x48:rate=10:duration=2', '-i', beep, '-fps_mode', 'vfr']
    command += ['-vf', "select='lt(n,10)+not(mod(n,2))'", tmp_path / 'phone.mp4']
    subprocess.run(command, check=True)
    assert len(frames_of(tmp_path / 'phone.mp4')[0]) == 15
    demo(tmp_path / 'phone.mp4', '--out', tmp_path / 'out', '--write', 'video')
    frames, fps = frames_of(tmp_path / 'out/video.mp4')
    assert len(frames) / fps == pytest.approx(1.8, abs=0.2)
    assert tone(tmp_path / 'out/video.mp4') == pytest.approx([0.8, 1.0], abs=0.05)


def test_folders_have_the_frames_per_second_that_one_says(demo, sequence, tmp_path):
    demo(sequence, '--out', tmp_path / 'a', '--write', 'video,json', '--start', '0.5s', '--fps', 4)
    frames, fps = frames_of(tmp_path / 'a/video.mp4')
    assert len(frames) == 2 and fps == 4 and not has_sound(tmp_path / 'a/video.mp4')
    images = json.loads((tmp_path / 'a/coco_panoptic.json').read_text())['images']
    assert all((sequence / image['file_name']).exists() for image in images) and len(images) == 2
    demo(sequence, '--out', tmp_path / 'b', '--write', 'video', '--stride', 2)
    assert frames_of(tmp_path / 'b/video.mp4')[1] == 5


def test_frames_of_another_size(demo, sequence, tmp_path, caplog):
    """Maps and JSON files have it too, and no longer name the images in the folder."""
    demo(sequence, '--out', tmp_path, '--write', 'maps,json,video', '--resize', '45x31')
    name = sorted(path.name for path in (tmp_path / 'panoptic/6').iterdir())[0]
    assert read_panoptic(tmp_path / 'panoptic/6' / name)[0].shape == (31, 45)
    image = json.loads((tmp_path / 'coco_panoptic.json').read_text())['images'][0]
    assert (image['width'], image['height']) == (45, 31)
    assert image['file_name'] == name.replace('png', 'jpg')
    frames, _ = frames_of(tmp_path / 'video.mp4')
    assert frames[0].shape == (652, 946, 3)  # 21 times as large, with even sides
    assert 'divisible' not in caplog.text  # ffmpeg would have to stretch it


def test_a_model_of_images_has_no_tracks(demo, sequence, tmp_path):
    demo(sequence, '--out', tmp_path, '--cfg-options', 'task=image_panoptic')
    assert (tmp_path / 'video.mp4').exists() and not (tmp_path / 'youtube_vis.json').exists()
    assert 'track_id' not in (tmp_path / 'coco_instances.json').read_text()


def test_a_run_replaces_the_one_before_and_nothing_else(demo, sequence, tmp_path):
    out = tmp_path / 'out'
    demo(sequence, '--out', out, '--write', 'maps,json,frames,images,video')
    (out / 'notes.txt').write_text('mine')
    (out / 'images/notes.txt').write_text('mine')
    demo(sequence, '--out', out, '--write', 'frames', '--start', '1s', '--fps', 2)
    assert files_in(out) == ['.lock', 'frames', 'images', 'made_by.json', 'notes.txt']
    assert files_in(out / 'images') == ['notes.txt'] and len(files_in(out / 'frames')) == 2
    write_png(out / 'images/holiday.png', np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match='images/holiday.png is not of the run that wrote'):
        demo(sequence, '--out', out, '--write', 'frames')
    assert (out / 'images/holiday.png').exists() and len(files_in(out / 'frames')) == 2


def own_video(folder):
    (folder / 'video.mp4').write_text('my holidays')


def own_images(folder):
    (folder / 'images').mkdir()
    (folder / 'images/000000_000001.jpg').write_text('my holidays')


def other_tool(folder):
    (folder / 'metrics.json').write_text('{}')
    (folder / 'made_by.json').write_text('{"finished": true, "contents": ["panoptic"]}')


@pytest.mark.parametrize('prepare', [own_video, own_images, other_tool])
def test_folders_that_hold_something_else(demo, sequence, tmp_path, prepare):
    prepare(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*.*')}
    with pytest.raises(InputError, match=f'{tmp_path} holds .* name another folder'):
        demo(sequence, '--out', tmp_path)
    before[tmp_path / '.lock'] = b''
    assert sorted(before) == sorted(tmp_path.rglob('*.*'))
    assert all(path.read_bytes() == data for path, data in before.items() if data)


def test_results_are_not_their_own_input(demo, sequence, tmp_path):
    demo(sequence, '--out', tmp_path, '--write', 'video,images')
    for source in ('video.mp4', 'images'):
        with pytest.raises(InputError, match=f'{source} lies where the results would go'):
            demo(tmp_path / source, '--out', tmp_path)
    assert len(files_in(tmp_path / 'images')) == 4 and (tmp_path / 'video.mp4').exists()


@pytest.mark.parametrize(
    'options, message',
    [
        (['nothing.mp4'], 'nothing.mp4 does not exist'),
        (['77'], 'camera 77 cannot be opened; is it connected'),
        (['VIDEO', '--start', '9999'], 'has no frame from 9999 on; it ends with frame 15'),
        (['VIDEO', '--start', 'noon'], "'noon' is no place in a video"),
        (['VIDEO', '--fps', '5'], 'has 12.5 frames per second of its own'),
        (['VIDEO', '--sequence', '6'], 'holds no numbered sequences'),
        (['VIDEO', '--resize', 'half'], "'half' is no size for frames"),
        (['VIDEO', '--device', 'tpu9'], "device 'tpu9' cannot be used"),
        (['VIDEO', '--cfg-options', 'model.nothing=1'], 'has no key'),
        (['SET'], 'holds the sequences 2, 6; choose one .--sequence 2'),
    ],
)
def test_what_cannot_be_done(demo, video, toy_root, tmp_path, options, message):
    """It is said before the folder of an earlier run is touched."""
    (tmp_path / 'out').mkdir()
    known = dict(VIDEO=video, SET=toy_root / 'video_sequence/val')
    with pytest.raises(InputError, match=message):
        demo(*(known.get(option, option) for option in options), '--out', tmp_path / 'out')
    assert not files_in(tmp_path / 'out')


@pytest.mark.parametrize(
    'options, message',
    [
        (
            ['--write', 'video,gif'],
            "--write: takes some of video,maps,json,.*'video,gif'",
        ),
        (['--write', ','], '--write: takes some of'),
        (['--opacity', '2'], '--opacity: must be 0.0 to 1.0, got 2'),
        (['--stride', '0'], '--stride: must be from 1 on, got 0'),
        (['--fps', 'nan'], '--fps: must be from 0.01 on, got nan'),
    ],
)
def test_mistyped_options(capsys, options, message):
    with pytest.raises(SystemExit):
        call('video_demo', ['config', 'model', 'video', '--out', 'out', *options])
    assert re.search(message, capsys.readouterr().err)


def test_names_that_mean_something_to_ffmpeg(demo, video, tmp_path, monkeypatch):
    """Relative paths with a colon, which looks like a protocol, or a dash, like an option."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, 'http:street.mp4')
    printed = demo('http:street.mp4', '--out', 'a:b', '--write', 'video', '--end', 4)
    assert len(frames_of(tmp_path / 'a:b/video.mp4')[0]) == 4
    assert 'with sound' in printed


def test_results_are_drawn_over_their_images(demo, tool, sequence, video, tmp_path):
    """tools/visualize.py finds the images that a folder or a video had, without being told."""
    demo(sequence, '--out', tmp_path / 'a', '--write', 'maps')
    demo(video, '--out', tmp_path / 'b', '--write', 'maps,images', '--end', 2)
    demo(video, '--out', tmp_path / 'c', '--write', 'maps', '--end', 2)
    brightness = []
    for name in 'abc':
        tool('visualize', tmp_path / name, '--write', 'tracks')
        path = sorted((tmp_path / name / 'show').rglob('*.png'))[0]
        brightness.append(cv2.imread(str(path)).mean())
    assert brightness[2] < min(brightness[:2]) - 20


def test_a_frame_that_cannot_be_read(demo, sequence, tmp_path):
    """The error names it; the frames before it are there, as after Ctrl-C."""
    shutil.copytree(sequence, tmp_path / 'in')
    damaged = sorted((tmp_path / 'in').glob('*leftImg8bit.png'))[2]
    damaged.write_bytes(damaged.read_bytes()[:300])
    number = int(damaged.name.split('_')[1])
    words = f'frame {number}: .*{damaged.name} is not a readable.* holds the 2 frames before that'
    with pytest.raises(InputError, match=words):
        demo(tmp_path / 'in', '--out', tmp_path / 'out', '--write', 'video,json,maps')
    assert len(frames_of(tmp_path / 'out/video.mp4')[0]) == 2
    mark = read_mark(tmp_path / 'out')
    assert mark['frames'] == 2 and mark['interrupted'] is True
    damaged.replace(sorted((tmp_path / 'in').glob('*leftImg8bit.png'))[0])
    with pytest.raises(InputError, match='is not a readable'):  # the first: nothing is touched
        demo(tmp_path / 'in', '--out', tmp_path / 'out', '--write', 'video,json,maps')
    assert read_mark(tmp_path / 'out') == mark


def test_a_damaged_video_is_one_line(config, checkpoint, video, tmp_path):
    (tmp_path / 'broken.mp4').write_bytes(video.read_bytes()[:2000])
    done = run_tool(
        'video_demo', config, checkpoint, tmp_path / 'broken.mp4', '--out', tmp_path / 'out'
    )
    assert_one_line_error(done, 'broken.mp4: no frame of it can be decoded')
    assert 'moov' not in done.stderr and not (tmp_path / 'out').exists()


def check_stopped(folder):
    """All files of a run that was stopped are whole and of the same frames; gives their number."""
    count = read_mark(folder)['frames']
    assert read_mark(folder)['interrupted'] is True
    frames, fps = frames_of(folder / 'video.mp4')
    assert len(frames) == count and has_sound(folder / 'video.mp4')
    for name in ('coco_panoptic', 'coco_instances'):
        assert len(json.loads((folder / f'{name}.json').read_text())['images']) == count
    tracks = json.loads((folder / 'youtube_vis.json').read_text())
    assert all(len(track['areas']) == count for track in tracks['annotations'])
    assert len(files_in(folder / 'panoptic/0')) == count
    assert not [path for path in folder.rglob('.*') if path.name != '.lock']
    return count


def test_ctrl_c_finishes_what_is_there(config, checkpoint, video, tmp_path):
    """A real process and a real signal; the video is enlarged, so that there is time to stop it."""
    command = [sys.executable, 'tools/video_demo.py', config, checkpoint, video, '--out', tmp_path]
    command += ['--write', 'video,json,maps', '--resize', '640']
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # not as in the background
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob('panoptic/0/*2.png')) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    count = check_stopped(tmp_path)
    assert process.returncode == 130 and 3 <= count < 16 and not stdout
    line = f'stopped by SIGINT; {tmp_path} holds the {count} frames before that, with all files'
    assert stderr.splitlines()[-1].startswith(line) and 'Traceback' not in stderr


def test_sigterm_does_the_same(config, checkpoint, video, tmp_path, capsys):
    def frames(source):
        for number, frame in enumerate(real(source)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield frame

    real = VideoSource.__iter__
    options = ['--write', 'video,json,maps', '--device', 'cpu', '--out', str(tmp_path)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(VideoSource, '__iter__', frames)
        call('video_demo', [str(config), str(checkpoint), str(video), *options])
    assert end.value.code == 143 and check_stopped(tmp_path) == 3
    assert 'holds the 3 frames before' in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_second_signal_ends_at_once():
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            if stop.number == signal.SIGINT:
                os.kill(os.getpid(), signal.SIGINT)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT
