"""What a training run does beside training: steps of the optimizer, checkpoints, a progress bar,
and validation."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import torch
from mmcv.runner import HOOKS, Hook, master_only
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from tqdm import tqdm

from knet.apis.distributed import broadcast_buffers, broadcast_object
from knet.apis.test import own_results, progress_interval, test_sequences
from knet.apis.work_dir import NAME, WITHIN_EPOCH, link_latest, list_checkpoints
from knet.data.loaders import SequenceLoader
from knet.errors import InputError, check_whole
from knet.files import read_mark
from knet.tasks import Task


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """A bar over all iterations, with the time left and the loss."""

    bar: Any = None

    @master_only
    def before_run(self, runner: Any) -> None:
        self.bar = tqdm(
            total=runner.max_iters,
            desc='training',
            unit='iter',
            initial=runner.iter,
            mininterval=progress_interval(),
        )

    @master_only
    def after_train_iter(self, runner: Any) -> None:
        loss = runner.outputs['log_vars']['loss']
        self.bar.set_postfix(loss=f'{loss:.3f}', refresh=False)
        self.bar.update()

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self.bar is not None:
            self.bar.close()


@HOOKS.register_module()
class StepHook(Hook):
    """Back-propagates, clips and steps the optimizer, but never along what is not finite: such a
    step is left out and counted, and a run of them ends the training.

    With float16, gradients that overflow are the loss scaler's business and do not count.

    Args:
        grad_clip: `max_norm`, and `norm_type` (2 by default); None does not clip.
        max_skipped: So many steps left out one after the other end the training.
        loss_scale: For float16: 'dynamic' or a number. None: no scaling.
    """

    def __init__(
        self,
        grad_clip: Optional[Dict] = None,
        max_skipped: int = 10,
        loss_scale: Optional[Union[str, float]] = None,
    ):
        clip = grad_clip or {}
        if set(clip) - {'max_norm', 'norm_type'}:
            raise ValueError(f'grad_clip takes max_norm and norm_type, got {grad_clip}')
        self.max_norm = None if clip.get('max_norm') is None else float(clip['max_norm'])
        self.norm_type = float(clip.get('norm_type', 2))
        self.max_skipped = max_skipped
        options: Dict[str, Any] = dict(enabled=loss_scale is not None)
        if loss_scale not in (None, 'dynamic'):
            options.update(init_scale=loss_scale, growth_interval=2**31 - 1)
        self.scaler = torch.amp.GradScaler('cuda', **options)
        self.buffers: List[torch.Tensor] = []
        self.good_buffers: List[torch.Tensor] = []
        """Statistics of norms after the last step that was taken."""
        self.skipped = 0
        """Steps left out since then."""
        self.all_skipped = 0

    def before_run(self, runner: Any) -> None:
        """Take over the loss scale of an interrupted run."""
        state = (runner.meta or {}).get('fp16', {}).get('loss_scaler')
        if state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
        self.buffers = [b for b in runner.model.buffers() if b.is_floating_point()]
        self.good_buffers = [buffer.clone() for buffer in self.buffers]

    def after_train_iter(self, runner: Any) -> None:
        self.scaler.scale(runner.outputs['loss']).backward()
        self.scaler.unscale_(runner.optimizer)
        gradients = [p.grad for p in runner.model.parameters() if p.grad is not None]
        norm = get_total_norm(gradients, self.norm_type)
        if self.max_norm is not None:
            clip_grads_with_norm_(
                [p for p in runner.model.parameters() if p.grad is not None], self.max_norm, norm
            )
        value = float(norm)
        runner.log_buffer.update(dict(grad_norm=value), runner.outputs['num_samples'])
        losses = runner.outputs['log_vars']
        # all processes have the same mean losses and the same gradients, and decide alike
        loss_is_finite = math.isfinite(losses['loss'])
        overflow = self.scaler.is_enabled() and loss_is_finite and self.scaler.get_scale() > 1
        if math.isfinite(value) and loss_is_finite:
            self.skipped = 0
            self.scaler.step(runner.optimizer)
            _copy(self.buffers, self.good_buffers)
        elif overflow:
            self.scaler.step(runner.optimizer)  # does nothing, and the scale falls
            _copy(self.good_buffers, self.buffers)
        else:
            _copy(self.good_buffers, self.buffers)
            self._skip(runner, [n for n, v in losses.items() if not math.isfinite(v)])
        self.scaler.update()
        runner.optimizer.zero_grad()  # here, so that the next forward pass has the memory
        if self.scaler.is_enabled():
            runner.meta['fp16'] = dict(loss_scaler=self.scaler.state_dict())

    def _skip(self, runner: Any, losses: List[str]) -> None:
        """Count a step that is left out; end the training after too many."""
        self.skipped += 1
        self.all_skipped += 1
        what = ', '.join(losses) or 'the gradient'
        where = f'iteration {runner.iter + 1}, {", ".join(runner.data_batch[0].names)}'
        runner.logger.warning('step left out: %s not finite; %s', what, where)
        if self.skipped >= self.max_skipped:
            self._diverged(f'{what} not finite', f'the last in {where}')

    def after_run(self, runner: Any) -> None:
        if self.skipped > 1:
            self._diverged('loss or gradient not finite', 'at the end')
        if self.all_skipped:
            runner.logger.warning(
                '%d of %d steps were left out, since loss or gradient was not finite',
                self.all_skipped,
                runner.iter,
            )

    def _diverged(self, what: str, where: str) -> None:
        raise InputError(
            f'the training has diverged: {what} in {self.skipped} iterations one after the other, '
            f'{where}; the checkpoints from before are good: go on from one of them '
            '(--auto-resume) with a lower learning rate'
        )


def _copy(source: List[torch.Tensor], target: List[torch.Tensor]) -> None:
    if source:
        torch._foreach_copy_(target, source)


def check_interval(section: str, interval: Any) -> None:
    """Raise InputError unless an interval is a whole number from 1 on."""
    check_whole(f'{section}.interval', interval)


class SavingHook(Hook):
    """Writes checkpoints: every so many epochs (or iterations), and within an epoch by time.

    Args:
        interval: In epochs or iterations.
        by_epoch: Which of the two.
        max_keep_ckpts: So many are kept, the newest; -1 keeps all.
        save_last: Also at the end of the training.
        save_optimizer: Whether one can go on from them.
        minutes: Also when so much time has gone by since the last one; only the newest such
            checkpoint is kept. 0: never.
    """

    def __init__(
        self,
        interval: int = 1,
        by_epoch: bool = True,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_optimizer: bool = True,
        minutes: float = 15,
    ):
        check_interval('checkpoint_config', interval)
        if not isinstance(max_keep_ckpts, int):
            raise ValueError(f'max_keep_ckpts must be a whole number, got {max_keep_ckpts!r}')
        self.interval, self.by_epoch, self.max_keep_ckpts = interval, by_epoch, max_keep_ckpts
        self.save_last, self.save_optimizer, self.minutes = save_last, save_optimizer, minutes
        self.last_time = time.monotonic()

    def after_train_iter(self, runner: Any) -> None:
        if runner.outputs['stop']:
            return  # the runner does it, and says it
        total = runner.iter + 1
        is_last = self.save_last and total == runner.max_iters
        if not self.by_epoch and (total % self.interval == 0 or is_last):
            self.save(runner, f'iter_{total}.pth')
        elif self.minutes and time.monotonic() - self.last_time >= 60 * self.minutes:
            self.save_within_epoch(runner)

    def after_train_epoch(self, runner: Any) -> None:
        is_last = self.save_last and runner.epoch + 1 >= runner.max_epochs
        if self.by_epoch and ((runner.epoch + 1) % self.interval == 0 or is_last):
            self.save(runner, f'epoch_{runner.epoch + 1}.pth', runner.epoch + 1, runner.iter)

    def save_within_epoch(self, runner: Any) -> Optional[Path]:
        """Save where the run stands after this iteration."""
        return self.save(runner, WITHIN_EPOCH.format(runner.epoch, runner.inner_iter + 1))

    @master_only
    def save(
        self,
        runner: Any,
        name: str,
        epoch: Optional[int] = None,
        iteration: Optional[int] = None,
    ) -> Optional[Path]:
        """Write a checkpoint, then delete those that it replaces.

        Args:
            runner: What is trained.
            name: Of the file.
            epoch, iteration: How many are done; by default with this iteration.

        Returns:
            the file; None while steps are left out, since these weights may have gone wrong.
        """
        self.last_time = time.monotonic()
        if any(hook.skipped > 1 for hook in runner.hooks if isinstance(hook, StepHook)):
            runner.logger.warning('no checkpoint %s: loss or gradient was not finite', name)
            return None
        path = Path(runner.work_dir) / name
        epoch = runner.epoch if epoch is None else epoch
        iteration = runner.iter + 1 if iteration is None else iteration
        runner.write_checkpoint(path, epoch, iteration, self.save_optimizer)
        link_latest(path)
        self._delete_replaced(path)
        return path

    def _delete_replaced(self, newest: Path) -> None:
        kinds: Dict[bool, List[Path]] = {True: [], False: []}
        for path in list_checkpoints(newest.parent):
            match = NAME.fullmatch(path.name)
            kinds[bool(match and match['inner'])].append(path)
        old = list(kinds[True])
        if self.max_keep_ckpts > 0:
            old += kinds[False][self.max_keep_ckpts :]
        for path in old:
            if path != newest:
                path.unlink(missing_ok=True)


class ValidationHook(Hook):
    """Test and evaluate on the validation set every `interval` epochs and after the last one.

    All processes test their share of the sequences, the first one evaluates. The task says which
    figures go to the log. What is tested is what the checkpoint of the epoch holds. A validation
    that was cut off is made up for when the run goes on.

    Args:
        task: What is measured.
        loader: See `knet.data.build_test_loader`.
        results: Folder of the predictions, overwritten each time.
        interval: In epochs.
    """

    def __init__(
        self, task: Task, loader: SequenceLoader, results: Union[str, Path], interval: int = 1
    ):
        check_interval('evaluation', interval)
        self.task = task
        self.loader = loader
        self.results = Path(results)
        self.interval = interval
        self.last_iteration: Optional[int] = None
        """Iterations that were done at the last validation, of which `results` are."""

    def make_up(self, runner: Any) -> None:
        """Validate now, if the run that goes on was cut off before it could."""
        at_start_of_epoch = runner.iter == runner.epoch * runner.iterations_per_epoch
        if not (runner.epoch and at_start_of_epoch and self._is_due(runner, runner.epoch)):
            return
        if not broadcast_object(self._is_done(runner)):
            runner.logger.info('the validation after epoch %d was cut off', runner.epoch)
            runner.mode = 'val'
            self.validate(runner, runner.epoch)
            runner.call_hook('after_val_epoch')

    def after_train_epoch(self, runner: Any) -> None:
        if self._is_due(runner, runner.epoch + 1):
            self.validate(runner, runner.epoch + 1)

    def _is_due(self, runner: Any, epoch: int) -> bool:
        return epoch % self.interval == 0 or epoch >= runner.max_epochs

    def _is_done(self, runner: Any) -> bool:
        """Whether the results are of this epoch; or of a later one, where the run goes on from an
        earlier checkpoint."""
        try:
            results = read_mark(self.results)
        except InputError:
            return False
        of_this = self._made_of(runner, runner.epoch)
        place = {name: of_this[name] for name in ('epoch', 'iteration')}
        return {**results, **place} == of_this and results['epoch'] >= runner.epoch

    def _made_of(self, runner: Any, epoch: int) -> Dict[str, Any]:
        return dict(
            work_dir=str(runner.work_dir),
            epoch=epoch,
            iteration=runner.iter,
            seed=runner.meta['seed'],
            data=str(self.loader.dataset.folder),
            protocol=self.task.describe_protocol(self.loader.dataset.info),
        )

    def validate(self, runner: Any, epoch: int) -> None:
        """Test the model after an epoch; its figures go to the log."""
        broadcast_buffers(runner.model)
        made_of = self._made_of(runner, epoch)
        with runner.interruptible(), own_results(self.results, made_of):
            test_sequences(runner.model.module, self.loader, self.results, self.task)
            runner.model.train()
            self._evaluate(runner, epoch)

    @master_only
    def _evaluate(self, runner: Any, epoch: int) -> None:
        figures = self.task.evaluate(self.results, self.loader.dataset)
        runner.logger.info('validation after epoch %d\n%s', epoch, self.task.format(figures))
        for name, value in self.task.summary(figures).items():
            if value is not None:  # such as a mean over windows of four frames in videos of three
                runner.log_buffer.output[name] = value
        runner.log_buffer.ready = True
        self.last_iteration = runner.iter


class MakeUpHook(Hook):
    """Makes up for a validation, when all other hooks are ready.

    Args:
        validation: Whose.
    """

    def __init__(self, validation: ValidationHook):
        self.validation = validation

    def before_run(self, runner: Any) -> None:
        self.validation.make_up(runner)
