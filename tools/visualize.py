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

import numpy as np
from tqdm import tqdm

from knet.errors import report_input_errors
from knet.evaluation import Analysis, Protocol, analyze_folders
from knet.evaluation.cli import add_look_options
from knet.evaluation.folders import (
    check_sequences,
    find_home,
    find_protocol,
    list_predictions,
    read_codes,
    read_image,
    read_prediction,
)
from knet.evaluation.histogram import split_codes
from knet.evaluation.mistakes import KINDS, RIGHT, VOID, SequenceMistakes
from knet.files import read_mark, result_folder
from knet.label_space import LabelSpace
from knet.options import at_least, some_of
from knet.parallel import ordered_map
from knet.step_format import frame_name, scan_split, write_png
from knet.visualization import (
    SequenceRenderer,
    contact_sheet,
    draw_errors,
    draw_tracks,
)

SHEET = 'worst_frames.png'
OUTPUTS = (*SequenceRenderer.CONTENTS, 'sheet')
FRAMES_AHEAD = 4
FRAME_FILE = re.compile(r'(\d{6,})_(\d{6,})\.jpg')
"""Images that tools/video_demo.py writes."""
APART = 5  # frames of the sheet


class Item(NamedTuple):
    """A frame to draw.

    prediction: Its file or pair of files.
    image, truth: Their files, where there are some.
    position: Of the frame in its sequence, as the analysis counts.
    """

    sequence: int
    frame: int
    prediction: Tuple[str, ...]
    image: Optional[str]
    truth: Optional[str] = None
    position: int = 0


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
        type=some_of(OUTPUTS),
        default=OUTPUTS,
        metavar='LIST',
        help=f'what to write, of {",".join(OUTPUTS)} (default: all)',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the images, named as in STEP (default: that of GT, or the one that the '
        'predictions were made of, or RESULT/images)',
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


def list_items(args: argparse.Namespace, truth: Optional[Analysis]) -> List[Item]:
    """The frames to draw, with their images and truth where there are some."""
    images = find_images(args)
    if truth is not None:
        return [
            Item(
                sequence,
                files.frame,
                files.pred,
                images.get((sequence, files.frame), files.image),
                files.gt,
                position,
            )
            for sequence, frames in truth.files.items()
            for position, files in enumerate(frames)
        ]
    predictions = list_predictions(args.result_path)
    there = {sequence for sequence, _ in predictions}
    check_sequences(args.sequences, there, args.result_path)
    return [
        Item(*key, paths, images.get(key))
        for key, paths in predictions.items()
        if not args.sequences or key[0] in args.sequences
    ]


def find_images(args: argparse.Namespace) -> Dict[Tuple[int, int], str]:
    """Images other than those of the truth, by sequence and frame: in the folder that is named, or
    that the results were made of, else those that lie beside the results."""
    home = find_home(args.result_path)
    noted = read_mark(home).get('data')
    folder = args.images
    if folder is None and args.gt_path is None and noted and Path(noted).is_dir():
        folder = Path(noted)
    if folder is not None:
        return {
            (sequence, frame): str(kinds['leftImg8bit'])
            for sequence, frames in scan_split(folder).items()
            for frame, kinds in frames.items()
            if 'leftImg8bit' in kinds
        }
    matches = (FRAME_FILE.fullmatch(path.name) for path in sorted(home.glob('images/*.jpg')))
    return {(int(m[1]), int(m[2])): str(home / 'images' / m[0]) for m in matches if m}


def read_item(item: Item, mistakes: Dict[int, SequenceMistakes]) -> Drawing:
    """Read what belongs to a frame.

    Raises:
        InputError: a file cannot be read, or image and maps differ in size.
    """
    codes = read_prediction(item.prediction)
    image = read_image(item.image, codes, item.prediction[0])
    if item.truth is None:
        return Drawing(image, split_codes(codes))
    truth = read_codes(item.truth)
    kinds = mistakes[item.sequence].error_map(item.position, truth, codes)
    return Drawing(image, split_codes(codes), split_codes(truth), kinds)


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
    truth = None
    if args.gt_path is not None:
        truth = analyze_folders(
            args.result_path,
            args.gt_path,
            protocol,
            nproc=args.nproc,
            split=args.split,
            sequences=args.sequences,
        )
    items = list_items(args, truth)
    mistakes = {} if truth is None else truth.mistakes
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
