#!/usr/bin/env python
"""Print VPQ of predictions in STEP layout, and DVPQ with --depth.

python tools/eval_dvpq_step.py work_dirs/run/results data/kitti-step --json result.json --plot plots
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from knet.errors import report_input_errors  # noqa: E402
from knet.evaluation.cli import run  # noqa: E402

if __name__ == '__main__':
    with report_input_errors():
        print(run('VPQ (with --depth also DVPQ) of predictions in STEP layout.', 'vpq'))
