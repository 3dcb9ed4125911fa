# To be sourced by the launchers: what they have in common.
#
# PYTHON names the interpreter (default: that of the active environment, else of the project's .venv).
# PY_ARGS holds more options of the tool that is started, separated by blanks.
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONWARNINGS="${PYTHONWARNINGS:-ignore:On January 1}"  # mmcv's announcement of its next version, once per process

fail() { echo "error: $*" >&2; exit 1; }

# usage [WHAT IS WRONG]: the comment that the script begins with
usage() {
    [ $# -eq 0 ] || echo "error: $*" >&2
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# need_file KIND PATH
need_file() {
    [ -f "$2" ] || fail "$1 $2 does not exist"
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

# torchrun whose last words are what the user needs to know: TEXT after success, else why the first process failed, also in the
# exit status. Processes leave their input errors in torch's error files (knet/errors.py): the line is there once, not once per
# process. Called with TEXT NUMBER [options of torchrun]; without a NUMBER all GPUs of this machine are used, or one process.
torchrun='
import logging, signal, socket, sys
import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

def stop(words, status):
    sys.stderr.write(f"error: {words}\n")
    sys.exit(status)

def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]

def report(failures):
    for _, failure in sorted(failures.items(), key=lambda item: item[1].timestamp):
        words = failure.error_file_data["message"]
        if isinstance(words, dict):
            stop(words["message"], failure.exitcode)
    # those that the launcher ended because of another one come last
    rank, failure = min(failures.items(), key=lambda item: (item[1].exitcode == -signal.SIGTERM, item[1].timestamp))
    if failure.exitcode < 0:
        stop(f"process {rank} was ended by {failure.signal_name()}", 128 - failure.exitcode)
    stop(f"process {rank} ended with status {failure.exitcode}; its messages are above", failure.exitcode)

text, number, *arguments = sys.argv[1:]
visible = torch.cuda.device_count()
if number and 0 < visible < int(number):
    stop(f"{number} GPUs are asked for, but this machine shows {visible}", 1)
args = parse_args(["--nproc_per_node", number or str(max(visible, 1)), *arguments])
if not args.master_port:
    args.master_port = free_port() if args.nnodes == "1" else 29500
logging.disable(logging.ERROR)  # all that torch would say of the failure of a process is said here
try:
    run(args)
except (KeyboardInterrupt, SignalException) as error:
    sys.exit(128 + getattr(error, "sigval", signal.SIGINT))
except ChildFailedError as error:
    report(error.failures)
except RuntimeError as error:
    if "EADDRINUSE" not in str(error):
        raise
    stop(f"port {args.master_port} is in use on this machine; choose another one by PORT", 1)
if text:
    print(text)
'

# run_workers NUMBER TEXT TOOL ARGUMENTS...: run tools/TOOL in NUMBER processes on this machine, see `torchrun` above.
# NNODES, NODE_RANK, MASTER_ADDR and PORT (default: a free one, 29500 for several machines) join several machines.
run_workers() {
    number=$1 text=$2 tool=$3
    shift 3
    # shellcheck disable=SC2086
    exec "$PYTHON" -c "$torchrun" "$text" "$number" --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" \
        --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "${PORT:-0}" "$root/tools/$tool" "$@" --launcher pytorch ${PY_ARGS:-}
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
