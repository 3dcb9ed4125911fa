"""Shared fixtures: a small set of toy videos and a config that trains on it in seconds."""

import atexit
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.fork_server import ForkServer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / 'datasets'))
FORK_SERVER = ForkServer()
atexit.register(FORK_SERVER.stop)


def pytest_collection_modifyitems(config, items):
    """Tests marked as slow run where they are asked for alone."""
    if 'slow' not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker('slow'):
                item.add_marker(pytest.mark.skip(reason='slow; -m slow runs it'))


@pytest.fixture(scope='session')
def toy_root(tmp_path_factory):
    """Toy videos of 64x128: 2 training and 2 validation sequences of 4 frames. Not to be changed;
    copy it to damage it."""
    from make_toy_step import make_toy_step

    root = tmp_path_factory.mktemp('toy')
    make_toy_step(root, seed=1, train_sequences=2, val_sequences=2, frames=4, size=(64, 128))
    return root


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory, toy_root):
    """Path of a config: the toy model with few channels on `toy_root`, 2 epochs of 2 iterations."""
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    path.write_text(f"""
_base_ = r'{ROOT}/configs/det/toy_step/video_knet_s3_r18_toy_step.py'
model = dict(
    num_proposals=10, channels=32, roi_head=dict(mask_head=dict(feedforward_channels=64)),
    backbone=dict(base_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
data = dict(root=r'{toy_root}', samples_per_gpu=4, workers_per_gpu=0)
log_config = dict(interval=1)
lr_config = dict(warmup_iters=2)
runner = dict(max_epochs=2)
evaluation = dict(interval=1)
""")
    return str(path)


def run(*command, timeout=240, cwd=ROOT, **env):
    """Run a command, in the project's root if no folder is given; its result has stdout and stderr
    as text."""
    command = [str(part) for part in command]
    env = {'OMP_NUM_THREADS': '1', **os.environ, **env}
    if command[0] == sys.executable and not command[1].startswith('-'):
        return FORK_SERVER.run(command, cwd, timeout, env)
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=timeout, env=env
    )


def run_tool(tool, *args, **env):
    """Run one of tools/*.py with this interpreter."""
    return run(sys.executable, f'tools/{tool}.py', *args, **env)


def train_once(config, work_dir):
    """Train with seed 3; gives the work dir and what was printed."""
    done = run_tool('train', config, '--work-dir', work_dir, '--seed', 3)
    assert done.returncode == 0, done.stderr[-3000:]
    return work_dir, done.stderr + done.stdout


def read_events(work_dir):
    """What TensorBoard shows of a run: tag → step and value of the points of a curve, and tag →
    step and decoded RGB of pictures."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sizes = dict(scalars=0, images=0)  # keep all
    events = EventAccumulator(str(work_dir / 'tf_logs'), size_guidance=sizes).Reload()
    curves = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()['scalars']
    }
    pictures = {
        tag: [(event.step, decode(event.encoded_image_string)) for event in events.Images(tag)]
        for tag in events.Tags()['images']
    }
    return curves, pictures


def decode(data):
    """Bytes of an image file → (H, W, 3), RGB."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def assert_one_line_error(done, *words):
    """The process ended with status 1 and one line on stderr that holds all of `words`."""
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert done.returncode == 1, done.stderr[-2000:]
    assert len(lines) == 1 and 'Traceback' not in done.stderr, done.stderr[-2000:]
    assert all(word in lines[0] for word in words), lines[0]


@pytest.fixture(scope='session')
def toy_results(tmp_path_factory, toy_root):
    """Folder of predictions of the validation videos of `toy_root`, and that root: the truth, moved
    by three pixels, with other ids in the second half of each video. Not to be changed."""
    from knet.step_format import read_panoptic, scan_split, write_panoptic

    results = tmp_path_factory.mktemp('results')
    for sequence, frames in scan_split(toy_root / 'video_sequence/val').items():
        for frame, files in frames.items():
            semantic, instance = (np.roll(part, 3, 1) for part in read_panoptic(files['panoptic']))
            instance[instance > 0] += 7 * (frame - min(frames) >= 2)
            name = f'{sequence:06d}_{frame:06d}.png'
            write_panoptic(results / 'panoptic' / str(sequence) / name, semantic, instance)
    return results, toy_root


def damaged_results(results, root, target):
    """Copy predictions, without the largest true object of a sequence; its code and sequence."""
    from knet.evaluation import analyze_folders
    from knet.step_format import read_panoptic, write_panoptic

    analysis = analyze_folders(results, root)
    sequence, mistakes = next(iter(analysis.mistakes.items()))
    code = max(mistakes.objects, key=lambda item: item.kinds.sum()).code
    for files in (files for group in analysis.files.values() for files in group):
        semantic, instance = read_panoptic(files.pred[0])
        if files.sequence == sequence:
            truth, ids = read_panoptic(files.gt)
            lost = (truth == code >> 16) & (ids == code & 0xFFFF)
            semantic[lost], instance[lost] = 0, 0
        path = Path(files.pred[0])
        write_panoptic(target / 'panoptic' / path.parent.name / path.name, semantic, instance)
    return code, sequence
