#!/bin/sh
# Train on several GPUs of this machine, or of several machines; on a machine without GPUs, in several processes on the CPU.
#
#   sh tools/dist_train.sh JOB_NAME CONFIG GPUS [WORK_DIR] [options of tools/train.py]
#   sh tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT, the same on all but NODE_RANK. PORT is a free one by default.
set -eu
usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
case "$1" in *.py) ;; *) shift ;; esac
[ $# -ge 2 ] || usage
config=$1 gpus=$2
shift 2
case "$gpus" in ''|*[!0-9]*|0) echo "$0: the number of GPUs must be a positive number, got '$gpus'" >&2; usage ;; esac
[ -f "$config" ] || { echo "error: config $config does not exist" >&2; exit 1; }
case "${1:--}" in -*) ;; *) work_dir=$1; shift; set -- --work-dir "$work_dir" "$@" ;; esac

root=$(dirname "$0")/..
. "$root/tools/find_python.sh"
if [ -z "${PORT:-}" ]; then
    if [ "${NNODES:-1}" -gt 1 ]; then
        PORT=29500
    else
        PORT=$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    fi
fi
exec "$PYTHON" -m torch.distributed.run --nnodes "${NNODES:-1}" --node_rank "${NODE_RANK:-0}" --nproc_per_node "$gpus" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" --master_port "$PORT" "$root/tools/train.py" "$config" --launcher pytorch "$@"
