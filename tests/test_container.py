"""The Dockerfile: its style, and the image that it makes, in which the quick start runs."""

import os
import re
import shutil
import subprocess
import sysconfig

import pytest

from tests.conftest import ROOT
from tests.dockerfile import build, context_files, parse, size

TEXT = (ROOT / 'Dockerfile').read_text()


def test_linter_has_nothing_to_say():
    hadolint = os.path.join(sysconfig.get_path('scripts'), 'hadolint')
    done = subprocess.run([hadolint, ROOT / 'Dockerfile'], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == '', done.stdout


def test_context_holds_what_is_copied_and_nothing_large():
    files = {path.as_posix() for path in context_files(ROOT)}
    for name in ('tools/quickstart.sh', 'knet/commands/options.py', 'requirements/lock.txt'):
        assert name in files
    tops = {name.split('/')[0] for name in files}
    assert not tops & {'.git', '.venv', '.ci', 'data', 'tests', 'work_dirs'}
    assert not [name for name in files if '__pycache__' in name or name.endswith('.pth')]


def test_nothing_runs_as_root():
    instructions = parse(TEXT)
    assert re.fullmatch(r'[1-9]\d*', [rest for name, rest in instructions if name == 'USER'][-1])
    assert [name for name, _ in instructions].index('USER') > max(
        i for i, (name, _) in enumerate(instructions) if name == 'RUN'
    )


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which('mmdebstrap'), reason='needs root and mmdebstrap'
)
def test_quick_start_in_the_image(tmp_path):
    """Without a container engine: the instructions are carried out with chroot."""
    try:
        stage = build(TEXT, ROOT, tmp_path / 'image', {})
        print(f'root file system: {size(stage.root) / 1e9:.2f} GB')
        stage.run('video-knet check && sh tools/quickstart.sh')
        out = stage.root / 'opt/video-knet/work_dirs/quickstart_seed0'
        assert (out / 'report.html').exists() and (out / 'results/metrics.json').exists()
        assert (out / 'report.html').stat().st_uid == 1000
    finally:
        shutil.rmtree(tmp_path / 'image', ignore_errors=True)  # pytest would keep its gigabytes
