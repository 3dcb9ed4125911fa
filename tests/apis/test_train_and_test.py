"""Real runs of tools/train.py, tools/test.py and tools/dist_train.sh on small toy videos."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch

from knet.apis.test import CONTENTS, NAMES
from knet.files import result_folder
from knet.step_format import read_panoptic, read_png, scan_split
from knet.visualization.colours import enlarge
from tests.conftest import ROOT, read_events, run, run_tool, train_once


def losses(log_dir):
    """Losses of all iterations, from the json log of a run."""
    (log,) = log_dir.glob('*.log.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [row['loss'] for row in rows if row.get('mode') == 'train']


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory):
    """Work dir of a finished run with seed 3, and what it printed."""
    return train_once(tiny_config, tmp_path_factory.mktemp('trained'))


def test_training_writes_checkpoints_and_reports_stq_and_vpq(trained):
    work_dir, printed = trained
    assert {'epoch_1.pth', 'epoch_2.pth', 'latest.pth'} <= set(os.listdir(work_dir))
    assert os.readlink(work_dir / 'latest.pth') == 'epoch_2.pth'
    assert len(re.findall(r'STQ: \d\.\d+, AQ: \d\.\d+, SQ: \d\.\d+, VPQ: \d\.\d+', printed)) == 2
    assert 'training: 100%' in printed and not list(work_dir.glob('.*part*'))


def test_tensorboard_shows_curves_and_frames(trained, toy_root):
    curves, pictures = read_events(trained[0])
    assert {'train/loss', 'train/loss_rpn_seg', 'train/s2_loss_dice', 'train/grad_norm'} <= {
        *curves
    }
    assert curves['train/loss'] == [
        (step, pytest.approx(loss, rel=1e-5)) for step, loss in enumerate(losses(trained[0]), 1)
    ]
    rates = [rate for _, rate in curves['learning_rate']]
    assert len(rates) == 4 and 0 < rates[0] < rates[1] > rates[3]
    memory = [megabytes for _, megabytes in curves['memory']]
    assert len(memory) == 4 and 100 < memory[0] <= memory[1] <= memory[3] < 20000
    figures = {tag: points for tag, points in curves.items() if tag.startswith('val/')}
    assert set(figures) == {f'val/{name}' for name in ('STQ', 'AQ', 'SQ', 'VPQ')}
    assert all([step for step, _ in points] == [2, 4] for points in figures.values())
    assert len(pictures) == 4 and len({tag.split('/')[1] for tag in pictures}) == 2  # sequences
    for tag, shown in pictures.items():
        assert [(step, picture.shape) for step, picture in shown] == [
            (step, (24 + 4 * 64, 3 * 4 * 128, 3)) for step in (2, 4)
        ]
        frame = toy_root / 'video_sequence' / 'val' / f'{tag.split("/")[2]}_leftImg8bit.png'
        image, prediction, truth = np.split(shown[0][1][24:].astype(int), 3, 1)
        assert abs(image - enlarge(read_png(frame)[..., ::-1], 4, cv2.INTER_LINEAR)).mean() < 3
        assert abs(prediction - image).mean() > 5 < abs(truth - prediction).mean()


def test_same_seed_gives_the_same_losses_and_another_seed_others(trained, tiny_config, tmp_path):
    for name, seed in (('same', 3), ('other', 4)):
        run_tool(
            'train', tiny_config, '--work-dir', tmp_path / name, '--seed', seed, '--no-validate'
        )
    assert len(losses(trained[0])) == 4
    assert losses(tmp_path / 'same') == losses(trained[0])
    assert losses(tmp_path / 'other') != losses(trained[0])


def test_training_in_bfloat16_with_checkpointed_backbone(trained, tiny_config, tmp_path):
    done = run_tool(
        'train',
        tiny_config,
        '--work-dir',
        tmp_path,
        '--seed',
        3,
        '--no-validate',
        '--cfg-options',
        'bf16=True',
        'model.backbone.with_cp=True',
        'runner.max_epochs=1',
    )
    assert done.returncode == 0, done.stderr[-3000:]
    exact = losses(trained[0])[:2]
    assert losses(tmp_path) != exact and losses(tmp_path) == pytest.approx(exact, rel=0.05)


def test_resumed_run_goes_on_after_the_checkpoint(trained, tiny_config, tmp_path):
    os.link(trained[0] / 'epoch_1.pth', tmp_path / 'epoch_1.pth')
    os.symlink('epoch_1.pth', tmp_path / 'latest.pth')
    done = run_tool(
        'train', tiny_config, '--work-dir', tmp_path, '--seed', 3, '--no-validate', '--auto-resume'
    )
    assert 'resumed epoch 1, iter 2' in done.stderr and len(losses(tmp_path)) == 2
    state = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert state['meta']['epoch'] == 2 and state['meta']['iter'] == 4


def test_predictions_have_the_images_size_and_are_evaluated(
    trained, tiny_config, toy_root, tmp_path
):
    out, show = tmp_path / 'results', tmp_path / 'show'
    done = run_tool(
        'test', tiny_config, trained[0] / 'latest.pth', '--out', out, '--show-dir', show, '--eval'
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'STQ' in done.stdout and 'VPQ' in done.stdout
    figures = json.loads((out / 'metrics.json').read_text())
    assert 0 <= figures['stq']['STQ'] <= 1 and figures['num_frames'] == 8
    for sequence, frames in scan_split(toy_root / 'video_sequence' / 'val').items():
        for frame, files in frames.items():
            name = f'{sequence}/{sequence:06d}_{frame:06d}.png'
            semantic, _ = read_panoptic(out / 'panoptic' / name)
            assert semantic.shape == read_png(files['leftImg8bit']).shape[:2]
            assert (
                read_png(show / 'semantic' / name).shape == (64, 128, 3)
                and (show / 'tracks' / name).exists()
            )
        assert (show / 'videos' / f'{sequence}.mp4').stat().st_size > 1000


def test_two_processes_write_the_same_predictions_as_one(trained, tiny_config, tmp_path):
    args = ['tools/test.py', tiny_config, trained[0] / 'latest.pth', '--out']
    one = run(sys.executable, *args, tmp_path / 'one')
    two = run(
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc_per_node',
        2,
        *args,
        tmp_path / 'two',
        '--launcher',
        'pytorch',
        '--eval',
        'STQ',
    )
    assert one.returncode == two.returncode == 0, two.stderr[-3000:]
    files = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name / 'panoptic').glob('*/*.png')
        }
        for name in ('one', 'two')
    ]
    assert files[0] == files[1] and len(files[0]) == 8
    assert two.stdout.count('STQ by class') == 1


def test_earlier_predictions_do_not_mix_with_new_ones(trained, tiny_config, tmp_path):
    stale, foreign = (
        tmp_path / 'panoptic' / '2' / '000002_009999.png',
        tmp_path / 'panoptic' / 'notes.txt',
    )
    with result_folder(tmp_path, CONTENTS, NAMES, {}):  # an earlier test
        stale.parent.mkdir(parents=True)
        stale.touch()
    foreign.touch()
    assert (
        run_tool(
            'test', tiny_config, trained[0] / 'latest.pth', '--out', tmp_path, '--eval', 'STQ'
        ).returncode
        == 0
    )
    assert not stale.exists() and foreign.exists()


def test_two_processes_train_one_model_on_streams_of_their_own(tiny_config, tmp_path):
    done = run(
        'sh',
        'tools/dist_train.sh',
        'toy',
        tiny_config,
        2,
        tmp_path,
        '--seed',
        3,
        PYTHON=sys.executable,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(losses(tmp_path)) == 2  # 8 frames, 2 processes, batches of 4: one iteration an epoch
    assert len(list(tmp_path.glob('*.log'))) == 1 and len(list(tmp_path.glob('epoch_*.pth'))) == 2
    curves, pictures = read_events(tmp_path)
    assert len(list(tmp_path.glob('tf_logs/*'))) == 1 and len(pictures) == 4
    assert [step for step, _ in curves['train/loss']] == [1, 2]
    assert 'find_unused_parameters' not in done.stderr


def test_ranks_agree_on_weights_and_draw_different_numbers(tmp_path):
    program = tmp_path / 'rank.py'
    program.write_text("""
import sys, numpy as np, torch
import torch.distributed as dist
from mmcv.runner import set_random_seed
from knet.apis import build_model, choose_seed, init_distributed, load_config
init_distributed('pytorch')
seed = choose_seed(None, {})
set_random_seed(seed)
model = build_model(load_config(sys.argv[1]))
set_random_seed(seed + dist.get_rank())
weights = torch.stack([parameter.double().sum() for parameter in model.parameters()]).sum().item()
rows = [None, None]
dist.all_gather_object(rows, (seed, weights, np.random.rand(), torch.rand(1).item()))
assert rows[0][:2] == rows[1][:2], rows
assert rows[0][2] != rows[1][2] and rows[0][3] != rows[1][3], rows
if dist.get_rank() == 0: print('agreed')
""")
    config = ROOT / 'configs/det/toy_step/video_knet_s3_r18_toy_step.py'
    done = run(
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc_per_node',
        2,
        program,
        config,
    )
    assert 'agreed' in done.stdout, done.stderr[-3000:]


def test_killed_run_leaves_whole_checkpoints_and_goes_on(tiny_config, tmp_path):
    command = [
        sys.executable,
        'tools/train.py',
        tiny_config,
        '--work-dir',
        str(tmp_path),
        '--seed',
        '3',
        '--no-validate',
        '--cfg-options',
        'runner.max_epochs=50',
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, 'OMP_NUM_THREADS': '1'}
    )
    deadline = time.time() + 120
    while not (tmp_path / 'epoch_2.pth').exists() and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in tmp_path.glob('*.pth'):
        assert torch.load(path, weights_only=True)['meta']['epoch'] >= 1
    epoch = torch.load(tmp_path / 'latest.pth', weights_only=True)['meta']['epoch']
    done = run_tool(
        'train',
        tiny_config,
        '--work-dir',
        tmp_path,
        '--no-validate',
        '--auto-resume',
        '--cfg-options',
        f'runner.max_epochs={epoch + 1}',
    )
    assert done.returncode == 0 and f'resumed epoch {epoch}' in done.stderr
