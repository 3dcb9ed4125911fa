"""Train a detector: see tools/train.py."""

import contextlib
import os
import time
from pathlib import Path

import torch
from mmcv.runner import get_dist_info
from mmdet.utils import get_root_logger, setup_multi_processes

from knet.apis import (
    choose_seed,
    find_checkpoint,
    init_distributed,
    load_config,
    make_work_dir,
    newest_checkpoint,
    train_detector,
)
from knet.apis.distributed import broadcast_object, say_who_is_lost
from knet.apis.train import check_training
from knet.errors import InputError
from knet.files import lock_folder
from knet.models.checkpoint import read_meta


def run(args):
    """Do what the options say."""
    cfg = load_config(args.config, args.cfg_options)
    check_training(cfg, not args.no_validate)
    if args.load_from and args.resume_from:
        raise InputError(
            '--load-from and --resume-from: name one of them; a run that goes on has weights'
        )
    if args.ignore_mismatched and not (args.load_from or cfg.get('load_from')):
        raise InputError('--ignore-mismatched: only with --load-from')
    setup_multi_processes(cfg)
    if torch.cuda.is_available() and args.launcher == 'none':
        if not 0 <= args.gpu_id < torch.cuda.device_count():
            last = torch.cuda.device_count() - 1
            raise InputError(f'--gpu-id {args.gpu_id}: there is no such GPU; give 0 to {last}')
        torch.cuda.set_device(args.gpu_id)
    distributed = init_distributed(args.launcher, args.timeout_minutes)
    work_dir = make_work_dir(
        args.work_dir or cfg.get('work_dir') or os.path.join('work_dirs', Path(args.config).stem)
    )
    is_first = get_dist_info()[0] == 0
    with say_who_is_lost(), lock_folder(work_dir) if is_first else contextlib.nullcontext():
        train(args, cfg, work_dir, distributed, is_first)


def train(args, cfg, work_dir, distributed, is_first):
    """Train in a work dir that this run owns."""
    timestamp = time.strftime('%Y%m%d_%H%M%S')
    logger = get_root_logger(log_file=str(work_dir / f'{timestamp}.log'), log_level=cfg.log_level)
    load_from = args.load_from or cfg.get('load_from')
    resume_from = args.resume_from or cfg.get('resume_from')
    resume_from = resume_from and str(find_checkpoint(resume_from, logger))
    if args.auto_resume:
        newest = newest_checkpoint(work_dir, logger) if is_first else None
        resume_from = broadcast_object(newest and str(newest)) or resume_from
    seed = choose_seed(args.seed, (resume_from and read_meta(resume_from)) or {})
    logger.info('seed %d, %s', seed, f'resuming from {resume_from}' if resume_from else 'new run')
    if args.deterministic:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
    train_detector(
        cfg,
        work_dir,
        seed,
        distributed,
        validate=not args.no_validate,
        load_from=load_from and str(find_checkpoint(load_from, logger)),
        resume_from=resume_from,
        allow_pickle=args.allow_pickle,
        ignore_mismatched=args.ignore_mismatched,
        timestamp=timestamp,
        overwrite=args.overwrite,
        checkpoint_minutes=args.checkpoint_minutes,
        dry_run=args.dry_run,
        source=args.config,
    )
