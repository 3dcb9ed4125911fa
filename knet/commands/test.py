"""Test a detector on videos or images: write predictions and coloured images, evaluate them:
see tools/test.py."""

import sys
import time
from pathlib import Path

import torch
from mmcv.runner import get_dist_info
from mmdet.utils import get_root_logger, setup_multi_processes

import knet
from knet.apis import (
    find_checkpoint,
    init_distributed,
    init_model,
    load_config,
    make_work_dir,
    own_results,
    test_sequences,
)
from knet.apis.clips import default_clip_len
from knet.apis.distributed import say_who_is_lost
from knet.apis.explain import require
from knet.commands.options import PROGRAMS, SUBCOMMANDS
from knet.data import build_test_dataset, build_test_loader
from knet.data.loaders import check_loading
from knet.errors import InputError
from knet.evaluation import write_json
from knet.models.checkpoint import file_hash
from knet.tasks import find_task


def check_metrics(names, task, dataset):
    """Which metrics to measure: those named, or all that the ground truth allows.

    Raises:
        InputError: a named one is not of the task, or the ground truth does not allow it.
    """
    for name in names:
        if name not in task.metrics:
            raise InputError(
                f'--eval {name}: task {task.name} of the config has the metrics '
                f'{", ".join(task.metrics)}'
            )
    available = task.available(dataset)
    for name in names:
        if name not in available:
            what = 'no depth' if available else 'images without ground truth'
            raise InputError(f'--eval {name}: {dataset.folder} has {what}')
    return names or available


def run(args):
    """Do what the options say."""
    cfg = load_config(args.config, args.cfg_options)
    require(cfg, 'data.name', 'data.test', 'data.workers_per_gpu')
    check_loading(1, cfg.data.workers_per_gpu)
    setup_multi_processes(cfg)
    init_distributed(args.launcher, args.timeout_minutes)
    task, dataset = find_task(cfg.get('task')), build_test_dataset(cfg.data)
    names = args.eval
    if names is not None:  # in the spelling of the task, whatever that of the user
        spelling = {name.upper(): name for name in task.metrics}
        names = [spelling.get(name.upper(), name) for name in names]
    metrics = None if names is None else check_metrics(names, task, dataset)
    logger = get_root_logger(log_level=cfg.log_level)
    checkpoint = find_checkpoint(args.checkpoint, logger)
    model = init_model(
        cfg,
        str(checkpoint),
        allow_pickle=args.allow_pickle,
        logger=logger,
        precision=args.precision,
    )
    work_dir = args.work_dir or Path('work_dirs') / Path(args.config).stem
    out = make_work_dir(args.out or work_dir / 'results')
    show_dir = None if args.show_dir is None else args.show_dir or str(work_dir / 'show')
    made_of = describe(args, checkpoint, task, dataset) if get_dist_info()[0] == 0 else {}
    with say_who_is_lost(), own_results(out, made_of, show_dir):
        loader = build_test_loader(dataset, cfg.data.workers_per_gpu)
        clip_len = args.clip_len or default_clip_len(model.device)
        test_sequences(model, loader, out, task, show_dir, clip_len)
        if get_dist_info()[0] == 0:
            report(out, show_dir, metrics, task, dataset, made_of)


def describe(args, checkpoint, task, dataset):
    """What the results are made of."""
    return dict(
        config=args.config,
        cfg_options=args.cfg_options,
        precision=args.precision,
        checkpoint=str(checkpoint),
        checkpoint_sha256=file_hash(checkpoint),
        data=str(dataset.folder),
        frames=len(dataset.records),
        protocol=task.describe_protocol(dataset.info),
        version=knet.__version__,
        torch=torch.__version__,
        time=time.strftime('%Y-%m-%d %H:%M:%S'),
    )


def report(out, show_dir, metrics, task, dataset, made_of):
    """Evaluate, and say where everything is."""
    if metrics:
        figures = task.evaluate(out, dataset)
        print(task.format(figures, metrics))
        write_json({**figures, 'made_of': made_of}, str(out / 'metrics.json'))
        print(f'figures: {out / "metrics.json"}')
    elif metrics is not None:
        print(f'not evaluated: {dataset.folder} has images without ground truth')
    print(f'predictions: {out / "panoptic"}')
    if show_dir:
        print(f'coloured images and videos: {show_dir}')
    if metrics:
        for command in dict.fromkeys(map(as_typed, task.next_commands(out, dataset))):
            print(f'next: {command}')


def as_typed(command):
    """Command line of a file in tools/, or where there is none of a subcommand."""
    tool, *rest = command.split(' ', 1)
    program = PROGRAMS.get(tool.removeprefix('tools/').removesuffix('.py'))
    names = [name for name, own in SUBCOMMANDS.items() if program and own.module == program.module]
    if Path(tool).exists() or not names:
        return f'{sys.executable} {command}'
    return ' '.join(['video-knet', names[0], *rest])
