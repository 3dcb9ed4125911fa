"""Loaders of a config."""

import subprocess
import sys

from tests.conftest import ROOT


def test_a_process_ends_although_it_holds_a_loader():
    """Workers ignore SIGTERM; a process that ends in the middle of an epoch must not wait."""
    code = """
import torch
from torch.utils.data import DataLoader
from knet.data.loaders import start_worker
iterator = iter(DataLoader(range(1000), num_workers=2, worker_init_fn=start_worker))
next(iterator)
import sys; sys.kept = iterator  # as a traceback would keep it
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr
