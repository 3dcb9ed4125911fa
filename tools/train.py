"""Train a detector.

python tools/train.py CONFIG [--work-dir DIR] [--load-from CHECKPOINT] [--cfg-options KEY=VALUE ...]
"""

import argparse
import os
import time
from pathlib import Path

import torch
from mmcv.runner import get_dist_info
from mmdet.utils import get_root_logger, setup_multi_processes

from knet.apis import (
    add_common_options,
    init_distributed,
    load_config,
    make_work_dir,
    shared_seed,
    train_detector,
)
from knet.data.loaders import check_loading
from knet.errors import report_input_errors


def parse_args():
    parser = argparse.ArgumentParser(description='Train a detector')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder of checkpoints and logs (default: work_dirs/<name of the config>)',
    )
    parser.add_argument(
        '--load-from',
        help='checkpoint with first weights: a K-Net, a Video K-Net or an ImageNet backbone',
    )
    parser.add_argument(
        '--ignore-mismatched',
        action='store_true',
        help='with --load-from: parameters of another shape (other classes) keep their initial '
        'value',
    )
    parser.add_argument('--resume-from', help='checkpoint of an interrupted run to go on with')
    parser.add_argument(
        '--auto-resume',
        action='store_true',
        help='go on with the latest checkpoint of the work dir, if there is one',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not evaluate during training'
    )
    parser.add_argument('--gpu-id', type=int, default=0, help='GPU of a run without launcher')
    parser.add_argument(
        '--seed',
        type=int,
        help='seed of all random streams (default: a random one, which the log names)',
    )
    parser.add_argument(
        '--deterministic', action='store_true', help='use deterministic CUDA algorithms'
    )
    add_common_options(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_loading(**{name: cfg.data[name] for name in ('samples_per_gpu', 'workers_per_gpu')})
    setup_multi_processes(cfg)
    if torch.cuda.is_available() and args.launcher == 'none':
        torch.cuda.set_device(args.gpu_id)
    distributed = init_distributed(args.launcher)
    work_dir = make_work_dir(
        args.work_dir or cfg.get('work_dir') or os.path.join('work_dirs', Path(args.config).stem)
    )
    timestamp = time.strftime('%Y%m%d_%H%M%S')
    logger = get_root_logger(log_file=str(work_dir / f'{timestamp}.log'), log_level=cfg.log_level)
    if get_dist_info()[0] == 0:
        cfg.dump(str(work_dir / Path(args.config).name))

    resume_from = args.resume_from or cfg.get('resume_from')
    if args.auto_resume and not resume_from and (work_dir / 'latest.pth').exists():
        resume_from = str(work_dir / 'latest.pth')
    seed = shared_seed(args.seed)
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
        load_from=args.load_from or cfg.get('load_from'),
        resume_from=resume_from,
        allow_pickle=args.allow_pickle,
        ignore_mismatched=args.ignore_mismatched,
        timestamp=timestamp,
    )


if __name__ == '__main__':
    with report_input_errors():
        main()
