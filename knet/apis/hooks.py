"""What a training run does beside training: progress bar, validation, checkpoints that are whole."""
from pathlib import Path
from typing import Dict, Optional

import torch
from mmcv.runner import HOOKS, RUNNERS, EpochBasedRunner, Hook, master_only
from mmcv.runner.checkpoint import save_checkpoint
from tqdm import tqdm

from knet.apis.distributed import wrap_model
from knet.apis.test import evaluate, format_metrics, headline, progress_interval, test_sequences
from knet.files import whole_file
from knet.models.checkpoint import load_weights


@RUNNERS.register_module()
class KNetRunner(EpochBasedRunner):
    """mmcv's runner by epochs, with the project's own reading and writing of checkpoints.

    Checkpoints are written whole or not at all, and read by `knet.models.checkpoint` (safe, and complete on resuming).
    """
    allow_pickle = False

    def run(self, *args, **kwargs) -> None:
        """Run the workflow; progress bars end with it, also where it fails."""
        try:
            super().run(*args, **kwargs)
        finally:
            for hook in self.hooks:
                if isinstance(hook, ProgressBarHook):
                    hook.close()

    def load_checkpoint(self, filename: str, map_location: str = 'cpu', strict: bool = True, revise_keys=()) -> Dict:
        """Weights to go on with (mmcv calls this on resuming): all of the model's must be in the file."""
        return load_weights(self.model.module, filename, complete=True, allow_pickle=self.allow_pickle, logger=self.logger)[0]

    def save_checkpoint(self, out_dir: str, filename_tmpl: str = 'epoch_{}.pth', save_optimizer: bool = True, meta: Optional[Dict] = None,
                        create_symlink: bool = True) -> None:
        """Write `epoch_<n>.pth`, and the link `latest.pth` to it; a killed run leaves no half of either."""
        path = Path(out_dir) / filename_tmpl.format(self.epoch + 1)
        meta = {**(meta or {}), **(self.meta or {}), 'epoch': self.epoch + 1, 'iter': self.iter}
        with whole_file(path) as partial:
            save_checkpoint(self.model, str(partial), self.optimizer if save_optimizer else None, meta)
        if create_symlink:
            with whole_file(path.with_name('latest.pth')) as partial:
                partial.symlink_to(path.name)


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """A bar over all iterations, with the time left and the loss."""
    bar = None

    @master_only
    def before_run(self, runner):
        self.bar = tqdm(total=runner.max_iters, desc='training', unit='iter', initial=runner.iter, mininterval=progress_interval())

    @master_only
    def after_train_iter(self, runner):
        self.bar.set_postfix(loss=f'{runner.outputs["log_vars"]["loss"]:.3f}', refresh=False)
        self.bar.update()

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self.bar is not None:
            self.bar.close()


class ValidationHook(Hook):
    """Test and evaluate on the validation set every `interval` epochs and after the last one.

    All processes test their share of the sequences, the first one evaluates. STQ, AQ, SQ and VPQ, of images PQ, SQ, RQ and mIoU,
    go to the log.

    Args:
        loader: See `knet.data.build_test_loader`.
        result_path: Folder of the predictions, overwritten each time.
        interval: In epochs.
    """

    def __init__(self, loader, result_path: str, interval: int = 1):
        self.loader = loader
        self.result_path = result_path
        self.interval = interval

    def after_train_epoch(self, runner):
        if not self.every_n_epochs(runner, self.interval) and runner.epoch + 1 < runner.max_epochs:
            return
        # the loader draws a seed; validation must not change the training that follows
        state = torch.get_rng_state()
        # without the distributed wrapper: nothing is synchronized in testing
        test_sequences(wrap_model(runner.model.module, distributed=False), self.loader, self.result_path)
        torch.set_rng_state(state)
        runner.model.train()
        self._evaluate(runner)

    @master_only
    def _evaluate(self, runner):
        metrics = evaluate(self.result_path, self.loader.dataset)
        runner.logger.info('validation after epoch %d\n%s', runner.epoch + 1, format_metrics(metrics))
        for name, value in headline(metrics).items():
            runner.log_buffer.output[name] = value
        runner.log_buffer.ready = True
