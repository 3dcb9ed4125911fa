#!/bin/sh
# Test on several GPUs of this machine; on a machine without GPUs, in several processes on the CPU. Any number of processes
# writes the same files.
#
#   sh tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
#
# Several machines with a common file system: NNODES, NODE_RANK, MASTER_ADDR and PORT, as of dist_train.sh. PYTHON
# names the interpreter.
set -eu
. "$(dirname "$0")/launch.sh"
[ $# -ge 3 ] || usage
config=$1 checkpoint=$2 gpus=$3
shift 3
need_number GPUS "$gpus"
need_file config "$config"
find_checkpoint "$checkpoint"
find_python
run_workers "$gpus" test.py "$config" "$checkpoint" "$@"
