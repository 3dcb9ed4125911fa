#!/bin/sh
# Train under Slurm, one task per GPU.
#
#   [GPUS=8] [GPUS_PER_NODE=8] [...] sh tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
#
#   GPUS           number of tasks (default: 8)
#   GPUS_PER_NODE  tasks on a node (default: 8, or GPUS where that is less)
#   CPUS_PER_TASK  default: 5
#   GRES           what is asked for on each node (default: gpu:$GPUS_PER_NODE); empty on a cluster without GPUs: GRES= sh tools/...,
#                  the tasks then run on the CPU
#   SRUN_ARGS      more options of srun, separated by blanks
#   PY_ARGS        more options of tools/train.py, separated by blanks
#   MASTER_ADDR    where the tasks meet (default: the first node)
#   PORT           and on which port (default: one that follows from the job's number)
#   PYTHON         the interpreter
set -eu
. "$(dirname "$0")/launch.sh"
[ $# -ge 4 ] || usage "PARTITION, JOB_NAME, CONFIG and WORK_DIR are needed, got '$*'"
partition=$1 job=$2 config=$3 work_dir=$4
shift 4
case $work_dir in -*) usage "PARTITION or WORK_DIR is missing: PARTITION JOB_NAME CONFIG WORK_DIR come before $work_dir" ;; esac
need_file config "$config"
find_python
run_tasks "$partition" "$job" train.py "$config" --work-dir "$work_dir" "$@"
