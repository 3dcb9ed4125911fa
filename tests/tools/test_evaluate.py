"""The tools as a user calls them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from knet.commands.torch_results import read_maps
from knet.errors import InputError
from knet.step_format import encode_depth, frame_name, write_panoptic, write_png
from tests.conftest import ROOT, run
from tests.evaluation.drawing import draw


@pytest.fixture
def data(tmp_path):
    for sequence in (2, 6):
        for frame in range(3):
            name = frame_name(sequence, frame)
            write_panoptic(
                tmp_path / 'data' / 'video_sequence' / 'val' / f'{name}_panoptic.png',
                *draw('AAAA', 'PP'),
            )
            write_png(
                tmp_path / 'data' / 'video_sequence' / 'val' / f'{name}_depth.png',
                np.full((8, 8), 2560, np.uint16),
            )
            write_panoptic(
                tmp_path / 'result' / 'panoptic' / str(sequence) / f'{name}.png', *draw('BBB', 'PP')
            )
            write_png(
                tmp_path / 'result' / 'depth' / str(sequence) / f'{name}.png',
                np.full((4, 4), 2900, np.uint16),
            )
    return tmp_path


def tool(name, cwd, *arguments):
    return run(sys.executable, ROOT / 'tools' / f'{name}.py', *arguments, cwd=cwd)


def test_stq_tool(data):
    done = tool('eval_dstq_step', data, 'result', 'data')
    assert (done.returncode, done.stderr) == (0, '')
    # Tubes of 12 and 6 pixels, covered by 9 and 6: AQ = (9/12 * 9/12 + 1) / 2.
    assert '78.12' in done.stdout
    assert 'STQ by sequence' in done.stdout
    assert 'VPQ' not in done.stdout
    assert 'DSTQ' not in done.stdout


def test_vpq_tool_with_everything(data):
    done = tool(
        'eval_dvpq_step',
        data,
        'result',
        'data',
        '--window-size',
        '1',
        '2',
        '--protocol',
        'video-knet',
        '--nproc',
        '2',
        '--depth',
        '--depth-lambda',
        '0.2',
        '--depth-threshold',
        '1.25',
        '1.1',
        '--json',
        'out/result.json',
        '--plot',
        'plots',
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert 'DVPQ' in done.stdout
    assert 'STQ' not in done.stdout
    result = json.loads((data / 'out' / 'result.json').read_text())
    assert result['protocol'] == 'video-knet'
    assert result['window_sizes'] == [1, 2]
    assert list(result['dvpq']['lambda']) == ['0.2']
    assert list(result['dstq']['threshold']) == ['1.25', '1.1']
    assert result['dstq']['threshold']['1.1']['DQ'] == 0
    assert result['stq']['AQ'] == (0.75**2 + 1) / 2
    assert (data / 'plots' / 'class_quality.png').is_file()


def test_bad_input_is_one_line_and_writes_nothing(data):
    (data / 'result' / 'panoptic' / '6' / '000006_000001.png').write_bytes(b'')
    done = tool(
        'eval_dstq_step', data, 'result', 'data', '--json', 'result.json', '--plot', 'plots'
    )
    assert done.returncode == 1
    assert done.stdout == ''
    assert done.stderr.startswith('error: sequence 6, frame 1: ')
    assert done.stderr.count('\n') == 1
    assert sorted(path.name for path in data.iterdir()) == ['data', 'result']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--json', 'result'], 'result is a folder; give the path of a file'),
        (
            ['--plot', 'data/video_sequence/val/000002_000000_panoptic.png'],
            'is a file; give the path of a folder',
        ),
        (
            ['--json', 'data/video_sequence/val/000002_000000_panoptic.png/a.json'],
            'is not a writable folder',
        ),
        (['--depth-lambda', '0.2'], '--depth-lambda: only with --depth'),
        (['--depth-threshold', '1.1'], '--depth-threshold: only with --depth'),
        (['--split', 'test'], 'holds the splits val'),
        (['--protocol', 'other'], 'choose one of step, video-knet, waymo'),
    ],
)
def test_bad_arguments_end_with_1(data, arguments, message):
    done = tool('eval_dvpq_step', data, 'result', 'data', *arguments)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    'arguments',
    [
        ['result'],
        ['result', 'data', '--window-size', '0'],
        ['result', 'data', '--depth-lambda', '-1'],
        ['result', 'data', '--unknown'],
    ],
)
def test_wrong_usage_ends_with_2(data, arguments):
    done = tool('eval_dvpq_step', data, *arguments)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith('usage: ')


def test_package_imports_neither_torch_nor_mmcv():
    code = (
        'import sys, knet.evaluation, knet.evaluation.plots, knet.commands.evaluate; '
        'print(sorted({"torch", "mmcv", "mmdet"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('[]\n', '')


@pytest.mark.parametrize('as_tensor', [False, True])
def test_torch_files_of_polyphonicformer(tmp_path, as_tensor):
    """Model classes, things first, in files that hold arrays or tensors; read safely."""
    frames = tmp_path / 'results'
    frames.mkdir()
    semantic = np.zeros((8, 8), np.uint8)  # road
    instance = np.zeros((8, 8), np.int32)
    semantic[:4, :4], instance[:4, :4], semantic[7] = 13, 5, 255  # a car, void
    for frame in range(2):
        name = frame_name(3, frame)
        split = tmp_path / 'data/video_sequence/val'
        write_panoptic(split / f'{name}_panoptic.png', semantic, instance)
        write_png(split / f'{name}_depth.png', np.full((8, 8), 2560, np.uint16))
        codes = np.where(semantic == 13, 2 * 10000 + 1, np.where(semantic == 0, 80000, 190000))
        content = dict(panseg=codes.astype(np.uint32), depth=np.full((8, 8), 11, np.float32))
        if as_tensor:
            content = dict(
                panseg=torch.from_numpy(codes.astype(np.int64)), depth=torch.full((8, 8), 11.0)
            )
        torch.save(content, frames / f'{name}.pth')
    args = ('results', 'data', '--depth', '--window-size', '1', '2', '--json', 'out.json')
    done = tool('eval_dvpq_step', tmp_path, *args, '--protocol', 'cityscapes-dvps')
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / 'out.json').read_text())
    classes = result['vpq']['k']['2']['pq']
    assert classes[0] == classes[13] == 1 and result['vpq']['VPQ'] == pytest.approx(2 / 19)
    assert result['depth']['abs_rel'] == pytest.approx(0.1)
    refused = tool('eval_dvpq_step', tmp_path, *args)
    assert refused.returncode == 1 and 'add --protocol cityscapes-dvps' in refused.stderr
    torch.save(dict(panseg=Path('a'), depth=1), frames / f'{frame_name(3, 0)}.pth')
    refused = tool('eval_dvpq_step', tmp_path, *args, '--protocol', 'cityscapes-dvps')
    assert refused.returncode == 1 and 'could run code' in refused.stderr
    for content, message in (
        (dict(panseg=torch.zeros(8, 8)), 'panseg is of type float32, expected integers'),
        (dict(depth=torch.zeros(8, 8)), "holds no map 'panseg'"),
        (dict(panseg=torch.zeros(0, 8, dtype=torch.long)), "holds no map 'panseg'"),
        (dict(panseg=codes.astype(np.int64), depth=np.zeros((4, 8))), 'depth (4, 8)'),
        (dict(panseg=codes.astype(np.int64), depth=np.full((8, 8), np.nan)), 'not finite'),
    ):
        path = frames / f'{frame_name(3, 0)}.pth'
        torch.save(content, path)
        with pytest.raises(InputError, match=re.escape(message)):
            read_maps(path)
    torch.save(dict(panseg=codes, depth=torch.ones(8, 8, dtype=torch.bfloat16) * 300), path)
    assert (encode_depth(read_maps(path)[1]) == 65535).all()
    path.unlink()
    refused = tool('eval_dvpq_step', tmp_path, *args, '--protocol', 'cityscapes-dvps')
    assert 'frame 0: the prediction is missing, expected results/panoptic/3' in refused.stderr
