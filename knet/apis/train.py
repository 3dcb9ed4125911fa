"""Training of a detector from a config."""
import os
import platform
import random
from pathlib import Path
from typing import Dict, Optional, Union

import mmcv
import numpy as np
import torch
import torch.distributed as dist
from mmcv import Config
from mmcv.cnn.utils import revert_sync_batchnorm
from mmcv.runner import DistSamplerSeedHook, Fp16OptimizerHook, build_optimizer, build_runner, get_dist_info, set_random_seed
from mmcv.utils import get_logger
from mmdet.datasets import build_dataset
from mmdet.models import build_detector
from mmdet.utils import get_root_logger
from torch import nn

from knet.apis.distributed import wrap_model
from knet.apis.hooks import ValidationHook
from knet.apis.test import build_test_dataset
from knet.data import build_test_loader, build_train_loader
from knet.errors import InputError
from knet.models.checkpoint import load_weights


def shared_seed(seed: Optional[int]) -> int:
    """The given seed, or a random one that all processes agree on."""
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    if get_dist_info()[1] > 1:
        seed_tensor = torch.tensor(seed, device='cuda' if torch.cuda.is_available() else 'cpu')
        dist.broadcast(seed_tensor, 0)
        seed = int(seed_tensor)
    return seed


def make_work_dir(path: str) -> Path:
    """Create the work directory of a run.

    Raises:
        InputError: it cannot be created or written to.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        probe = Path(path) / f'.writable.{os.getpid()}'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f'work dir {path} cannot be written to: {error.strerror}') from None
    return Path(path)


def build_model(cfg: Config, load_from: Optional[str], allow_pickle: bool, logger, complete: bool = False) -> nn.Module:
    """Detector of a config with its first weights: those of `load_from`, or else those that `init_cfg` names.

    Args:
        cfg: Config.
        load_from: Checkpoint file or None.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.
        logger: Gets the report of what was loaded.
        complete: The checkpoint must hold all parameters.
    """
    get_logger('mmcv').setLevel('WARNING')  # mmcv would log each parameter that it initializes
    model_cfg = cfg.model.copy()
    if load_from:  # the pretrained backbone would be overwritten; do not fetch it
        model_cfg.backbone = {**model_cfg.backbone, 'init_cfg': None}
    model = build_detector(model_cfg)
    if load_from:
        model.init_weights()
        load_weights(model, load_from, complete, allow_pickle, logger)
        return model
    try:
        model.init_weights()
    except (OSError, RuntimeError) as error:
        source = (cfg.model.backbone.get('init_cfg') or {}).get('checkpoint')
        raise InputError(f'the pretrained backbone {source} cannot be loaded ({error}); give a checkpoint with --load-from, or start from '
                         'random weights with --cfg-options model.backbone.init_cfg=None') from None
    return model


def set_precision(cfg: Config, model: nn.Module, distributed: bool) -> Union[Dict, Fp16OptimizerHook]:
    """Optimizer config or hook for the precision that the config asks for.

    `fp16 = dict(loss_scale='dynamic')` (or a number): float16 with loss scaling, on GPUs. `bf16 = True`: bfloat16, which needs
    no scaling, on GPUs from Ampere on and on CPUs. Sums over pixels and matching stay in float32 (`knet.models.precision`).

    Raises:
        InputError: both are set, float16 without a GPU, bfloat16 on a GPU that has none, or `fp16` is no such dict.
    """
    fp16, bf16 = cfg.get('fp16'), cfg.get('bf16')
    if fp16 is not None:
        if not isinstance(fp16, dict) or set(fp16) != {'loss_scale'} or not (fp16['loss_scale'] == 'dynamic' or fp16['loss_scale'] > 0):
            raise InputError(f"fp16 must be dict(loss_scale='dynamic') or dict(loss_scale=512.0), got {fp16}")
        if bf16 or not torch.cuda.is_available():
            raise InputError('fp16 and bf16 exclude each other' if bf16 else 'fp16 needs a GPU; on the CPU use bf16=True, or neither')
        scale = fp16['loss_scale']
        return Fp16OptimizerHook(**cfg.optimizer_config, loss_scale=scale if scale == 'dynamic' else float(scale), distributed=distributed)
    if bf16:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        if device == 'cuda' and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise InputError(f"bf16 needs a GPU from Ampere on, this one is a {torch.cuda.get_device_name()}; use fp16=dict(loss_scale='dynamic')")
        model.forward_train = torch.autocast(device, torch.bfloat16)(model.forward_train)
    return cfg.optimizer_config


def train_detector(cfg: Config, work_dir: Path, seed: int, distributed: bool, validate: bool = True, load_from: Optional[str] = None,
                   resume_from: Optional[str] = None, allow_pickle: bool = False, timestamp: Optional[str] = None) -> None:
    """Train as the config says; checkpoints and logs go to `work_dir`.

    Args:
        cfg: Config with `model`, `data`, `optimizer`, `optimizer_config`, `lr_config`, `runner`, `checkpoint_config`, `log_config`;
            optionally `fp16` or `bf16`, see `set_precision`.
        work_dir: Existing folder.
        seed: Of all random streams; each rank has its own.
        distributed: Whether `init_distributed` joined a process group.
        validate: Validate as `cfg.evaluation` says.
        load_from: Checkpoint with first weights.
        resume_from: Checkpoint of an interrupted run to go on with.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.
        timestamp: Name of the log files.

    Raises:
        InputError: data or checkpoints cannot be used.
    """
    logger = get_root_logger(log_level=cfg.log_level)
    rank, _ = get_dist_info()
    dataset = build_dataset(cfg.data.train)
    val_dataset = build_test_dataset(cfg, 'val') if validate else None
    # Same first weights everywhere, then a stream of its own for each rank.
    set_random_seed(seed)
    model = build_model(cfg, load_from or resume_from, allow_pickle, logger, complete=bool(resume_from))
    model.CLASSES = dataset.CLASSES
    set_random_seed(seed + rank)
    if not (distributed and torch.cuda.is_available()):
        model = revert_sync_batchnorm(model)
    optimizer_config = set_precision(cfg, model, distributed)
    model = wrap_model(model, distributed)
    loader = build_train_loader(dataset, cfg.data.samples_per_gpu, cfg.data.workers_per_gpu, seed)

    runner = build_runner(cfg.runner, dict(model=model, optimizer=build_optimizer(model, cfg.optimizer), work_dir=str(work_dir),
                                           logger=logger, meta=run_meta(cfg, seed)))
    runner.timestamp = timestamp
    runner.allow_pickle = allow_pickle
    runner.register_training_hooks(cfg.lr_config, optimizer_config, cfg.checkpoint_config, cfg.log_config,
                                   custom_hooks_config=cfg.get('custom_hooks'))
    runner.register_hook(DistSamplerSeedHook())
    if validate:
        val_loader = build_test_loader(val_dataset, cfg.data.workers_per_gpu)
        runner.register_hook(ValidationHook(val_loader, str(work_dir / 'val'), cfg.evaluation.interval), priority='LOW')
    if resume_from:
        runner.resume(resume_from)
    runner.run([loader], [('train', 1)])


def run_meta(cfg: Config, seed: int) -> Dict:
    """What a checkpoint tells about its run; plain text and numbers, so that it can be read safely."""
    versions = dict(python=platform.python_version(), torch=torch.__version__, mmcv=mmcv.__version__, numpy=np.__version__)
    return dict(config=cfg.pretty_text, seed=seed, versions={name: str(version) for name, version in versions.items()})
