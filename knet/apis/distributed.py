"""Distributed runs on GPUs (nccl) and, to try them anywhere, on CPUs (gloo): how processes meet and
wait for each other."""

import contextlib
import itertools
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Iterator, Optional

import torch
import torch.distributed as dist
from mmcv.runner import get_dist_info

from knet.errors import LOST_OTHERS, InputError, Stopped
from knet.parallel import end_with_parent

STORE = 'VIDEO_KNET_STORE'
"""Variable with the file in which the processes of one machine meet; set by tools/launch.py."""
LOST = re.compile(
    'timed? ?out|connection (was likely )?(closed|reset|refused)|broken pipe|failed to recv|'
    'remote process',
    re.IGNORECASE,
)
"""In the messages of gloo and nccl."""
_store: Optional[dist.Store] = None
_barriers = itertools.count()


def barrier() -> None:
    """Wait for the other processes, if there are any, however long they take.

    Raises:
        Stopped: one of them has ended.
    """
    _, world_size = get_dist_info()
    if world_size == 1:
        return
    assert _store is not None
    key, pause = f'barrier/{next(_barriers)}', 0.001
    if _store.add(f'{key}/count', 1) == world_size:
        _store.set(f'{key}/open', '1')
    while not _store.check([f'{key}/open']):
        if _store.check(['ended']):
            raise Stopped(
                'another process was asked to stop, or has failed; start the '
                'command again (training: with --auto-resume)'
            )
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


def tell_others() -> None:
    """Let the others know that this process ends before they do, so that none waits for it."""
    if _store is not None:
        with contextlib.suppress(RuntimeError):
            _store.set('ended', '1')


@contextlib.contextmanager
def say_who_is_lost() -> Iterator[None]:
    """Turn what torch raises when another process has ended, or does not answer, into an
    `InputError`; the others are told where this process fails."""
    try:
        yield
    except (InputError, Stopped):
        tell_others()
        raise
    except RuntimeError as error:
        rank, world_size = get_dist_info()
        if world_size == 1 or not LOST.search(str(error)):
            raise
        raise InputError(
            f'process {rank} {LOST_OTHERS}: one of them has ended, or did not answer for the '
            f'time of --timeout-minutes ({str(error).splitlines()[0][:120]})'
        ) from None


def broadcast_object(value: Any) -> Any:
    """The first process's value, in all processes."""
    if get_dist_info()[1] == 1:
        return value
    values = [value]
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    dist.broadcast_object_list(values, 0, device=device)
    return values[0]


def broadcast_buffers(model: torch.nn.Module) -> None:
    """Give all processes the first one's buffers, the running statistics of norms; the parameters
    are equal already."""
    if get_dist_info()[1] > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def init_distributed(launcher: str, timeout_minutes: float = 30) -> bool:
    """Join the process group of a launcher.

    On one machine the processes meet in a file that only their user can read, and talk over the
    loopback interface; over several machines they need a network that can be trusted, since torch's
    store has no password.

    Args:
        launcher: 'none', 'pytorch' (tools/launch.py, or torchrun, set RANK, WORLD_SIZE, LOCAL_RANK,
            MASTER_ADDR, MASTER_PORT) or 'slurm' (srun sets SLURM_*; MASTER_ADDR and MASTER_PORT may
            be given, by default the first node and a port that follows from the job's number).
        timeout_minutes: So long the processes wait in an exchange for one that does not answer.

    Returns:
        Whether the run is distributed.

    Raises:
        InputError: the variables of the launcher are not set, or the processes cannot meet.
    """
    global _store
    if launcher == 'none':
        return False
    if launcher == 'slurm':
        _slurm_to_torch()
    else:
        end_with_parent()
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK') if name not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {launcher}: {", ".join(missing)} not set; start with tools/dist_train.sh '
            'or tools/slurm_train.sh'
        )
    rank, world_size = int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']) % torch.cuda.device_count())
    timeout = timedelta(minutes=timeout_minutes)
    file = os.environ.get(STORE)
    place = file or ':'.join(
        os.environ.get(name, f'({name} not set)') for name in ('MASTER_ADDR', 'MASTER_PORT')
    )
    try:
        if file:
            for library in ('GLOO', 'NCCL'):
                loopback = 'lo0' if sys.platform == 'darwin' else 'lo'
                os.environ.setdefault(f'{library}_SOCKET_IFNAME', loopback)
            store: dist.Store = dist.FileStore(file, world_size)
            store.set_timeout(timeout)
        else:
            # torch would try an unknown name again for half an hour
            socket.getaddrinfo(os.environ.get('MASTER_ADDR', ''), None)
            store, rank, world_size = next(dist.rendezvous('env://', timeout=timeout))
        _store = dist.PrefixStore('video_knet', store)
        backend = 'nccl' if torch.cuda.is_available() else 'gloo'
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=timeout
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f'process {os.environ["RANK"]} cannot meet the others at {place}: '
            f'{str(error).splitlines()[0]}; MASTER_ADDR must be the first machine and PORT a free '
            'port of it, the same for all'
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
    job, step = os.environ['SLURM_JOB_ID'], os.environ.get('SLURM_STEP_ID', '0')
    start = os.environ.get('SLURM_RESTART_COUNT', '0')
    if os.environ.get('SLURM_STEP_NUM_NODES', '') == '1':
        os.environ.setdefault(STORE, str(private_folder(f'{job}.{step}.{start}') / 'store'))
        return
    # jobs that share a node must not meet at one port; 20000 to 29999 lies below the ports that
    # systems hand out themselves
    os.environ.setdefault('MASTER_PORT', str(20000 + int(job) % 10000))
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node(os.environ['SLURM_STEP_NODELIST'])


def private_folder(name: str) -> Path:
    """A folder for temporary files that this user alone can read, the same for all its processes.

    Raises:
        InputError: somebody else has made a folder of that name.
    """
    folder = Path(tempfile.gettempdir()) / f'video-knet-{os.getuid()}-{name}'
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise InputError(f'cannot create {folder}: {error.strerror}; set TMPDIR') from None
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
        raise InputError(f'{folder} is open to other users; delete it, or set TMPDIR')
    return folder


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
