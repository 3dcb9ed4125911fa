"""Draw what a model is trained on: frames after the transforms of a config, with masks, boxes and
ids.

    python tools/misc/browse_dataset.py CONFIG [--split train] [--out DIR] [--number N]

One PNG per item, for videos with key and reference frame: an object has the same colour and number
in both. Void is hatched, as is the padding; crowds have the colour of their class and no box. Where
depth is trained it stands below: blue near, red far, black unknown.
"""

import argparse
from pathlib import Path
from typing import List, Optional, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from knet.apis import load_config
from knet.apis.explain import require
from knet.commands.options import add_config_options
from knet.data import build_test_dataset, build_train_dataset
from knet.data.transforms import picture_of
from knet.errors import InputError, report_input_errors
from knet.label_space import LabelSpace
from knet.step_format import write_png
from knet.structures import Frame
from knet.tasks import find_task
from knet.visualization import colour_depth, draw_tracks, side_by_side, track_colours
from knet.visualization.colours import enlarge
from knet.visualization.video import PANEL_WIDTH

HATCH = 8  # pixels from stripe to stripe


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(description='Draw frames after the transforms of a config')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help='entry of cfg.data (default: train)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='folder of the pictures (default: work_dirs/<name of the config>/browse)',
    )
    parser.add_argument(
        '--number',
        type=int,
        default=20,
        metavar='N',
        help='how many, spread evenly over the set (default: 20)',
    )
    add_config_options(parser)
    return parser.parse_args(arguments)


def draw_frame(frame: Frame, label_space: LabelSpace) -> np.ndarray:
    """Picture of a frame with ground truth, or its enlargement by a whole factor, uint8 RGB."""
    objects = frame.targets.objects
    # the class is in the upper bits of an id
    ids = (objects.ids & 0xFFFF).tolist()
    instance = np.zeros(frame.image.shape[1:], np.int32)
    for mask, number in zip(objects.masks.numpy(), ids):
        instance[mask] = number
    classes = label_space.model_to_train[frame.targets.semantic.numpy()]
    scale = max(1, round(PANEL_WIDTH / classes.shape[1]))
    picture = draw_tracks(
        picture_of(frame, with_padding=True), classes, instance, label_space, scale=scale
    )
    void = (classes == label_space.void).repeat(scale, 0).repeat(scale, 1)
    rows, cols = np.indices(void.shape, sparse=True)
    picture[void & ((rows + cols) % HATCH < 2)] = 160
    for mask, colour in zip(
        objects.masks.numpy(), track_colours(np.asarray(ids, np.int64)).tolist()
    ):
        (y, x) = mask.nonzero()
        corners = (
            (x.min() * scale, y.min() * scale),
            ((x.max() + 1) * scale - 1, (y.max() + 1) * scale - 1),
        )
        cv2.rectangle(picture, *(tuple(map(int, corner)) for corner in corners), colour, 1)
    if frame.targets.depth is not None:
        depth = enlarge(colour_depth(frame.targets.depth.numpy()), scale, cv2.INTER_NEAREST)
        picture = np.vstack([picture, depth])
    return picture


def draw_item(item: List[Frame], label_space: LabelSpace) -> np.ndarray:
    """Picture of an item of a data set: the key frame, and its reference frame where it has one."""
    roles = ['key'] + ['reference'] * (len(item) - 1)
    return side_by_side(
        [(caption(role, frame), draw_frame(frame, label_space)) for role, frame in zip(roles, item)]
    )


def caption(role: str, frame: Frame) -> str:
    """Words above a frame."""
    flipped = ', flipped' if frame.flipped else ''
    return f'{role}: {Path(frame.name).name}, {len(frame.targets.objects)} things{flipped}'


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Draw the pictures."""
    args = parse_args(arguments)
    if args.number < 1:
        raise InputError(f'--number must be at least 1, got {args.number}')
    cfg = load_config(args.config, args.cfg_options)
    require(cfg, 'data.name', f'data.{args.split}')
    if args.split == 'train':
        cfg.data.train.repeat = 1
        dataset = build_train_dataset(cfg.data, find_task(cfg.get('task')).num_references)
    else:
        dataset = build_test_dataset(cfg.data, args.split, with_truth=True)
    out = args.out or Path('work_dirs') / Path(args.config).stem / 'browse'
    for index in tqdm(
        np.linspace(0, len(dataset) - 1, min(args.number, len(dataset))).astype(int), desc='drawing'
    ):
        write_png(
            out / f'{dataset.records[index].name}.png',
            draw_item(dataset[index], dataset.label_space)[..., ::-1],
        )
    print(f'pictures: {out}')


if __name__ == '__main__':
    with report_input_errors():
        main()
