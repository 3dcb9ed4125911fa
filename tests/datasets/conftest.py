"""Trainings on prepared sets, and runs that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from knet.apis import load_config, train_detector
from tests.conftest import ROOT


@pytest.fixture
def train_and_validate(tiny_config, tmp_path):
    """Function that trains the small model for two iterations on a set in STEP layout, tests it,
    and gives losses and figures."""

    def train(root, config=tiny_config, **options):
        work_dir = tmp_path / 'work_dir'
        work_dir.mkdir()
        cfg = load_config(
            config,
            {'data.root': str(root), 'data.samples_per_gpu': 2, 'runner.max_epochs': 1, **options},
        )
        train_detector(cfg, work_dir, seed=0, distributed=False, timestamp='run')
        rows = [json.loads(line) for line in (work_dir / 'run.log.json').read_text().splitlines()]
        return [row['loss'] for row in rows if row.get('mode') == 'train'], next(
            row for row in rows if row.get('mode') == 'val'
        )

    return train


@pytest.fixture
def kill_halfway():
    """Function that runs a script of datasets/ and kills it when `out` holds some files; gives the
    number of files it left."""

    def run(out: Path, script: str, *args) -> int:
        def count():
            return sum(
                path.suffix in ('.png', '.jpg') and not path.name.startswith('.')
                for path in out.rglob('*.*')
            )

        command = [sys.executable, f'datasets/{script}.py', *map(str, args)]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, 'OMP_NUM_THREADS': '1'}
        )
        deadline = time.time() + 60
        while count() < 4 and process.poll() is None and time.time() < deadline:
            time.sleep(0.001)
        children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
        process.send_signal(signal.SIGKILL)
        process.wait()
        while any(is_running(child) for child in children) and time.time() < deadline:
            time.sleep(0.01)
        assert not any(is_running(child) for child in children)
        return count()

    def is_running(pid: str) -> bool:
        try:
            return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
        except OSError:
            return False

    return run
