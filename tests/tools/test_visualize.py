"""tools/visualize.py."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation.mistakes import KINDS
from knet.label_space import STEP
from knet.step_format import read_panoptic, read_png, write_depth, write_panoptic, write_png
from knet.visualization import colour_depth
from tests.conftest import ROOT


def frames_of(video):
    """Number and shape of the frames of a video."""
    capture, shapes = cv2.VideoCapture(str(video)), []
    while True:
        there, picture = capture.read()
        if not there:
            return len(shapes), shapes[0]
        shapes.append(picture.shape)


def test_everything(tool, toy_results, tmp_path):
    results, root = toy_results
    printed = tool('visualize', results, root, '--out', tmp_path / 'out', '--worst', 3)
    sequences = sorted(path.name for path in (results / 'panoptic').iterdir())
    for kind in ('semantic', 'tracks', 'errors'):
        assert f'{kind}: {tmp_path}/out/{kind}' in printed
        for sequence in sequences:
            names = [path.name for path in sorted((tmp_path / 'out' / kind / sequence).iterdir())]
            files = sorted((results / 'panoptic' / sequence).iterdir())
            assert names == [path.name for path in files]
    semantic, _ = read_panoptic(files[0])
    colours = read_png(tmp_path / 'out/semantic' / sequence / files[0].name)[..., ::-1]
    assert (colours == STEP.colours[semantic]).all()
    # input, prediction, truth and errors in two rows, enlarged by 8, and the legend
    count, (height, width, _) = frames_of(tmp_path / f'out/videos/{sequence}.mp4')
    assert count == 4 and (height, width) == (2 * (8 * 64 + 24) + 24, 2 * 8 * 128)
    sheet = read_png(tmp_path / 'out/worst_frames.png')
    assert sheet.shape[1] == 2 * (960 + 8) and f'{tmp_path}/out/worst_frames.png' in printed


def test_depth(tool, toy_results, tmp_path):
    """Of predictions with depth: coloured, and in the video with its truth and error."""
    results, root = tmp_path / 'results', toy_results[1]
    shutil.copytree(toy_results[0], results)
    for path in results.glob('panoptic/*/*.png'):
        name = path.relative_to(results / 'panoptic')
        write_depth(results / 'depth' / name, np.full((64, 128), 80.0))
    options = ('--sequences', 2, '--write', 'depth,videos')
    for truth, panels, rows in ((root, 7, 3), (None, 3, 1)):
        out = tmp_path / f'out{panels}'
        printed = tool('visualize', results, *filter(None, [truth]), '--out', out, *options)
        assert f'depth: {out}/depth' in printed
        picture = read_png(out / 'depth/2/000002_000000.png')[..., ::-1]
        assert (picture == colour_depth(np.array([[80.0]]))).all()
        count, (height, _, _) = frames_of(out / 'videos/2.mp4')
        assert count == 4 and height // (8 * 64 + 24) == rows


def test_error_map_has_the_colours_of_its_kinds(tool, tmp_path):
    gt, result = tmp_path / 'gt', tmp_path / 'result'
    semantic, instance = np.zeros((48, 960), np.uint8), np.zeros((48, 960), np.int32)
    semantic[:, :480] = 13
    instance[:, :480] = 1
    write_panoptic(gt / '000000_000007_panoptic.png', semantic, instance)
    write_png(gt / '000000_000007_leftImg8bit.png', np.full((48, 960, 3), 100, np.uint8))
    semantic[:, 240:480] = 0  # missed
    write_panoptic(result / 'panoptic/0/000000_000007.png', semantic, instance * (semantic > 0))
    tool('visualize', result, gt, '--write', 'errors')
    (path,) = (result / 'show').rglob('*.png')
    assert path == result / 'show/errors/0/000000_000007.png'
    picture = read_png(path)[..., ::-1]
    missed = next(kind for kind in KINDS if kind.name == 'missed')
    expected = 100 * (1 - missed.opacity) + np.array(missed.colour) * missed.opacity
    assert (picture[:, :240] == 100).all() and (picture[:, 480:] == 100).all()
    assert np.abs(picture[:, 240:480] - expected).max() <= 1


def test_without_truth_and_images(tool, toy_results, tmp_path):
    results, root = toy_results
    one = next((results / 'panoptic').iterdir()).name
    options = ['--sequences', one, '--write', 'tracks,videos,errors']
    tool('visualize', results, '--out', tmp_path / 'dark', *options)
    images = root / 'video_sequence/val'
    tool('visualize', results, '--out', tmp_path / 'bright', *options, '--images', images)
    for name in ('dark', 'bright'):
        assert sorted(p.name for p in (tmp_path / name).iterdir() if p.is_dir()) == [
            'tracks',
            'videos',
        ]
        assert [p.name for p in (tmp_path / name / 'tracks').iterdir()] == [one]
    pictures = [
        read_png(next((tmp_path / n / 'tracks' / one).iterdir())) for n in ('dark', 'bright')
    ]
    assert pictures[0].mean() < pictures[1].mean() - 20


def test_runs_without_torch(toy_results, tmp_path):
    results, root = toy_results
    code = (
        'import sys; sys.modules["torch"] = sys.modules["mmcv"] = None; '
        'from knet.commands import call; call("visualize", sys.argv[1:])'
    )
    command = [sys.executable, '-c', code, results, root, '--out', tmp_path, '--write', 'sheet']
    done = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / 'made_by.json').read_text())['finished']


@pytest.mark.parametrize(
    'options, words',
    [
        (['--sequences', '99'], 'no sequence 99'),
        (['--split', 'test'], 'holds the splits'),
        (['--protocol', 'steps'], 'choose one of step'),
    ],
)
def test_mistakes_of_typing(tool, toy_results, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        tool('visualize', *toy_results, '--out', tmp_path / 'out', *options)
    assert not (tmp_path / 'out').exists()


def test_image_of_another_size(tool, tmp_path):
    gt, result = tmp_path / 'gt', tmp_path / 'result'
    maps = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.int32)
    write_panoptic(gt / '000000_000000_panoptic.png', *maps)
    write_png(gt / '000000_000000_leftImg8bit.png', np.zeros((9, 8, 3), np.uint8))
    write_panoptic(result / 'panoptic/0/000000_000000.png', *maps)
    with pytest.raises(InputError, match='000000_000000_leftImg8bit.png has the size'):
        tool('visualize', result, gt)


def test_others_files_stay(tool, toy_results, tmp_path):
    results, root = toy_results
    (tmp_path / 'tracks').mkdir()
    (tmp_path / 'tracks/mine.png').write_bytes(b'mine')
    with pytest.raises(InputError, match='mine.png'):
        tool('visualize', results, root, '--out', tmp_path)
    assert (tmp_path / 'tracks/mine.png').read_bytes() == b'mine'


def test_beside_folders_that_are_not_called_panoptic(tool, toy_results, tmp_path):
    """Each has pictures of its own; what lies beside it says nothing of it."""
    results, root = toy_results
    (tmp_path / 'made_by.json').write_text('{"finished": true, "made_of": {"protocol": "waymo"}}')
    for name in ('a', 'b'):
        shutil.copytree(results / 'panoptic', tmp_path / name)
        printed = tool('visualize', tmp_path / name, root, '--write', 'sheet')
        assert str(tmp_path / name / 'show/worst_frames.png') in printed
    tool('visualize', tmp_path / 'a', root, '--write', 'sheet')  # again


def test_predictions_and_their_mark_stay(tool, toy_results, tmp_path):
    results, root = toy_results
    shutil.copytree(results, tmp_path / 'results')
    mark = tmp_path / 'results/made_by.json'
    text = '{"finished": true, "contents": ["panoptic"], "made_of": {"protocol": "step"}}'
    mark.write_text(text)
    with pytest.raises(InputError, match='results of another tool'):
        tool('visualize', tmp_path / 'results', root, '--out', tmp_path / 'results')
    assert mark.read_text() == text


def test_what_cannot_be_drawn(tool, toy_results, tmp_path):
    results, root = toy_results
    with pytest.raises(InputError, match=f'--write depth: {results} holds no depth'):
        tool('visualize', results, root, '--out', tmp_path / 'out', '--write', 'depth')
    with pytest.raises(InputError, match=r'no image of these frames; .* \d+_\d+_leftImg8bit.png'):
        tool('visualize', results, root, '--out', tmp_path / 'out', '--images', tmp_path)
    with pytest.raises(InputError, match='--images .*/nope is not a folder; name one of images'):
        tool('visualize', results, root, '--images', tmp_path / 'nope')
    assert not (tmp_path / 'out').exists()
    with pytest.raises(InputError, match='--write errors,sheet: give GT too'):
        tool('visualize', results, '--write', 'errors,sheet')
    shutil.copytree(results, tmp_path / 'run/results')
    with pytest.raises(InputError, match=f'did you mean {tmp_path}/run/results'):
        tool('visualize', tmp_path / 'run')
    with pytest.raises(InputError, match='nowhere does not exist'):
        tool('visualize', tmp_path / 'nowhere')
    mark = '{"finished": true, "made_of": {"protocol": "step"}}'
    (tmp_path / 'run/results/made_by.json').write_text(mark)
    with pytest.raises(
        InputError, match='has the classes of step .* protocol waymo has others; leave out'
    ):
        tool('visualize', tmp_path / 'run/results', root, '--protocol', 'waymo')
    tool(
        'visualize', tmp_path / 'run/results', root, '--protocol', 'video-knet', '--write', 'sheet'
    )


def test_damaged_protocol(tool, toy_results, tmp_path):
    results, root = toy_results
    shutil.copytree(results, tmp_path / 'results')
    mark = tmp_path / 'results/made_by.json'
    mark.write_text('{"finished": true, "made_of": {"protocol": {"name": "own"}}}')
    with pytest.raises(InputError, match=f'{mark}: this describes no protocol'):
        tool('visualize', tmp_path / 'results', root)
