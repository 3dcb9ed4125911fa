"""What trains: the model's wrappers, which take batches from a loader, and mmcv's runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from mmcv.parallel import MODULE_WRAPPERS
from mmcv.runner import RUNNERS, EpochBasedRunner
from mmcv.runner.checkpoint import weights_to_cpu
from mmdet.core import reduce_mean
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from knet.errors import InputError
from knet.files import whole_file
from knet.models.checkpoint import load_weights, published_state_dict
from knet.structures import FrameBatch, to_device


class TrainStep:
    """What both wrappers do in a training step."""

    module: nn.Module
    precision: Optional[torch.dtype]

    def train_step(self, batch: Sequence[FrameBatch], optimizer: Any, **kwargs: Any) -> Dict:
        """Losses of a batch; called by mmcv's runner.

        Args:
            batch: Key frames and, for video models, reference frames, on the CPU.
            optimizer: Not used; mmcv's hooks step it.

        Returns:
            `loss` to go back from, `log_vars` and `num_samples` for the log.
        """
        device = next(self.module.parameters()).device
        autocast = torch.autocast(device.type, self.precision, enabled=self.precision is not None)
        with autocast:
            losses = self(*to_device(tuple(batch), device))  # type: ignore[operator]
        loss, log_vars = sum_losses(losses)
        return dict(loss=loss, log_vars=log_vars, num_samples=len(batch[0]))


@MODULE_WRAPPERS.register_module()
class SingleModel(TrainStep, nn.Module):
    """A model that one process trains, on its device.

    Args:
        module: The model.
        precision: Type of autocast, None for float32.
    """

    def __init__(self, module: nn.Module, precision: Optional[torch.dtype] = None):
        super().__init__()
        self.module = module
        self.precision = precision

    def forward(self, *batch: FrameBatch) -> Dict[str, Any]:
        return self.module(*batch)


class DistributedModel(TrainStep, DistributedDataParallel):
    """A model that one of several processes trains, on its device; gradients are averaged.

    Args:
        module: The model.
        precision: Type of autocast, None for float32.
    """

    def __init__(self, module: nn.Module, precision: Optional[torch.dtype] = None):
        super().__init__(module, broadcast_buffers=False)
        self.precision = precision


def wrap_model(
    model: nn.Module, distributed: bool, precision: Optional[torch.dtype] = None
) -> nn.Module:
    """Put a model on this process's GPU, or on the CPU, ready for `train_step`."""
    if torch.cuda.is_available():
        model = model.cuda()
    return (DistributedModel if distributed else SingleModel)(model, precision)


def sum_losses(losses: Dict[str, torch.Tensor]) -> Tuple[torch.Tensor, Dict[str, float]]:
    """Sum of all values with "loss" in their name, and all values' means over the processes.

    All values travel in one exchange between processes and in one transfer from the GPU.
    """
    values = {name: value.mean() for name, value in losses.items()}
    total: Any = sum(value for name, value in values.items() if 'loss' in name)
    values['loss'] = total
    means = reduce_mean(torch.stack([value.detach().float() for value in values.values()]))
    return total, dict(zip(values, means.tolist()))


@RUNNERS.register_module()
class KNetRunner(EpochBasedRunner):
    """mmcv's runner by epochs, with the project's own reading and writing of checkpoints.

    Checkpoints are written whole or not at all, under the published parameter names, and read by
    `knet.models.checkpoint` (safe, and complete on resuming).
    """

    allow_pickle = False

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Run the workflow; hooks are told when it ends, also where it fails."""
        try:
            super().run(*args, **kwargs)
        finally:
            for hook in self.hooks:
                if hasattr(hook, 'close'):
                    hook.close()

    def load_checkpoint(
        self, filename: str, map_location: str = 'cpu', strict: bool = True, revise_keys: Any = ()
    ) -> Dict:
        """Weights to go on with (mmcv calls this on resuming): all of the model's must be there."""
        return load_weights(
            self.model.module,
            filename,
            complete=True,
            allow_pickle=self.allow_pickle,
            logger=self.logger,
        )[0]

    def resume(self, checkpoint: str, **kwargs: Any) -> None:
        """Go on with an interrupted run: weights, optimizer, epoch and iteration.

        Nothing that the file holds is executed (mmcv would run its config).

        Raises:
            InputError: the file is no checkpoint of a training run.
        """
        content = self.load_checkpoint(checkpoint)
        meta = content.get('meta') or {}
        if 'optimizer' not in content or not {'epoch', 'iter'} <= set(meta):
            raise InputError(
                f'checkpoint {checkpoint} holds no state of a training run (optimizer, epoch, '
                'iteration); start a new run from its weights with --load-from'
            )
        try:
            self.optimizer.load_state_dict(content['optimizer'])
        except ValueError as error:
            raise InputError(f'checkpoint {checkpoint} is of another run: {error}') from None
        self._epoch, self._iter = int(meta['epoch']), int(meta['iter'])
        if 'fp16' in meta:
            self.meta['fp16'] = meta['fp16']
        self.logger.info('resumed epoch %d, iter %d', self.epoch, self.iter)

    def save_checkpoint(
        self,
        out_dir: str,
        filename_tmpl: str = 'epoch_{}.pth',
        save_optimizer: bool = True,
        meta: Optional[Dict] = None,
        create_symlink: bool = True,
    ) -> None:
        """Write `epoch_<n>.pth`, and the link `latest.pth` to it; a killed run leaves no half."""
        path = Path(out_dir) / filename_tmpl.format(self.epoch + 1)
        progress = dict(epoch=self.epoch + 1, iter=self.iter)
        checkpoint = dict(
            meta={**(meta or {}), **(self.meta or {}), **progress},
            state_dict=weights_to_cpu(published_state_dict(self.model.module)),
        )
        if save_optimizer:
            checkpoint['optimizer'] = self.optimizer.state_dict()
        with whole_file(path) as partial:
            torch.save(checkpoint, partial)
        if create_symlink:
            with whole_file(path.with_name('latest.pth')) as partial:
                partial.symlink_to(path.name)
