"""torchrun whose last line is what the user needs to know; tools/launch.sh calls it.

    python tools/launch.py NUMBER [options of torchrun] SCRIPT [options of the script]

NUMBER is the number of processes on this machine; empty: one per GPU, or one without GPUs. Where
processes fail, the reason of the first one is the last line on stderr, and its exit status is this
one's. Processes leave their input errors in torch's error files (`knet.errors`), so that the line
is there once, not once per process.
"""

import logging
import signal
import socket
import sys
from typing import Dict, NoReturn

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.run import parse_args, run


def stop(message: str, status: int) -> NoReturn:
    """End with a line on stderr."""
    sys.stderr.write(f'error: {message}\n')
    sys.exit(status)


def free_port() -> int:
    """A port that nothing on this machine listens on."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def report(failures: Dict[int, ProcessFailure]) -> NoReturn:
    """End with the reason of the process that failed first."""
    for _, failure in sorted(failures.items(), key=lambda item: item[1].timestamp):
        message = failure.error_file_data['message']
        if isinstance(message, dict):
            stop(message['message'], failure.exitcode)
    # those that the launcher ended because of another one come last
    rank, failure = min(
        failures.items(), key=lambda item: (item[1].exitcode == -signal.SIGTERM, item[1].timestamp)
    )
    if failure.exitcode < 0:
        stop(f'process {rank} was ended by {failure.signal_name()}', 128 - failure.exitcode)
    stop(
        f'process {rank} ended with status {failure.exitcode}; its messages are above',
        failure.exitcode,
    )


def main() -> None:
    number, *arguments = sys.argv[1:]
    visible = torch.cuda.device_count()
    if number and 0 < visible < int(number):
        stop(f'{number} GPUs are asked for, but this machine shows {visible}', 1)
    args = parse_args(['--nproc_per_node', number or str(max(visible, 1)), *arguments])
    if not args.master_port:
        args.master_port = free_port() if args.nnodes == '1' else 29500
    logging.disable(
        logging.ERROR
    )  # all that torch would say of the failure of a process is said here
    try:
        run(args)
    except (KeyboardInterrupt, SignalException) as error:
        sys.exit(128 + getattr(error, 'sigval', signal.SIGINT))
    except ChildFailedError as error:
        report(error.failures)
    except RuntimeError as error:
        if 'EADDRINUSE' not in str(error):
            raise
        stop(f'port {args.master_port} is in use on this machine; choose another one by PORT', 1)


if __name__ == '__main__':
    main()
