"""Start of distributed runs on GPUs (nccl) and, to try them anywhere, on CPUs (gloo)."""

import os
import socket
import subprocess

import torch
import torch.distributed as dist
from mmcv.runner import get_dist_info

from knet.errors import InputError


def barrier() -> None:
    """Wait for the other processes, if there are any."""
    if get_dist_info()[1] > 1:
        dist.barrier()


def init_distributed(launcher: str) -> bool:
    """Join the process group of a launcher.

    Args:
        launcher: 'none', 'pytorch' (torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR,
            MASTER_PORT) or 'slurm' (srun sets SLURM_*; MASTER_ADDR and MASTER_PORT may be given, by
            default the first node and a port that follows from the job's number).

    Returns:
        Whether the run is distributed.

    Raises:
        InputError: the variables of the launcher are not set, or the processes cannot meet.
    """
    if launcher == 'none':
        return False
    if launcher == 'slurm':
        _slurm_to_torch()
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK') if name not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {launcher}: {", ".join(missing)} not set; start with tools/dist_train.sh '
            'or tools/slurm_train.sh'
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']) % torch.cuda.device_count())
    place = ':'.join(
        os.environ.get(name, f'({name} not set)') for name in ('MASTER_ADDR', 'MASTER_PORT')
    )
    try:
        socket.getaddrinfo(
            os.environ.get('MASTER_ADDR', ''), None
        )  # torch would try an unknown name again for half an hour
        dist.init_process_group('nccl' if torch.cuda.is_available() else 'gloo')
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f'process {os.environ["RANK"]} cannot meet the others at {place}: '
            f'{str(error).splitlines()[0]}'
        ) from None
    return True


def _slurm_to_torch() -> None:
    """Set torch's variables from those of srun."""
    names = dict(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS', LOCAL_RANK='SLURM_LOCALID')
    if any(name not in os.environ for name in names.values()):
        raise InputError(
            '--launcher slurm: not started by srun (SLURM_PROCID is not set); use '
            'tools/slurm_train.sh'
        )
    os.environ.update({name: os.environ[source] for name, source in names.items()})
    # jobs that share a node must not meet at one port; 20000 to 29999 lies below the ports that
    # systems hand out themselves
    os.environ.setdefault('MASTER_PORT', str(20000 + int(os.environ['SLURM_JOB_ID']) % 10000))
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node(os.environ['SLURM_STEP_NODELIST'])


def _first_node(nodes: str) -> str:
    """Name of the first node of Slurm's short list of nodes, like `gpu[003-004,007]`."""
    try:
        return subprocess.run(
            ['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True
        ).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        raise InputError(
            f'--launcher slurm: scontrol does not tell the first node of {nodes}; set MASTER_ADDR'
        ) from None
