"""Draw predictions on disk: coloured maps, tracks, error maps, side-by-side videos, and a sheet of
the worst frames.

    python tools/visualize.py RESULT [GT] [--out DIR]

RESULT is what tools/test.py or tools/video_demo.py wrote, GT the data root or the split's folder.
Neither a model nor torch is needed.
"""

import argparse
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from knet.errors import InputError, report_input_errors
from knet.evaluation import Protocol, analyze_folders
from knet.evaluation.cli import add_look_options
from knet.evaluation.folders import (
    find_home,
    find_protocol,
    find_split,
    list_predictions,
    read_codes,
    read_prediction,
)
from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE
from knet.evaluation.mistakes import KINDS, RIGHT, VOID, SequenceMistakes
from knet.files import read_mark, result_folder
from knet.label_space import LabelSpace
from knet.options import at_least
from knet.parallel import ordered_map
from knet.step_format import frame_name, read_png, scan_split, write_png
from knet.visualization import SequenceRenderer, contact_sheet, draw_errors, draw_tracks

SHEET = 'worst_frames.png'
OUTPUTS = (*SequenceRenderer.CONTENTS, 'sheet')
FRAMES_AHEAD = 4
APART = 5  # frames of the sheet


class Item(NamedTuple):
    """A frame to draw.

    prediction: Its file or pair of files.
    image, truth: Their files, where there are some.
    position: Of the frame in its sequence.
    """

    sequence: int
    frame: int
    prediction: Tuple[str, ...]
    image: Optional[Path]
    truth: Optional[Path]
    position: int


class Drawing(NamedTuple):
    """What is drawn of a frame: RGB image, predicted and true classes and ids, kinds of errors."""

    image: np.ndarray
    prediction: Tuple[np.ndarray, np.ndarray]
    truth: Optional[Tuple[np.ndarray, np.ndarray]] = None
    kinds: Optional[np.ndarray] = None


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(
        description='Draw predictions on disk: maps, tracks, errors, videos, the worst frames'
    )
    parser.add_argument('result_path', type=Path, metavar='RESULT', help='folder with panoptic/')
    parser.add_argument(
        'gt_path',
        type=Path,
        nargs='?',
        metavar='GT',
        help='data root, holding video_sequence/<split>, or the folder of the split; without it no '
        'errors are drawn',
    )
    parser.add_argument('--out', type=Path, help='folder of the pictures (default: RESULT/show)')
    parser.add_argument(
        '--write',
        type=_outputs,
        default=OUTPUTS,
        metavar='LIST',
        help=f'what to write, of {",".join(OUTPUTS)} (default: all)',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the images, named as in STEP (default: that of GT, or the one that the '
        'predictions were made of)',
    )
    parser.add_argument(
        '--worst',
        type=at_least(1),
        default=12,
        metavar='N',
        help='frames on the sheet (default: 12)',
    )
    parser.add_argument('--fps', type=at_least(1), default=10, help='of the videos (default: 10)')
    add_look_options(parser)
    return parser.parse_args(arguments)


def _outputs(text: str) -> Tuple[str, ...]:
    names = tuple(name for name in text.split(',') if name)
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f'takes names of {",".join(OUTPUTS)}, got {text!r}')
    return names


def list_items(
    args: argparse.Namespace, predictions: Dict[Tuple[int, int], Tuple[str, ...]]
) -> List[Item]:
    """The frames to draw, with their images and truth where there are some."""
    folder = args.images
    if folder is None and args.gt_path is None:
        noted = read_mark(find_home(args.result_path)).get('data')
        folder = Path(noted) if noted and Path(noted).is_dir() else None
    truth = scan_split(find_split(args.gt_path, args.split)) if args.gt_path else {}
    images = scan_split(folder) if folder else truth
    items: List[Item] = []
    known = sorted({sequence for sequence, _ in predictions})
    missing = sorted(set(args.sequences) - set(known))
    if missing:
        raise InputError(
            f'--sequences: {args.result_path} has no sequence {missing[0]}; it has '
            f'{", ".join(map(str, known))}'
        )
    for (sequence, frame), paths in predictions.items():
        if args.sequences and sequence not in args.sequences:
            continue
        position = items[-1].position + 1 if items and items[-1].sequence == sequence else 0
        image = images.get(sequence, {}).get(frame, {}).get('leftImg8bit')
        gt = truth.get(sequence, {}).get(frame, {}).get('panoptic')
        items.append(Item(sequence, frame, paths, image, gt, position))
    return items


def read_item(item: Item, mistakes: Dict[int, SequenceMistakes]) -> Drawing:
    """Read what belongs to a frame.

    Raises:
        InputError: a file cannot be read, or image and maps differ in size.
    """
    codes = read_prediction(item.prediction)
    if item.image is None:
        image = np.zeros((*codes.shape, 3), np.uint8)
    else:
        image = cv2.cvtColor(read_png(item.image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if image.shape[:2] != codes.shape:
        raise InputError(
            f'sequence {item.sequence}, frame {item.frame}: {item.prediction[0]} has the size '
            f'{codes.shape}, {item.image} {image.shape[:2]} (height, width)'
        )
    if item.truth is None or item.sequence not in mistakes:
        return Drawing(image, split_codes(codes))
    truth = read_codes(item.truth)
    kinds = mistakes[item.sequence].error_map(item.position, truth, codes)
    return Drawing(image, split_codes(codes), split_codes(truth), kinds)


def split_codes(codes: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Classes, (H, W), uint8, and ids, (H, W), int32, of codes."""
    return (codes >> INSTANCE_BITS).astype(np.uint8), (codes & MAX_INSTANCE).astype(np.int32)


def draw_sheet(
    items: Sequence[Item], mistakes: Dict[int, SequenceMistakes], space: LabelSpace, number: int
) -> np.ndarray:
    """The frames with the largest share of wrong pixels: truth, prediction and errors of each."""
    worst = worst_frames(items, mistakes, number)
    cells = []
    for item in worst:
        drawing = read_item(item, mistakes)
        scale = max(1, round(960 / drawing.image.shape[1]))
        panels = [
            draw_tracks(drawing.image, *maps, space, scale=scale)
            for maps in (drawing.truth, drawing.prediction)
            if maps
        ]
        panels.append(draw_errors(drawing.image, drawing.kinds, KINDS, scale))
        cells.append((caption(item, mistakes), np.vstack(panels)))
    return contact_sheet(cells, KINDS)


def worst_frames(
    items: Sequence[Item], mistakes: Dict[int, SequenceMistakes], number: int
) -> List[Item]:
    """The frames with the largest share of wrong pixels, but not the neighbours of one of them."""
    chosen: List[Item] = []
    for item in sorted(items, key=lambda item: -wrong_share(item, mistakes)):
        near = [other for other in chosen if other.sequence == item.sequence]
        if all(abs(item.position - other.position) >= APART for other in near):
            chosen.append(item)
        if len(chosen) == number:
            break
    return chosen


def wrong_share(item: Item, mistakes: Dict[int, SequenceMistakes]) -> float:
    """Share of a frame's labelled pixels that are wrong, 0..1."""
    pixels = mistakes[item.sequence].kinds[item.position]
    labelled = pixels.sum() - pixels[VOID]
    return float(1 - pixels[RIGHT] / labelled) if labelled else 0.0


def caption(item: Item, mistakes: Dict[int, SequenceMistakes]) -> str:
    """Words above a frame of the sheet."""
    pixels = mistakes[item.sequence].kinds[item.position]
    labelled = max(1, pixels.sum() - pixels[VOID])
    wrong = sorted(range(RIGHT + 1, len(KINDS)), key=lambda kind: -pixels[kind])[:3]
    parts = [f'{KINDS[k].name} {100 * pixels[k] / labelled:.1f}%' for k in wrong if pixels[k]]
    return (
        f'{frame_name(item.sequence, item.frame)}: truth, prediction, errors ({", ".join(parts)})'
    )


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Draw what was asked for."""
    args = parse_args(arguments)
    protocol: Protocol = find_protocol(args.result_path, args.protocol)
    items = list_items(args, list_predictions(args.result_path))
    mistakes: Dict[int, SequenceMistakes] = {}
    if args.gt_path is not None:
        mistakes = analyze_folders(
            args.result_path,
            args.gt_path,
            protocol,
            nproc=args.nproc,
            split=args.split,
            sequences=args.sequences,
        ).mistakes
    out = args.out or find_home(args.result_path) / 'show'
    made_of = dict(results=str(args.result_path), truth=str(args.gt_path))
    contents = (*SequenceRenderer.CONTENTS, SHEET)
    names = re.compile(f'{SequenceRenderer.NAMES.pattern}|{re.escape(SHEET)}')
    with result_folder(out, contents, names, made_of):
        draw_frames(args, items, mistakes, protocol.label_space, out)
        if mistakes and 'sheet' in args.write:
            sheet = draw_sheet(items, mistakes, protocol.label_space, args.worst)
            write_png(out / SHEET, sheet[..., ::-1])
    for name in contents:
        path = out / name
        if path.is_file() or path.is_dir() and any(path.iterdir()):
            print(f'{name}: {out / name}')


def draw_frames(
    args: argparse.Namespace,
    items: Sequence[Item],
    mistakes: Dict[int, SequenceMistakes],
    space: LabelSpace,
    out: Path,
) -> None:
    """Write maps, tracks, errors and videos of all frames, read ahead by threads."""
    write = [name for name in args.write if name != 'sheet']
    if not write:
        return
    renderer = SequenceRenderer(out, space, args.fps, write, KINDS)
    with renderer, ThreadPoolExecutor(args.nproc) as pool:
        read = partial(read_item, mistakes=mistakes)
        drawings = ordered_map(pool, read, items, FRAMES_AHEAD * args.nproc)
        for item, drawing in zip(
            items, tqdm(drawings, 'drawing', len(items), unit='frame', disable=None)
        ):
            truth = drawing.truth or (None, None)
            renderer.add(
                str(item.sequence),
                frame_name(item.sequence, item.frame),
                drawing.image,
                *drawing.prediction,
                *truth,
                drawing.kinds,
            )


if __name__ == '__main__':
    with report_input_errors():
        main()
