# To be sourced by the launchers: what they have in common.
#
# PYTHON names the interpreter (default: that of the active environment, else of the project's .venv).
# PY_ARGS holds more options of the tool that is started, separated by blanks.
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONWARNINGS="${PYTHONWARNINGS:-ignore:On January 1}"  # mmcv's announcement of its next version, once per process

fail() { echo "error: $*" >&2; exit 1; }

# usage [WHAT IS WRONG]: the comment that the script begins with
usage() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    [ $# -eq 0 ] || echo "error: $*" >&2
    exit 2
}

# need_file KIND PATH
need_file() {
    [ -f "$2" ] || fail "$1 $2 does not exist"
}

# find_checkpoint PATH: sets $checkpoint. A folder stands for its newest checkpoint, which the tool finds.
find_checkpoint() {
    checkpoint=$1
    case $checkpoint in
        latest.pth|*/latest.pth) [ -e "$checkpoint" ] || [ ! -d "$(dirname "$checkpoint")" ] || checkpoint=$(dirname "$checkpoint") ;;
    esac
    if [ -d "$checkpoint" ]; then
        ls "$checkpoint"/*.pth >/dev/null 2>&1 || fail "$checkpoint holds no .pth file; name a checkpoint, or the work dir of a training run"
    else
        need_file checkpoint "$checkpoint"
    fi
}

# need_number NAME VALUE
need_number() {
    case $2 in ''|*[!0-9]*|0*) usage "$1 must be a positive number, got '$2'" ;; esac
}

# Sets PYTHON.
find_python() {
    if [ -z "${PYTHON:-}" ]; then
        PYTHON=${VENV:-$root/.venv}/bin/python
        [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$PYTHON" ] || PYTHON=python
    fi
    "$PYTHON" -c 'import sys, importlib.util as util; sys.exit(not (util.find_spec("torch") and util.find_spec("knet")))' 2>/dev/null ||
        fail "$PYTHON has no torch or no knet; run 'sh tools/setup_env.sh' first, or name an interpreter: PYTHON=/path/to/python"
}

# run_workers NUMBER TOOL ARGUMENTS...: run tools/TOOL in NUMBER processes on this machine, see launch.py.
# NNODES, NODE_RANK, MASTER_ADDR and PORT (default: 29500) join several machines, in a network that can be trusted; the processes
# of one machine use no port.
run_workers() {
    number=$1 tool=$2
    shift 2
    need_number NNODES "${NNODES:-1}"
    case ${NODE_RANK:-0} in *[!0-9]*|0?*) usage "NODE_RANK must be a whole number from 0 on, got '$NODE_RANK'" ;; esac
    [ "${NODE_RANK:-0}" -lt "${NNODES:-1}" ] || usage "NODE_RANK must be less than NNODES, got $NODE_RANK of ${NNODES:-1}"
    # shellcheck disable=SC2086
    exec "$PYTHON" "$root/tools/launch.py" "$number" "${NNODES:-1}" "${NODE_RANK:-0}" "${MASTER_ADDR:-127.0.0.1}" "${PORT:-29500}" \
        "$root/tools/$tool" "$@" --launcher pytorch ${PY_ARGS:-}
}

# run_tasks PARTITION JOB_NAME TOOL ARGUMENTS...: run tools/TOOL under Slurm, one task per GPU.
run_tasks() {
    partition=$1 job=$2 tool=$3
    shift 3
    gpus=${GPUS:-8}
    need_number GPUS "$gpus"
    per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
    need_number GPUS_PER_NODE "$per_node"
    need_number CPUS_PER_TASK "${CPUS_PER_TASK:-5}"
    gres=${GRES-gpu:$per_node}
    command -v srun >/dev/null || fail "srun is not installed here; start on a machine of the cluster, or use the dist_*.sh scripts"
    [ -z "${PORT:-}" ] || export MASTER_PORT="$PORT"
    # shellcheck disable=SC2086
    exec srun --partition="$partition" --job-name="$job" ${gres:+--gres="$gres"} --ntasks="$gpus" --ntasks-per-node="$per_node" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
        "$PYTHON" -u "$root/tools/$tool" "$@" --launcher slurm ${PY_ARGS:-}
}
