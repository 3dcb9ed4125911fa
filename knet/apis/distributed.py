"""Start of distributed runs on GPUs (nccl) and, to try them anywhere, on CPUs (gloo)."""
import os
import socket
import subprocess
from typing import Any, Dict, List, Sequence, Tuple

import torch
import torch.distributed as dist
from mmcv.parallel import MMDataParallel, MMDistributedDataParallel
from mmcv.parallel.scatter_gather import scatter_kwargs
from torch import nn

from knet.errors import InputError


def unpack_batch(inputs: Tuple, kwargs: Dict, device: torch.device) -> Tuple[Tuple, Dict]:
    """Take what a loader gives out of its data containers and bring its tensors to a device.

    mmcv's own way to a GPU calls a private function of torch that has changed its argument (torch 2.1).

    Args:
        inputs, kwargs: Arguments of a model, with mmcv's `DataContainer`s anywhere in them.
        device: Where tensors go; what a container marks as `cpu_only`, like masks, stays.
    """
    unpacked = scatter_kwargs(inputs, kwargs, [-1])
    return tuple(_to_device(values[0], device) for values in unpacked)


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: _to_device(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_device(item, device) for item in value)
    return value


class SingleModel(MMDataParallel):
    """A model on one device, CPU or GPU, that takes batches as they come from a loader."""

    def scatter(self, inputs: Tuple, kwargs: Dict, device_ids: Sequence[int]) -> Tuple[List, List]:
        """Called by mmcv before each step; one device, so lists of one element."""
        inputs, kwargs = unpack_batch(inputs, kwargs, next(self.module.parameters()).device)
        return [inputs], [kwargs]


class DistributedModel(MMDistributedDataParallel):
    """A model that one of several processes trains on its device, CPU or GPU, on batches as they come from a loader."""

    def train_step(self, *inputs, **kwargs) -> Dict:
        """One training step; the gradients are averaged over the processes in `backward`."""
        inputs, kwargs = unpack_batch(inputs, kwargs, next(self.module.parameters()).device)
        return super().train_step(*inputs, **kwargs)


def init_distributed(launcher: str) -> bool:
    """Join the process group of a launcher.

    Args:
        launcher: 'none', 'pytorch' (torchrun sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT) or 'slurm' (srun
            sets SLURM_*; MASTER_ADDR and MASTER_PORT may be given, by default the first node and a port that follows from the
            job's number).

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
        raise InputError(f'--launcher {launcher}: {", ".join(missing)} not set; start with tools/dist_train.sh or tools/slurm_train.sh')
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']) % torch.cuda.device_count())
    place = ':'.join(os.environ.get(name, f'({name} not set)') for name in ('MASTER_ADDR', 'MASTER_PORT'))
    try:
        socket.getaddrinfo(os.environ.get('MASTER_ADDR', ''), None)  # torch would try an unknown name again for half an hour
        dist.init_process_group('nccl' if torch.cuda.is_available() else 'gloo')
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f'process {os.environ["RANK"]} cannot meet the others at {place}: {str(error).splitlines()[0]}') from None
    return True


def _slurm_to_torch() -> None:
    """Set torch's variables from those of srun."""
    names = dict(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS', LOCAL_RANK='SLURM_LOCALID')
    if any(name not in os.environ for name in names.values()):
        raise InputError('--launcher slurm: not started by srun (SLURM_PROCID is not set); use tools/slurm_train.sh')
    os.environ.update({name: os.environ[source] for name, source in names.items()})
    # jobs that share a node must not meet at one port; 20000 to 29999 lies below the ports that systems hand out themselves
    os.environ.setdefault('MASTER_PORT', str(20000 + int(os.environ['SLURM_JOB_ID']) % 10000))
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node(os.environ['SLURM_STEP_NODELIST'])


def _first_node(nodes: str) -> str:
    """Name of the first node of Slurm's short list of nodes, like `gpu[003-004,007]`."""
    try:
        return subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        raise InputError(f'--launcher slurm: scontrol does not tell the first node of {nodes}; set MASTER_ADDR') from None


def wrap_model(model: nn.Module, distributed: bool) -> nn.Module:
    """Put a model on this process's GPU, or on the CPU, and behind the wrapper that unpacks batches."""
    if torch.cuda.is_available():
        model = model.cuda()
    if distributed:
        return DistributedModel(model, broadcast_buffers=False)
    return SingleModel(model, [torch.cuda.current_device() if torch.cuda.is_available() else -1])
