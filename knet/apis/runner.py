"""What trains: the model's wrappers, which take batches from a loader, and mmcv's runner, made so
that a run which was cut off anywhere goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, ContextManager, Dict, Iterator, Optional, Sequence, Tuple

import numpy as np
import torch
from mmcv.parallel import MODULE_WRAPPERS
from mmcv.runner import RUNNERS, EpochBasedRunner, LoggerHook, get_dist_info, set_random_seed
from mmcv.runner.checkpoint import weights_to_cpu
from mmdet.core import reduce_mean
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from knet.apis.build import blame_config, out_of_memory
from knet.apis.distributed import barrier, say_who_is_lost, tell_others
from knet.apis.hooks import SavingHook
from knet.errors import InputError, Stopped
from knet.files import whole_file
from knet.models.checkpoint import check_finite, load_weights, published_state_dict
from knet.models.precision import use_precision
from knet.structures import FrameBatch, to_device

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""Signals after which a run saves where it stands and ends; Slurm sends the second one before a
job's time is over, if `--signal=USR1@120` asks for it."""


class TrainStep:
    """What both wrappers do in a training step."""

    module: nn.Module
    precision: Optional[torch.dtype]

    def train_step(
        self, batch: Sequence[FrameBatch], optimizer: Any, stop: bool = False, **kwargs: Any
    ) -> Dict:
        """Losses of a batch; called by mmcv's runner.

        Args:
            batch: Key frames and, for video models, reference frames, on the CPU.
            optimizer: Not used; hooks step it.
            stop: Whether this process was asked to stop.

        Returns:
            `loss` to go back from, `log_vars` and `num_samples` for the log, and `stop`: whether
            any process was asked to stop.
        """
        device = next(self.module.parameters()).device
        autocast = torch.autocast(device.type, self.precision, enabled=self.precision is not None)
        with autocast:
            losses = self(*to_device(tuple(batch), device))  # type: ignore[operator]
        loss, log_vars, stop = sum_losses(losses, stop)
        return dict(loss=loss, log_vars=log_vars, num_samples=len(batch[0]), stop=stop)


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
    model = use_precision(model, precision)
    return (DistributedModel if distributed else SingleModel)(model, precision)


def sum_losses(
    losses: Dict[str, torch.Tensor], stop: bool = False
) -> Tuple[torch.Tensor, Dict[str, float], bool]:
    """Sum of all values with "loss" in their name, all values' means over the processes, and
    whether any process has `stop` set.

    All values travel in one exchange between processes and in one transfer from the GPU.
    """
    values = {name: value.mean() for name, value in losses.items()}
    total: Any = sum(value for name, value in values.items() if 'loss' in name)
    values['loss'] = total
    row = [value.detach().float() for value in values.values()]
    *means, stops = reduce_mean(torch.stack([*row, row[0].new_tensor(float(stop))])).tolist()
    return total, dict(zip(values, means)), stops > 0


@RUNNERS.register_module()
class KNetRunner(EpochBasedRunner):
    """mmcv's runner by epochs; an interrupted run goes on at its next iteration.

    Random streams follow from seed, process and iteration, never from what was drawn before; those
    of the data follow from `knet.data.samplers.TrainSampler`. Checkpoints are written whole or not
    at all, under the published parameter names, and read by `knet.models.checkpoint`.

    Attributes:
        iterations_per_epoch: Of this run; to be set before hooks are registered.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.
    """

    iterations_per_epoch = 0
    allow_pickle = False
    _signal: Optional[int] = None
    _interruptible = False
    _has_begun = False

    def register_logger_hooks(self, log_config: Optional[Dict]) -> None:
        """Register loggers. They count anew in each epoch, and would say nothing about one that is
        shorter than their interval: of such ones they log the last iteration."""
        super().register_logger_hooks(log_config)
        for hook in self.hooks:
            if isinstance(hook, LoggerHook) and hook.by_epoch:
                hook.interval = min(hook.interval, self.iterations_per_epoch)

    def run(self, *args: Any, **kwargs: Any) -> None:
        """Run the workflow; hooks are told when it ends, also where it fails.

        Raises:
            Stopped: a signal of `STOP_SIGNALS` came; where the run stands is saved. The process
                ignores these signals from then on.
        """
        with self._signals(), say_who_is_lost():
            try:
                super().run(*args, **kwargs)
            except torch.OutOfMemoryError as error:
                raise InputError(out_of_memory('training', error)) from None
            finally:
                for hook in self.hooks:
                    if hasattr(hook, 'close'):
                        hook.close()

    def train(self, data_loader: DataLoader, **kwargs: Any) -> None:
        """Train an epoch, or what is left of it."""
        self.model.train()
        self.mode = 'train'
        self.data_loader = data_loader
        self._max_iters = self._max_epochs * self.iterations_per_epoch
        first = self._iter - self._epoch * self.iterations_per_epoch
        data_loader.sampler.set_epoch(self._epoch, first)  # type: ignore[attr-defined]
        self._seed_streams()
        self.call_hook('before_train_epoch')
        for inner_iter, batch in enumerate(data_loader, first):
            self._inner_iter, self.data_batch = inner_iter, batch
            self._seed_streams()
            with self._first_step():
                self.call_hook('before_train_iter')
                self.run_iter(batch, train_mode=True, stop=self._signal is not None, **kwargs)
                self.call_hook('after_train_iter')
            if self.outputs['stop']:
                self._save_and_stop()
            self._iter += 1
            del self.data_batch
        self.call_hook('after_train_epoch')
        self._epoch += 1

    def _first_step(self) -> ContextManager:
        """Explains what goes wrong in the first step of this process."""
        if self._has_begun:
            return contextlib.nullcontext()
        self._has_begun = True
        stack = contextlib.ExitStack()
        stack.enter_context(blame_config('the first training step', self.logger))
        stack.enter_context(say_who_is_lost())
        return stack

    def _seed_streams(self) -> None:
        """Begin this iteration's random streams."""
        words = np.random.SeedSequence((self.meta['seed'], get_dist_info()[0], self._iter))
        set_random_seed(int(words.generate_state(1)[0]))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Take note of signals in the block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        try:
            yield
        except Stopped:
            # this process ends, and what is sent to it when others have ended first must not change
            # its status, also while the interpreter shuts down
            before = dict.fromkeys(before, signal.SIG_IGN)
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self._signal = number
        if self._interruptible:
            self._stop()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Stop at once where a signal comes in the block; what the run would lose is saved."""
        self._interruptible = True
        try:
            if self._signal is not None:
                self._stop()
            yield
        finally:
            self._interruptible = False

    def _stop(self) -> None:
        self._interruptible = False
        tell_others()
        name = signal.Signals(self._signal).name if self._signal else 'another process'
        raise Stopped(
            f'stopped by {name} in epoch {self.epoch + 1}, after iteration {self.iter} of '
            f'{self.max_iters}; go on with --auto-resume'
        )

    def _save_and_stop(self) -> None:
        for hook in self.hooks:
            if isinstance(hook, SavingHook):
                path = hook.save_within_epoch(self)
                if path:
                    self.logger.info('saved %s', path)
        self._iter += 1
        barrier()  # a launcher ends all processes as soon as one of them has ended
        self._stop()

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

        Where an epoch has another number of iterations now (other processes, batch size or number
        of frames), the place in the schedule stays. Nothing that the file holds is executed (mmcv
        would run its config).

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
        configured = [
            {key: value for key, value in group.items() if key != 'params'}
            for group in self.optimizer.param_groups
        ]
        try:
            self.optimizer.load_state_dict(content['optimizer'])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f'checkpoint {checkpoint} is of another run: {error}') from None
        for group, settings in zip(self.optimizer.param_groups, configured):
            changed = settings['lr'] != group.get('initial_lr')  # the config may be a new one
            rate = settings['lr'] if changed else group['lr']
            group.update(settings, initial_lr=settings['lr'], lr=rate)
        epoch, iteration = int(meta['epoch']), int(meta['iter'])
        length = meta.get('iterations_per_epoch') or (iteration // epoch if epoch else 0)
        self._epoch = epoch
        self._iter = epoch * self.iterations_per_epoch
        if length:
            done = max(iteration - epoch * length, 0)  # of the epoch that was cut off
            self._iter += min(done * self.iterations_per_epoch // length, self.iterations_per_epoch)
            if length != self.iterations_per_epoch:
                self.logger.warning(
                    'an epoch had %d iterations and has %d now; the run goes on at the same place '
                    'of the schedule',
                    length,
                    self.iterations_per_epoch,
                )
        if 'fp16' in meta:
            self.meta['fp16'] = meta['fp16']
        self.logger.info('resumed epoch %d, iter %d', self.epoch, self.iter)

    def save_checkpoint(
        self,
        out_dir: str,
        filename_tmpl: str = 'epoch_{}.pth',
        save_optimizer: bool = True,
        meta: Optional[Dict] = None,
        create_symlink: bool = False,
    ) -> None:
        """Write the checkpoint of an epoch (mmcv's interface, for hooks of users)."""
        path = Path(out_dir) / filename_tmpl.format(self.epoch + 1)
        self.write_checkpoint(path, self.epoch + 1, self.iter, save_optimizer)

    def write_checkpoint(
        self, path: Path, epoch: int, iteration: int, save_optimizer: bool = True
    ) -> None:
        """Write a checkpoint after `epoch` epochs and `iteration` iterations; a killed run leaves
        no half.

        Raises:
            InputError: the file cannot be written, or a weight or statistic is not finite.
        """
        state = weights_to_cpu(published_state_dict(self.model.module))
        check_finite(state, f'{path.name} is not written: it')
        progress = dict(epoch=epoch, iter=iteration, iterations_per_epoch=self.iterations_per_epoch)
        checkpoint = dict(meta={**(self.meta or {}), **progress}, state_dict=state)
        if save_optimizer:
            checkpoint['optimizer'] = self.optimizer.state_dict()
        with whole_file(path) as partial:
            try:
                torch.save(checkpoint, partial)
            except RuntimeError as error:  # torch's word for a disk that is full
                raise OSError(
                    None, f'{str(error).splitlines()[0][:100]} (is the disk full?)'
                ) from None
