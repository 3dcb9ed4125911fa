#!/bin/sh
# Test a model on the videos (or images) of a config: write predictions and coloured images, evaluate them.
#
#   sh tools/dist_step_test.sh CONFIG MODEL_DIR [GPUS] [options of tools/test.py]
#
# MODEL_DIR is a checkpoint, or a folder: its latest.pth is taken, without that its newest .pth file.
# GPUS is the number of processes (default: all GPUs of this machine, 1 without GPUs); sequences are dealt to them whole.
# Results go to work_dirs/<name of the config>/results and .../show; --work-dir, --out and --show-dir name other folders.
# PORT is a free one by default. PYTHON names the interpreter.
set -eu
. "$(dirname "$0")/launch.sh"
[ $# -ge 2 ] || usage
config=$1 checkpoint=$2
shift 2
gpus=
case ${1:--} in -*) ;; *) gpus=$1; shift; need_number GPUS "$gpus" ;; esac
need_file config "$config"
if [ -d "$checkpoint" ]; then
    folder=${checkpoint%/}
    checkpoint=$folder/latest.pth
    [ -f "$checkpoint" ] || checkpoint=$(ls -t "$folder"/*.pth 2>/dev/null | head -n 1)
    [ -n "$checkpoint" ] || fail "$folder holds no .pth file"
fi
need_file checkpoint "$checkpoint"
find_python

# The same folders as tools/test.py takes, and what the predictions can be evaluated against. A config or option that cannot be
# read gives nothing here; the test itself says why.
places=$("$PYTHON" - "$config" "$@" 2>/dev/null <<'END' || :
import argparse
from pathlib import Path

from mmcv import Config, DictAction

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument('config', type=Path)
parser.add_argument('--work-dir', type=Path)
parser.add_argument('--out', type=Path)
parser.add_argument('--show-dir', type=Path)
parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
args = parser.parse_known_args()[0]
work_dir = args.work_dir or Path('work_dirs') / args.config.stem
cfg = Config.fromfile(args.config)
cfg.merge_from_dict(args.cfg_options)
truth = Path(cfg.data.test.data_root) / 'video_sequence' / cfg.data.test.split
print(args.out or work_dir / 'results', args.show_dir or work_dir / 'show', truth if truth.is_dir() else '', sep='\n')
END
)
line() { printf '%s\n' "$places" | sed -n "$1p"; }
out=$(line 1) show=$(line 2) truth=$(line 3) text=
[ -z "$out" ] || set -- --eval --out "$out" --show-dir "$show" "$@"
[ -z "$truth" ] || text="evaluate again: $PYTHON tools/eval_dstq_step.py $out $truth
                $PYTHON tools/eval_dvpq_step.py $out $truth"
run_workers "$gpus" "$text" test.py "$config" "$checkpoint" "$@"
