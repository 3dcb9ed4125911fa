"""Test a detector on videos or images: write predictions and coloured images, evaluate them.

    python tools/test.py CONFIG CHECKPOINT [--out DIR] [--eval STQ VPQ | --eval PQ] [--show-dir DIR]
"""
import argparse
import os
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
    parser.add_argument('--work-dir', help='where the results go without --out (default: work_dirs/<name of the config>)')
    parser.add_argument('--out', help='folder of the predictions (default: <work dir>/results)')
    parser.add_argument('--show-dir', help='also write coloured maps and videos into this folder')
    parser.add_argument('--eval', nargs='*', choices=['STQ', 'VPQ', 'PQ'], metavar='METRIC',
                        help='evaluate: STQ, VPQ (both without a name), on images PQ; the split must have ground truth')
    add_common_options(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    setup_multi_processes(cfg)
    init_distributed(args.launcher)
    logger = get_root_logger(log_level=cfg.log_level)
    dataset = build_test_dataset(cfg)
    wrong = sorted(set(args.eval or ()) - set(metric_names(dataset)))
    if wrong:
        raise InputError(f'--eval {wrong[0]}: the test set of {args.config} is evaluated by {" and ".join(metric_names(dataset))}')
    model = revert_sync_batchnorm(build_model(cfg, args.checkpoint, args.allow_pickle, logger, complete=True))
    out = make_work_dir(args.out or os.path.join(args.work_dir or os.path.join('work_dirs', Path(args.config).stem), 'results'))
    test_sequences(wrap_model(model, distributed=False), build_test_loader(dataset, cfg.data.workers_per_gpu), out, args.show_dir)
    if get_dist_info()[0] == 0:
        if args.eval is not None:
            metrics = evaluate(out, dataset)
            print(format_metrics(metrics, args.eval or metric_names(dataset)))
            write_json(metrics, str(out / 'metrics.json'))
            print(f'figures: {out / "metrics.json"}')
        print(f'predictions: {out / "panoptic"}')
        if args.show_dir:
            print(f'coloured images and videos: {args.show_dir}')


if __name__ == '__main__':
    with report_input_errors():
        main()
