#!/usr/bin/env python
"""Print VPQ of predictions in STEP layout, and DVPQ with --depth.

python tools/eval_dvpq_step.py work_dirs/run/results data/kitti-step --json result.json --plot plots
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from knet.commands import main  # noqa: E402

if __name__ == '__main__':
    main('eval_dvpq_step')
