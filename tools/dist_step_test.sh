#!/bin/sh
# Test a model on the videos (or images) of a config: write predictions and coloured images, evaluate them.
#
#   sh tools/dist_step_test.sh CONFIG MODEL_DIR [GPUS] [options of tools/test.py]
#
# MODEL_DIR is a checkpoint, or the work dir of a run, for its newest checkpoint.
# GPUS is the number of processes (default: all GPUs of this machine, 1 without GPUs); sequences are dealt to them whole.
# Results go to work_dirs/<name of the config>/results and .../show; --work-dir, --out and --show-dir name other folders.
# PYTHON names the interpreter.
set -eu
. "$(dirname "$0")/launch.sh"
[ $# -ge 2 ] || usage "CONFIG and MODEL_DIR are needed, got '$*'"
config=$1 checkpoint=$2
shift 2
gpus=
case ${1:--} in -*) ;; *) gpus=$1; shift; need_number GPUS "$gpus" ;; esac
need_file config "$config"
find_checkpoint "$checkpoint"
find_python
run_workers "$gpus" test.py "$config" "$checkpoint" --eval --show-dir "$@"
