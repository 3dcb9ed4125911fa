#!/bin/sh
# Test under Slurm, one task per GPU. Any number of tasks writes the same files.
#
#   [GPUS=8] [GPUS_PER_NODE=8] [...] sh tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
#
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK, GRES, SRUN_ARGS, PY_ARGS, MASTER_ADDR, PORT and PYTHON: as of tools/slurm_train.sh.
set -eu
. "$(dirname "$0")/launch.sh"
[ $# -ge 4 ] || usage "PARTITION, JOB_NAME, CONFIG and CHECKPOINT are needed, got '$*'"
partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
need_file config "$config"
find_checkpoint "$checkpoint"
find_python
run_tasks "$partition" "$job" test.py "$config" "$checkpoint" "$@"
