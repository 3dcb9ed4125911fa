"""Say what this machine has and whether Video K-Net can run on it; put what it prints into a bug
report.

    python tools/misc/check_environment.py [DIR]

Looks at the versions of the packages, mmcv's operators, each GPU and whether the installed torch
has kernels for it, nccl, ffmpeg and the free disk at DIR. What does not work is a line "problem:
..." that says what to do; the exit status is then 1. Needs nothing but Python.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from knet.commands import main  # noqa: E402

if __name__ == '__main__':
    main('misc/check_environment')
