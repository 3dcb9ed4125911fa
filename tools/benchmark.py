#!/usr/bin/env python
"""Measure the speed and the memory of the evaluation on frames made for it (street-like maps,
375x1242).

Layout "step" is what our own test writes; layout "pair" and the ground truth are compressed as
other programs do by default (level 6), which takes longer to decode.

    python tools/benchmark_evaluation.py
    python tools/benchmark_evaluation.py --frames 400 --layout pair
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from knet.errors import report_input_errors  # noqa: E402
from knet.evaluation import VideoPanopticEvaluator, evaluate_folders  # noqa: E402
from knet.evaluation.folders import pair_folders, read_frame  # noqa: E402
from knet.step_format import frame_name, read_png, write_panoptic, write_png  # noqa: E402

HEIGHT, WIDTH = 375, 1242
ROAD, SIDEWALK, BUILDING, POLE, SIGN, VEGETATION, TERRAIN, SKY, PERSON, CAR, VOID = (
    0,
    1,
    2,
    5,
    7,
    8,
    9,
    10,
    11,
    13,
    255,
)
NUM_SEQUENCES = 4
USUAL_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 6)


def street(rng: np.random.RandomState, num_objects: int = 12) -> dict:
    """A random street: outlines of the stuff classes, and cars and people with their paths."""
    x = np.arange(4 * WIDTH)
    waves = [
        sum(
            rng.uniform(2, 12) * np.sin(x / rng.uniform(8, 90) + rng.uniform(0, 7))
            for _ in range(4)
        )
        for _ in range(4)
    ]
    return {
        'waves': waves,
        'objects': [
            dict(
                label=CAR if rng.rand() < 0.7 else PERSON,
                x=rng.uniform(0, WIDTH),
                y=rng.uniform(190, 310),
                vx=rng.uniform(-6, 6),
                size=rng.uniform(14, 60),
                instance=i + 1,
            )
            for i in range(num_objects)
        ],
    }


def draw(scene: dict, t: int, shift: int = 0, grow: float = 1.0, ids=None):
    """Class map, uint8, and instance map, int32, of frame t; `shift` and `grow` make a prediction
    of it."""
    x = np.arange(WIDTH) + 4 * t + shift
    y = np.arange(HEIGHT)[:, None]
    sky, trees, walk, road = (wave[x] for wave in scene['waves'])
    semantic = np.full((HEIGHT, WIDTH), BUILDING, np.uint8)
    semantic[y < 70 + sky] = SKY
    semantic[(y > 90 + trees) & (y < 190) & ((x // 170) % 2 == 0)] = VEGETATION
    semantic[y > 195 + walk / 2] = TERRAIN
    semantic[y > 215 + walk / 3] = SIDEWALK
    semantic[y > 235 + road / 3] = ROAD
    semantic[(x % 260 < 5) & (y > 60) & (y < 250)] = POLE
    semantic[(x % 260 < 24) & (y > 60) & (y < 84)] = SIGN
    instance = np.zeros((HEIGHT, WIDTH), np.int32)
    for item in scene['objects']:
        centre = (int(item['x'] + item['vx'] * t + shift) % WIDTH, int(item['y']))
        axes = (
            int(item['size'] * grow),
            int(item['size'] * grow * (0.6 if item['label'] == CAR else 2)),
        )
        cv2.ellipse(semantic, centre, axes, 0, 0, 360, item['label'], -1)
        cv2.ellipse(
            instance,
            centre,
            axes,
            0,
            0,
            360,
            item['instance'] if ids is None else ids(item['instance'], t),
            -1,
        )
    return semantic, instance


def ragged(semantic: np.ndarray, instance: np.ndarray, rng: np.random.RandomState, pitch: int):
    """Move the outlines by up to 4 pixels to and fro, at random points `pitch` pixels apart."""
    size = (HEIGHT // pitch, WIDTH // pitch)
    field = [
        cv2.resize(rng.uniform(-4, 4, size).astype(np.float32), (WIDTH, HEIGHT)) for _ in range(2)
    ]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rows = np.clip(rows + field[0].astype(int), 0, HEIGHT - 1)
    columns = np.clip(columns + field[1].astype(int), 0, WIDTH - 1)
    return semantic[rows, columns], instance[rows, columns]


def make_frames(root: Path, num_frames: int, layout: str) -> None:
    """Write ground truth and predictions of a few sequences below `root`."""
    for sequence in range(NUM_SEQUENCES):
        rng = np.random.RandomState(sequence)
        scene = street(rng)
        for t in range(
            num_frames * sequence // NUM_SEQUENCES, num_frames * (sequence + 1) // NUM_SEQUENCES
        ):
            semantic, instance = ragged(*draw(scene, t), rng, 32)
            semantic[350:, 400:800], instance[350:, 400:800] = VOID, 0
            name = frame_name(sequence, t)
            rgb = np.dstack([instance & 255, instance >> 8, semantic]).astype(np.uint8)
            write_png(root / 'gt' / f'{name}_panoptic.png', rgb, USUAL_PNG)
            semantic, instance = ragged(
                *draw(scene, t, 2, 0.95, lambda i, t: i + 300 * (t // 25)), rng, 16
            )
            folder = root / 'result' / 'panoptic' / str(sequence)
            if layout == 'step':
                write_panoptic(folder / f'{name}.png', semantic, instance)
            else:
                write_png(folder / f'{name}_cat.png', semantic.astype(np.uint16), USUAL_PNG)
                write_png(folder / f'{name}_ins.png', instance.astype(np.uint16), USUAL_PNG)


def time_parts(root: Path) -> dict:
    """Milliseconds per frame of the parts of an evaluation, one after the other."""
    frames = pair_folders(root / 'result', root / 'gt')
    spent = dict.fromkeys(('decoding alone', 'reading', 'histogram', 'metric'), 0.0)

    def clock(part, call, *args):
        start = time.perf_counter()
        value = call(*args)
        spent[part] += time.perf_counter() - start
        return value

    evaluator = VideoPanopticEvaluator()
    for files in frames:
        for path in (files.gt, *files.pred):
            clock('decoding alone', read_png, path)
        maps = clock('reading', read_frame, files)
        counts = clock('histogram', evaluator.count, files.sequence, files.frame, maps)
        clock('metric', evaluator.add_counts, files.sequence, files.frame, counts)
    clock('metric', evaluator.result)
    return {part: 1000 * seconds / len(frames) for part, seconds in spent.items()}


def time_whole(root: Path, nproc: int, num_frames: int, repeat: int) -> float:
    """Milliseconds per frame of `evaluate_folders`, the best of some runs."""
    best = float('inf')
    for _ in range(repeat):
        start = time.perf_counter()
        evaluate_folders(root / 'result', root / 'gt', nproc=nproc, progress=False)
        best = min(best, time.perf_counter() - start)
    return 1000 * best / num_frames


def report(root: Path, num_frames: int, layout: str, repeat: int) -> None:
    """Make the frames, measure and print."""
    make_frames(root, num_frames, layout)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    parts = min((time_parts(root) for _ in range(repeat)), key=lambda found: sum(found.values()))
    one = time_whole(root, 1, num_frames, repeat)
    os.sched_setaffinity(0, cores)
    print(
        f'{num_frames} frames of {HEIGHT}x{WIDTH}, layout {layout}, STQ and VPQ for k = 1 2 3 4, '
        'one core, ms per frame:'
    )
    for part, value in parts.items():
        print(f'  {part:<16}{value:8.2f}')
    print(f'  {"whole run":<16}{one:8.2f}   = {one / parts["decoding alone"]:.2f} x decoding alone')
    if len(cores) > 1:
        two = time_whole(root, 2, num_frames, repeat)
        print(f'  {"--nproc 2":<16}{two:8.2f}   = {one / two:.2f} times faster')
    print(f'  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB')


def main() -> None:
    parser = argparse.ArgumentParser(
        description='Measure the speed and the memory of the evaluation.'
    )
    parser.add_argument(
        '--frames', type=int, default=100, help='number of frames to make (default: 100)'
    )
    parser.add_argument(
        '--repeat', type=int, default=3, help='runs, of which the best counts (default: 3)'
    )
    parser.add_argument(
        '--layout',
        choices=('step', 'pair'),
        nargs='+',
        default=['step', 'pair'],
        help='predictions: step = one RGB file, pair = _cat.png and _ins.png of 16 bit (default: '
        'both)',
    )
    args = parser.parse_args()
    cv2.setNumThreads(1)
    for layout in args.layout:
        with tempfile.TemporaryDirectory() as folder:
            report(Path(folder), args.frames, layout, args.repeat)


if __name__ == '__main__':
    with report_input_errors():
        main()
