#!/bin/sh
# Train on several GPUs of this machine, or of several machines; on a machine without GPUs, in several processes on the CPU.
#
#   sh tools/dist_train.sh JOB_NAME CONFIG GPUS [WORK_DIR] [options of tools/train.py]
#   sh tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT, the same on all but NODE_RANK; GPUS is the number on each.
# PYTHON names the interpreter.
set -eu
. "$(dirname "$0")/launch.sh"
case ${1:-} in *.py) ;; *) [ $# -eq 0 ] || shift ;; esac
[ $# -ge 2 ] || usage
config=$1 gpus=$2
shift 2
need_number GPUS "$gpus"
need_file config "$config"
case ${1:--} in -*) ;; *) work_dir=$1; shift; set -- --work-dir "$work_dir" "$@" ;; esac
find_python
run_workers "$gpus" train.py "$config" "$@"
