"""Draw what a model is trained on: frames after the transforms of a config, with masks, boxes and ids.

    python tools/misc/browse_dataset.py CONFIG [--split train] [--out DIR] [--number N]

One PNG per item, for videos with key and reference frame: an object has the same colour and number in both. Void is hatched, as is
the padding; crowds have the colour of their class and no box.
"""
import argparse
from pathlib import Path
from typing import Dict, Optional, Sequence

import cv2
import numpy as np
from mmcv import DictAction
from mmdet.core import BitmapMasks
from mmdet.datasets import build_dataset
from torch import Tensor
from tqdm import tqdm

from knet.apis import load_config
from knet.data.transforms import image_of_tensor
from knet.errors import InputError, report_input_errors
from knet.label_space import LabelSpace
from knet.step_format import write_png
from knet.visualization import draw_tracks, side_by_side, track_colours
from knet.visualization.video import PANEL_WIDTH

HATCH = 8  # pixels from stripe to stripe


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(description='Draw frames after the transforms of a config')
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='entry of cfg.data (default: train)')
    parser.add_argument('--out', type=Path, help='folder of the pictures (default: work_dirs/<name of the config>/browse)')
    parser.add_argument('--number', type=int, default=20, metavar='N', help='how many, spread evenly over the set (default: 20)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='change settings of the config')
    return parser.parse_args(arguments)


def draw_frame(img: Tensor, meta: Dict, semantic: Tensor, masks: BitmapMasks, boxes: Tensor, ids: Sequence[int],
               label_space: LabelSpace) -> np.ndarray:
    """Picture of a frame.

    Args:
        img: (3, H, W), float32, normalized as `meta['img_norm_cfg']` says.
        meta: See `knet.data.transforms.PackFrames`.
        semantic: (1, H, W), model classes, 255 = void.
        masks: Of the n things.
        boxes: (n, 4), x1, y1, x2, y2 in pixels.
        ids: n numbers to show, 1..65535.
        label_space: Classes and palette.

    Returns:
        uint8 RGB, the frame or its enlargement by a whole factor.
    """
    image = image_of_tensor(img, {**meta, 'img_shape': img.shape[1:]})
    instance = np.zeros(img.shape[1:], np.int32)
    for mask, number in zip(masks.masks, ids):
        instance[mask > 0] = number
    classes = label_space.model_to_train[semantic[0].numpy()]
    scale = max(1, round(PANEL_WIDTH / img.shape[2]))
    picture = draw_tracks(image, classes, instance, label_space, scale=scale)
    void = (classes == label_space.void).repeat(scale, 0).repeat(scale, 1)
    rows, cols = np.indices(void.shape, sparse=True)
    picture[void & ((rows + cols) % HATCH < 2)] = 160
    for box, colour in zip((boxes.numpy() * scale).round().astype(int).tolist(), track_colours(np.asarray(ids, np.int64)).tolist()):
        cv2.rectangle(picture, tuple(box[:2]), (box[2] - 1, box[3] - 1), colour, 1)
    return picture


def draw_item(item: Dict, label_space: LabelSpace) -> np.ndarray:
    """Picture of an item of a data set, with its reference frame where it has one (shapes: `knet.data.transforms.PackFrames`)."""
    data = {name: container.data for name, container in item.items()}
    # instance ids hold the class in their upper bits; images have none
    ids = (data['gt_instance_ids'] & 0xffff).tolist() if 'gt_instance_ids' in data else range(1, len(data['gt_labels']) + 1)
    panels = [(caption('key', data['img_metas'], ids), draw_frame(data['img'], data['img_metas'], data['gt_semantic_seg'],
                                                                 data['gt_masks'], data['gt_bboxes'], ids, label_space))]
    for i, meta in enumerate(data.get('ref_img_metas', ())):
        boxes, ids = (data[name][data[name][:, 0] == i][:, 1:] for name in ('ref_gt_bboxes', 'ref_gt_instance_ids'))
        ids = (ids[:, 0] & 0xffff).tolist()
        panels.append((caption('reference', meta, ids), draw_frame(data['ref_img'][i], meta, data['ref_gt_semantic_seg'][i],
                                                                   data['ref_gt_masks'][i], boxes, ids, label_space)))
    return side_by_side(panels)


def caption(role: str, meta: Dict, ids: Sequence[int]) -> str:
    """Words above a frame."""
    return f'{role}: {Path(meta["filename"]).name}, {len(ids)} things{", flipped" if meta.get("flip") else ""}'


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Draw the pictures."""
    args = parse_args(arguments)
    if args.number < 1:
        raise InputError(f'--number must be at least 1, got {args.number}')
    cfg = load_config(args.config, args.cfg_options).data[args.split]
    dataset = build_dataset(cfg.get('dataset', cfg))  # without the repetitions of training
    out = args.out or Path('work_dirs') / Path(args.config).stem / 'browse'
    for index in tqdm(np.linspace(0, len(dataset) - 1, min(args.number, len(dataset))).astype(int), desc='drawing'):
        write_png(out / f'{dataset.records[index].name}.png', draw_item(dataset[index], dataset.label_space)[..., ::-1])
    print(f'pictures: {out}')


if __name__ == '__main__':
    with report_input_errors():
        main()
