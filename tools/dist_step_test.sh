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
run_workers "$gpus" test.py "$config" "$checkpoint" --eval --show-dir "$@"
