"""Training of a model from a config."""

from __future__ import annotations

import copy
import platform
import random
import time
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import mmcv
import numpy as np
import torch
from mmcv import Config
from mmcv.cnn.utils import revert_sync_batchnorm
from mmcv.runner import (
    HOOKS,
    Hook,
    build_optimizer,
    build_runner,
    get_dist_info,
    set_random_seed,
)
from mmcv.utils import build_from_cfg
from mmdet.utils import get_root_logger

import knet.apis.tensorboard  # noqa: F401  (registers its hook)
from knet.apis.build import build_model
from knet.apis.distributed import broadcast_object
from knet.apis.explain import blame, require
from knet.apis.hooks import MakeUpHook, SavingHook, StepHook, ValidationHook
from knet.apis.runner import KNetRunner, wrap_model
from knet.apis.work_dir import check_earlier_run, dump_config
from knet.data import (
    SegmentationDataset,
    build_test_dataset,
    build_test_loader,
    build_train_dataset,
    build_train_loader,
)
from knet.data.loaders import check_loading
from knet.errors import InputError, check_whole
from knet.models.knet import KNet
from knet.models.precision import check_precision
from knet.tasks import find_task

TRAINING_KEYS = (
    *('data.name', 'data.samples_per_gpu', 'data.workers_per_gpu', 'data.train', 'runner'),
    *('optimizer', 'optimizer_config', 'lr_config', 'checkpoint_config', 'log_config'),
)
"""What the config of a training must have, beside its model."""


def choose_seed(seed: Optional[int], meta: Dict[str, Any]) -> int:
    """Seed of a run, the same in all processes: that of the run it goes on with, the given one, or
    a random one.

    Args:
        seed: The given one.
        meta: Of the checkpoint that the run goes on from; empty for a new run.

    Raises:
        InputError: another seed is given than the run began with.
    """
    before = meta.get('seed')
    if isinstance(before, int):
        if seed not in (None, before):
            raise InputError(
                f'--seed {seed}: the run that goes on began with seed {before}; leave --seed out'
            )
        return before
    return broadcast_object(random.SystemRandom().randrange(2**31) if seed is None else seed)


def set_precision(cfg: Config) -> Tuple[Optional[torch.dtype], Optional[Any]]:
    """Type of autocast (None for float32) and loss scale (None for none) that the config asks for.

    `fp16 = dict(loss_scale='dynamic')` (or a number): float16 with loss scaling, on GPUs.
    `bf16 = True`: bfloat16, which needs no scaling, on GPUs from Ampere on and on CPUs. Sums over
    pixels and matching stay in float32 (`knet.models.precision`).

    Raises:
        InputError: both are set, float16 without a GPU, bfloat16 on a GPU that has none, or `fp16`
            is no such dict.
    """
    fp16, bf16 = cfg.get('fp16'), cfg.get('bf16')
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if fp16 is not None:
        scale = fp16.get('loss_scale') if isinstance(fp16, dict) and len(fp16) == 1 else None
        if scale != 'dynamic' and not (isinstance(scale, (int, float)) and scale > 0):
            raise InputError(
                f"fp16 must be dict(loss_scale='dynamic') or dict(loss_scale=512.0), got {fp16}"
            )
        if bf16:
            raise InputError('fp16 and bf16 exclude each other; set one of them to None')
        check_precision(torch.float16, device)
        return torch.float16, scale if scale == 'dynamic' else float(scale)
    precision = torch.bfloat16 if bf16 else None
    check_precision(precision, device)
    return precision, None


def check_training(cfg: Config, validate: bool) -> None:
    """Raise InputError where a config lacks what a training needs, with validation or without."""
    require(cfg, *TRAINING_KEYS, *(['data.val'] if validate else []))
    check_whole('runner.max_epochs', cfg.runner.get('max_epochs'))
    for name in cfg.get('evaluation', {}) if validate else ():
        if name != 'interval':
            raise InputError(
                f'evaluation.{name} of the config: evaluation has an interval alone; delete it '
                '(what is measured is up to the task)'
            )
    check_loading(cfg.data.samples_per_gpu, cfg.data.workers_per_gpu)


def train_detector(
    cfg: Config,
    work_dir: Path,
    seed: int,
    distributed: bool,
    validate: bool = True,
    load_from: Optional[str] = None,
    resume_from: Optional[str] = None,
    allow_pickle: bool = False,
    ignore_mismatched: bool = False,
    timestamp: Optional[str] = None,
    overwrite: bool = False,
    checkpoint_minutes: float = 15,
    dry_run: bool = False,
    source: Optional[str] = None,
) -> None:
    """Train as the config says; checkpoints and logs go to `work_dir`.

    Args:
        cfg: Config with `task`, `model`, `data`, `optimizer`, `optimizer_config`, `lr_config`,
            `runner`, `checkpoint_config`, `log_config`; optionally `fp16` or `bf16`, see
            `set_precision`.
        work_dir: Existing folder.
        seed: Of all random streams; each rank has its own.
        distributed: Whether `init_distributed` joined a process group.
        validate: Validate as `cfg.evaluation` says.
        load_from: Checkpoint with first weights.
        resume_from: Checkpoint of an interrupted run to go on with.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.
        ignore_mismatched: See `knet.models.checkpoint.load_weights`; for `load_from`.
        timestamp: Name of the log files.
        overwrite: Delete the checkpoints that an earlier run has left in `work_dir`, or those after
            `resume_from`.
        checkpoint_minutes: See `SavingHook`.
        dry_run: End before the first step, when everything is read and built.
        source: Config file; the config in full is written to `work_dir` under its name.

    Raises:
        InputError: data or checkpoints cannot be used, or the training diverges.
        Stopped: a signal came, see `KNetRunner`.
    """
    check_training(cfg, validate)
    logger = get_root_logger(log_level=cfg.log_level)
    rank, _ = get_dist_info()
    # 1. data
    task, data = find_task(cfg.get('task')), cfg.data
    dataset = build_train_dataset(data, task.num_references)
    val_dataset = build_test_dataset(data, 'val') if validate else None
    if val_dataset is not None:
        task.check_truth(val_dataset)
    # 2. model: the same first weights everywhere
    set_random_seed(seed)
    start, ignore = (resume_from, False) if resume_from else (load_from, ignore_mismatched)
    model = build_model(cfg, start, allow_pickle, logger, bool(resume_from), ignore)
    if model.num_references != task.num_references:
        raise InputError(
            f'task {task.name} gives a {type(model).__name__} {task.num_references} reference '
            f'frames, it is trained with {model.num_references}; change `task` of the config'
        )
    # 3. what trains it
    torch.set_flush_denormal(True)  # such numbers take processors many times as long
    loader = build_train_loader(dataset, data.samples_per_gpu, data.workers_per_gpu, seed)
    meta = run_meta(cfg, seed, dataset)
    runner = build_training_runner(
        cfg, model, distributed, work_dir, meta, len(loader), checkpoint_minutes
    )
    runner.timestamp = timestamp
    runner.allow_pickle = allow_pickle
    if val_dataset is not None:
        val_loader = build_test_loader(val_dataset, data.workers_per_gpu)
        interval = cfg.get('evaluation', {}).get('interval', 1)
        hook = ValidationHook(task, val_loader, work_dir / 'val', interval)
        runner.register_hook(hook, priority='LOW')
        runner.register_hook(MakeUpHook(hook), priority='LOWEST')
    if resume_from:
        runner.resume(resume_from)
    replaced = check_earlier_run(work_dir, resume_from, overwrite) if rank == 0 else []
    if dry_run:
        logger.info('%d iterations per epoch; everything is ready', len(loader))
        return
    for path in replaced:
        path.unlink()
    if source and rank == 0:
        dump_config(cfg, work_dir, source)
    runner.run([loader], [('train', 1)])


def build_training_runner(
    cfg: Config,
    model: KNet,
    distributed: bool,
    work_dir: Path,
    meta: Dict,
    iterations_per_epoch: int,
    checkpoint_minutes: float = 0,
) -> KNetRunner:
    """Runner of a config with its optimizer and hooks, but for validation.

    Args:
        cfg: See `train_detector`.
        model: On the CPU; it goes to this process's device.
        distributed: Whether there are other processes.
        work_dir: Folder of checkpoints and logs.
        meta: What checkpoints tell about the run.
        iterations_per_epoch: Length of the loader.
        checkpoint_minutes: See `SavingHook`.

    Raises:
        InputError: a part of the config cannot be used; the message names its key.
    """
    if not (distributed and torch.cuda.is_available()):
        model = revert_sync_batchnorm(model)
    precision, loss_scale = set_precision(cfg)
    wrapped = wrap_model(model, distributed, precision)
    logger = get_root_logger(log_level=cfg.log_level)
    with blame(cfg.optimizer, 'optimizer'):
        optimizer = build_optimizer(wrapped, cfg.optimizer)
    with blame(cfg.runner, 'runner'):
        parts = dict(
            model=wrapped, optimizer=optimizer, work_dir=str(work_dir), logger=logger, meta=meta
        )
        runner = build_runner(cfg.runner, parts)
    runner.iterations_per_epoch = iterations_per_epoch
    runner.register_timer_hook(dict(type='IterTimerHook'))
    sections = dict(
        lr_config=runner.register_lr_hook,
        optimizer_config=lambda own: runner.register_optimizer_hook(
            build_step_hook(own, loss_scale)
        ),
        checkpoint_config=lambda own: runner.register_checkpoint_hook(
            SavingHook(**own, minutes=checkpoint_minutes)
        ),
        log_config=runner.register_logger_hooks,
        custom_hooks=runner.register_custom_hooks,
    )
    for name, register in sections.items():
        config = copy.deepcopy(cfg.get(name))  # mmcv takes `policy` out of it
        with blame(config, name):
            register(config)
    return runner


def build_step_hook(config: Dict, loss_scale: Optional[Any]) -> Hook:
    """Hook that steps the optimizer: `StepHook`, or what the config names as `type`."""
    config = dict(config)
    if 'type' in config:
        return build_from_cfg(config, HOOKS)
    return StepHook(**config, loss_scale=loss_scale)


def run_meta(cfg: Config, seed: int, dataset: SegmentationDataset) -> Dict:
    """What a checkpoint tells about its run: plain text and numbers, which can be read safely."""
    versions = dict(
        python=platform.python_version(),
        torch=torch.__version__,
        mmcv=mmcv.__version__,
        numpy=np.__version__,
    )
    return dict(
        config=cfg.pretty_text,
        seed=seed,
        time=time.asctime(),
        CLASSES=tuple(dataset.label_space.classes),
        versions={name: str(version) for name, version in versions.items()},
        num_items=len(dataset),
        samples_per_gpu=cfg.data.samples_per_gpu,
        world_size=get_dist_info()[1],
    )
