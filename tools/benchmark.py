"""Measure where the time goes: in testing, training, loading, evaluating and starting.

    python tools/benchmark.py {test,train,data,eval,start} [--json FILE] [--compare FILE]

Data and objects are made up. Times are medians after a warm-up, in milliseconds: of the wall clock,
and of the processor (all threads together). Compare ratios within a run: machines differ, and one
machine from hour to hour.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import cv2
import numpy as np
from terminaltables import AsciiTable

from knet.commands.options import add_config_options, add_precision_option
from knet.errors import InputError, report_input_errors
from knet.options import at_least
from knet.parallel import keep_freed_memory

ROOT = Path(__file__).resolve().parents[1]
R50 = (
    'configs/det/video_knet_kitti_step/'
    'video_knet_s3_r50_rpn_1x_kitti_step_sigmoid_stride2_mask_embed_link_ffn_joint_train.py'
)
PROGRAMS = ('train', 'test', 'video_demo', 'report', 'visualize', 'eval_dstq_step')


class Clock:
    """Takes the time of parts.

    Args:
        wait: Called before each look at the clock: waits for what a GPU has yet to do.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None):
        self.wait = wait
        self.times: Dict[str, List[Sequence[float]]] = {}

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        self.wait()
        begin = time.perf_counter(), time.process_time()
        yield
        self.wait()
        spent = time.perf_counter() - begin[0], time.process_time() - begin[1]
        self.times.setdefault(part, []).append(spent)

    def table(self, warm_up: int = 0, per: float = 1) -> Dict[str, Dict[str, float]]:
        """Medians of each part without the first ones, in ms, divided by `per`."""
        return {
            part: {
                name: 1000 * median(column[warm_up:] or column) / per
                for name, column in zip(('wall', 'cpu'), map(list, zip(*times)))
            }
            for part, times in self.times.items()
        }


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(description='Measure where the time goes')
    subparsers = parser.add_subparsers(dest='what', required=True)
    for name, function in BENCHMARKS.items():
        part = subparsers.add_parser(name, help=function.__doc__.split('\n')[0])
        part.add_argument('--json', type=Path, metavar='FILE', help='also write the times')
        part.add_argument(
            '--compare', type=Path, metavar='FILE', help='of an earlier --json: show the ratio'
        )
        if name == 'start':
            continue
        part.add_argument(
            '--frames',
            type=at_least(1),
            default=FRAMES[name],
            metavar='N',
            help='(default: %(default)s)',
        )
        part.add_argument(
            '--threads',
            type=at_least(1),
            default=1,
            metavar='N',
            help='of NumPy, OpenCV and torch (default: 1)',
        )
        if name in ('test', 'train'):
            part.add_argument(
                '--config', default=str(ROOT / R50), help='(default: Video K-Net R-50)'
            )
            part.add_argument('--device', help='(default: the first GPU, or the CPU)')
            add_config_options(part)
        if name == 'test':
            add_precision_option(part)
            part.add_argument(
                '--objects', type=at_least(0), default=50, metavar='N', help='(default: 50)'
            )
    return parser.parse_args(arguments)


def load_set(args: argparse.Namespace, folder: str, sequences: int = 1, objects: int = 12) -> Any:
    """Config whose data are made-up videos of `args.frames` frames."""
    from benchmark_frames import make_videos

    from knet.apis import load_config

    cfg = load_config(args.config, getattr(args, 'cfg_options', None))
    make_videos(Path(folder), sequences, args.frames, objects)
    cfg.data.root = folder
    return cfg


def clock_for(device: Any) -> Clock:
    """A clock that waits for a GPU."""
    import torch

    return Clock(torch.cuda.synchronize) if device.type == 'cuda' else Clock()


def time_test(args: argparse.Namespace) -> Dict[str, Any]:
    """Testing: the whole loop, and its parts one after the other."""
    import torch

    from knet.apis import init_model, test_sequences
    from knet.data import build_test_dataset, build_test_loader
    from knet.tasks import find_task

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        cfg = load_set(args, folder, objects=args.objects)
        model = init_model(cfg, device=args.device, precision=args.precision)
        clock, task = clock_for(model.device), find_task(cfg.task)
        dataset = build_test_dataset(cfg.data, 'val')
        plant_results(model, dataset)
        state = model.new_state()
        for index, record in enumerate(dataset.records):
            with clock('reading'):
                frame = dataset[index][0]
            with clock('network'):
                (output,) = model.predict([frame], state)
            with clock('merge'):
                merged = model.merge(output.stage, frame)
            with clock('ids and result'):
                ids, state = model.identify(merged[0], output, frame, state)
                result = model.make_result(*merged, ids)
                result.outputs = model.describe(merged[0], output.stage, frame)
            with clock('writing'):
                task.write(Path(folder) / 'parts', record, result)
        loader = build_test_loader(dataset, 0)  # so that its work counts too
        predict = model.predict

        def timed(*inputs: Any) -> Any:
            with clock('network in the loop'):
                return list(predict(*inputs))

        if model.device.type == 'cpu':  # on a GPU the clock would make it wait
            model.predict = timed
        with clock('all frames'), contextlib.redirect_stderr(io.StringIO()):
            test_sequences(model, loader, Path(folder) / 'whole', task)
        inside = clock.times.pop('network in the loop', clock.times['network'])
        parts = clock.table(warm_up=1)
        whole = parts['whole loop'] = parts.pop('all frames')
        whole.update({k: v / len(dataset) for k, v in whole.items()})
        floor = {k: 1000 * sum(v) / len(v) for k, v in zip(('wall', 'cpu'), zip(*inside))}
        ratio = {f'whole loop / network in it, {k}': whole[k] / floor[k] for k in whole}
    return dict(ms=parts, ratios=ratio, device=str(model.device))


def plant_results(model: Any, dataset: Any) -> None:
    """Let a model with random weights predict the ground truth of its frames, one after the other,
    over and over: after all its work its last masks and classes are replaced."""
    import torch

    truths = [dataset.read_truth(record) for record in dataset.records]
    stage, space, kernels = model.roi_head.last_stage, dataset.label_space, model.kernel_set
    calls = iter(range(10**9))

    def planted(inputs: Any, previous: Any = None) -> Any:
        output = stage(inputs, previous)
        last = output.predictions
        semantic, instance = truths[next(calls) % len(truths)]
        labels = space.train_to_model[semantic]
        masks = torch.full_like(last['masks'], -6)
        classes = torch.full_like(last['classes'], -6)
        height, width = masks.shape[-2:]
        things = np.unique(np.where(labels < kernels.num_thing_classes, instance, 0))[1:]
        found = [
            (k, instance == number) for k, number in enumerate(things[: kernels.num_proposals])
        ]
        for j in range(kernels.num_stuff_classes):
            mask = labels == kernels.num_thing_classes + j
            found += [(kernels.num_proposals + j, mask)] if mask.any() else []
        for k, mask in found:
            share = cv2.resize(
                mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
            )
            masks[0, k] = torch.from_numpy(12 * share - 6)
            label = int(labels[mask][0])
            classes[0, k, label] = 3
        last['masks'], last['classes'] = masks, classes
        return output

    model.roi_head.last_stage = planted


def time_train(args: argparse.Namespace) -> Dict[str, Any]:
    """Training: a step on a pair of frames, by its parts."""
    import torch
    from mmcv.runner import build_optimizer

    from knet.apis.build import build_model
    from knet.apis.runner import wrap_model
    from knet.apis.train import set_precision
    from knet.data import build_train_dataset, build_train_loader

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        cfg = load_set(args, folder)
        model = build_model(cfg, pretrained=False)
        wrapped = wrap_model(model, False, set_precision(cfg)[0]).train()
        clock = clock_for(next(wrapped.parameters()).device)
        optimizer = build_optimizer(wrapped, cfg.optimizer)
        dataset = build_train_dataset(cfg.data, type(model).num_references)
        for batch in build_train_loader(dataset, 1, 0):
            with clock('whole step'):
                with clock('forward and losses'):
                    loss = wrapped.train_step(batch, optimizer)['loss']
                with clock('backward'):
                    loss.backward()
                with clock('optimizer'):
                    optimizer.step()
                    optimizer.zero_grad()
            if len(clock.times['whole step']) == args.frames:
                break
    return dict(ms=clock.table(warm_up=1))


def time_data(args: argparse.Namespace) -> Dict[str, Any]:
    """Loading: a training pair, decoding against everything."""
    from knet.data import build_train_dataset
    from knet.data.base import Draw
    from knet.step_format import read_png

    args.config = str(ROOT / R50)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        dataset = build_train_dataset(load_set(args, folder).data, 1)
        for index in range(args.frames):
            with clock('whole pair'):
                dataset[Draw(index, (0, index))]
            record = dataset.records[index]
            with clock('decoding alone'):
                for path in 2 * (record.image, *record.truth):
                    read_png(path)
    ms = clock.table(warm_up=1)
    return dict(ms=ms, ratios=ratios(ms, 'whole pair', 'decoding alone'))


def time_eval(args: argparse.Namespace) -> Dict[str, Any]:
    """Evaluating: STQ and VPQ for k = 1 2 3 4, by parts and as a whole."""
    from benchmark_frames import make_videos

    from knet.evaluation import VideoPanopticEvaluator, evaluate_folders
    from knet.evaluation.folders import pair_folders, read_frame
    from knet.step_format import read_png

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        make_videos(Path(folder), 4, args.frames, layout='step')
        results = Path(folder) / 'results'
        evaluator = VideoPanopticEvaluator()
        frames = pair_folders(results, folder)
        for files in frames:
            with clock('decoding alone'):
                for path in (files.gt, *files.pred):
                    read_png(path)
            with clock('reading'):
                maps = read_frame(files)
            with clock('histogram'):
                counts = evaluator.count(files.sequence, files.frame, maps)
            with clock('metric'):
                evaluator.add_counts(files.sequence, files.frame, counts)
        with clock('all frames'):
            evaluate_folders(results, folder, progress=False)
    ms = clock.table()
    ms['whole run'] = {k: v / len(frames) for k, v in ms.pop('all frames').items()}
    return dict(ms=ms, ratios=ratios(ms, 'whole run', 'decoding alone'))


def time_start(args: argparse.Namespace) -> Dict[str, Any]:
    """Starting: --help of the programs."""
    clock = Clock()
    for program in PROGRAMS:
        for _ in range(3):
            with clock(f'{program} --help'):
                command = [sys.executable, f'{ROOT}/tools/{program}.py', '--help']
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return dict(ms={part: dict(wall=found['wall']) for part, found in clock.table().items()})


BENCHMARKS = dict(
    test=time_test, train=time_train, data=time_data, eval=time_eval, start=time_start
)
FRAMES = dict(test=8, train=4, data=20, eval=25)


def ratios(ms: Dict[str, Dict[str, float]], whole: str, floor: str) -> Dict[str, float]:
    """How many times the floor the whole takes."""
    return {f'{whole} / {floor}, {k}': ms[whole][k] / ms[floor][k] for k in ms[whole]}


def format_result(result: Dict[str, Any], earlier: Optional[Dict[str, Any]]) -> str:
    """Tables of a result; with an earlier one also the ratio of the times."""
    clocks = list(next(iter(result['ms'].values())))
    head = ['part', *(f'{name} (ms)' for name in clocks)]
    rows = []
    for part, times in result['ms'].items():
        row = [part, *(f'{times[name]:.2f}' for name in clocks)]
        before = (earlier or {}).get('ms', {}).get(part)
        if earlier is not None:
            row += [f'{times[name] / before[name]:.2f}' if before else '-' for name in clocks]
        rows.append(row)
    if earlier is not None:
        head += [f'{name} / earlier' for name in clocks]
    table = AsciiTable([head, *rows])
    table.justify_columns = dict.fromkeys(range(1, len(head)), 'right')
    lines = [f'{name}: {value:.2f}' for name, value in result.get('ratios', {}).items()]
    return '\n'.join([table.table, *lines, f'peak memory: {result["peak_mb"]:.0f} MB'])


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Measure and print."""
    args = parse_args(arguments)
    earlier = None
    if args.compare:
        try:
            earlier = json.loads(args.compare.read_text())
            assert earlier['what'] == args.what
        except (OSError, ValueError, KeyError, TypeError, AssertionError):
            raise InputError(
                f'--compare {args.compare} is no file that benchmark.py {args.what} --json wrote'
            ) from None
    cv2.setNumThreads(getattr(args, 'threads', 1))
    if args.what != 'train':
        keep_freed_memory()  # as the programs
    result = BENCHMARKS[args.what](args)
    result.update(
        what=args.what,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        cores=os.cpu_count(),
    )
    print(format_result(result, earlier))
    if args.json:
        from knet.evaluation import write_json

        write_json(result, args.json)
        print(f'times: {args.json}')


if __name__ == '__main__':
    with report_input_errors():
        main()
