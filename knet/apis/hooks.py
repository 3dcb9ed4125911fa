"""What a training run does beside training: a progress bar, and validation."""

from pathlib import Path
from typing import Any, Union

import torch
from mmcv.runner import HOOKS, Fp16OptimizerHook, Hook, master_only
from tqdm import tqdm

from knet.apis.test import progress_interval, test_sequences
from knet.data.loaders import SequenceLoader
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


class LossScalingHook(Fp16OptimizerHook):
    """Scales losses for float16 and steps the optimizer.

    mmcv's own form also switches on autocast inside modules, such as mmdet's FPN, for good; here it
    is on in training steps alone (`knet.apis.runner`).
    """

    def before_run(self, runner: Any) -> None:
        """Take over the scale of an interrupted run."""
        state = (runner.meta or {}).get('fp16', {}).get('loss_scaler')
        if state:
            self.loss_scaler.load_state_dict(state)


class ValidationHook(Hook):
    """Test and evaluate on the validation set every `interval` epochs and after the last one.

    All processes test their share of the sequences, the first one evaluates. The task says which
    figures go to the log.

    Args:
        task: What is measured.
        loader: See `knet.data.build_test_loader`.
        results: Folder of the predictions, overwritten each time.
        interval: In epochs.
    """

    def __init__(
        self, task: Task, loader: SequenceLoader, results: Union[str, Path], interval: int = 1
    ):
        self.task = task
        self.loader = loader
        self.results = Path(results)
        self.interval = interval

    def after_train_epoch(self, runner: Any) -> None:
        is_last = runner.epoch + 1 >= runner.max_epochs
        if not self.every_n_epochs(runner, self.interval) and not is_last:
            return
        # the loader draws a seed; validation must not change the training that follows
        state = torch.get_rng_state()
        test_sequences(runner.model.module, self.loader, self.results, self.task)
        torch.set_rng_state(state)
        runner.model.train()
        self._evaluate(runner)

    @master_only
    def _evaluate(self, runner: Any) -> None:
        figures = self.task.evaluate(self.results, self.loader.dataset)
        table = self.task.format(figures)
        runner.logger.info('validation after epoch %d\n%s', runner.epoch + 1, table)
        for name, value in self.task.summary(figures).items():
            runner.log_buffer.output[name] = value
        runner.log_buffer.ready = True
