"""Test a detector on videos or images: write predictions and coloured images, evaluate them.

    python tools/test.py CONFIG CHECKPOINT [--out DIR] [--eval [STQ VPQ | PQ]] [--show-dir [DIR]]
"""
import argparse
import sys
from pathlib import Path

from mmcv.cnn.utils import revert_sync_batchnorm
from mmcv.runner import get_dist_info
from mmdet.utils import get_root_logger, setup_multi_processes

from knet.apis import (
    add_common_options,
    build_model,
    build_test_dataset,
    evaluate,
    format_metrics,
    init_distributed,
    load_config,
    make_work_dir,
    metric_names,
    test_sequences,
    wrap_model,
)
from knet.data import build_test_loader
from knet.errors import InputError, report_input_errors
from knet.evaluation import write_json


def parse_args():
    parser = argparse.ArgumentParser(description='Test a detector on videos or images')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', type=Path, help='where the results go (default: work_dirs/<name of the config>)')
    parser.add_argument('--out', help='folder of the predictions (default: <work dir>/results)')
    parser.add_argument('--show-dir', nargs='?', const='', help='also write coloured maps and videos into this folder (default: <work dir>/show)')
    parser.add_argument('--eval', nargs='*', choices=['STQ', 'VPQ', 'PQ'], metavar='METRIC',
                        help='evaluate: STQ, VPQ, on images PQ; without a name all that fit, if the split has ground truth')
    add_common_options(parser)
    return parser.parse_args()


def check_metrics(names, dataset):
    """Which metrics to measure: those named, or all that fit the data set.

    Raises:
        InputError: a named one does not fit the data set, or there is no ground truth.
    """
    fitting = metric_names(dataset)
    for name in names:
        if name not in fitting:
            raise InputError(f'--eval {name}: {dataset.split_folder} is evaluated by {" and ".join(fitting)}')
    labelled = all(record.panoptic for record in dataset.records)
    if names and not labelled:
        raise InputError(f'--eval {names[0]}: {dataset.split_folder} has images without ground truth')
    return (names or fitting) if labelled else []


def main():
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    init_distributed(args.launcher)
    logger = get_root_logger(log_level=cfg.log_level)
    dataset = build_test_dataset(cfg)
    metrics = None if args.eval is None else check_metrics(args.eval, dataset)
    model = revert_sync_batchnorm(build_model(cfg, args.checkpoint, args.allow_pickle, logger, complete=True))
    work_dir = args.work_dir or Path('work_dirs') / Path(args.config).stem
    out = make_work_dir(args.out or work_dir / 'results')
    show_dir = None if args.show_dir is None else args.show_dir or str(work_dir / 'show')
    test_sequences(wrap_model(model, distributed=False), build_test_loader(dataset, cfg.data.workers_per_gpu), out, show_dir)
    if get_dist_info()[0] == 0:
        report(out, show_dir, metrics, dataset)


def report(out, show_dir, metrics, dataset):
    """Evaluate, and say where everything is."""
    if metrics:
        figures = evaluate(out, dataset)
        print(format_metrics(figures, metrics))
        write_json(figures, str(out / 'metrics.json'))
        print(f'figures: {out / "metrics.json"}')
    elif metrics is not None:
        print(f'not evaluated: {dataset.split_folder} has images without ground truth')
    print(f'predictions: {out / "panoptic"}')
    if show_dir:
        print(f'coloured images and videos: {show_dir}')
    if metrics and dataset.holds_videos:
        for tool in ('dstq', 'dvpq'):
            print(f'evaluate again: {sys.executable} tools/eval_{tool}_step.py {out} {dataset.split_folder}')


if __name__ == '__main__':
    with report_input_errors():
        main()
