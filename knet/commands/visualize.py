"""Draw predictions on disk: coloured maps, tracks, error maps, side-by-side videos, and a sheet of
the worst frames: see tools/visualize.py."""

import argparse
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from knet.errors import InputError
from knet.evaluation import Analysis, Protocol, analyze_folders
from knet.evaluation.depth import resize_nearest
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
from knet.parallel import ordered_map
from knet.step_format import frame_name, read_depth, scan_split, write_png
from knet.visualization import (
    SequenceRenderer,
    contact_sheet,
    draw_errors,
    draw_tracks,
)

SHEET = 'worst_frames.png'
FRAMES_AHEAD = 4
FRAME_FILE = re.compile(r'(\d{6,})_(\d{6,})\.jpg')
"""Images that tools/video_demo.py writes."""
APART = 5  # frames of the sheet


class Item(NamedTuple):
    """A frame to draw.

    prediction: Its file or pair of files.
    image, truth, depth, gt_depth: Their files, where there are some.
    position: Of the frame in its sequence, as the analysis counts.
    """

    sequence: int
    frame: int
    prediction: Tuple[str, ...]
    image: Optional[str]
    truth: Optional[str] = None
    position: int = 0
    depth: Optional[Path] = None
    gt_depth: Optional[Path] = None


class Drawing(NamedTuple):
    """What is drawn of a frame, see `SequenceRenderer.add`."""

    image: np.ndarray
    semantic: np.ndarray
    instance: np.ndarray
    gt_semantic: Optional[np.ndarray] = None
    gt_instance: Optional[np.ndarray] = None
    kinds: Optional[np.ndarray] = None
    depth: Optional[np.ndarray] = None
    gt_depth: Optional[np.ndarray] = None


def list_items(args: argparse.Namespace, truth: Optional[Analysis]) -> List[Item]:
    """The frames to draw, with their images and truth where there are some."""
    images, depths = find_images(args), find_home(args.result_path) / 'depth'
    if truth is not None:
        return [
            Item(
                sequence,
                files.frame,
                files.pred,
                images.get((sequence, files.frame), files.image),
                files.gt,
                position,
                existing(depths / str(sequence) / f'{frame_name(sequence, files.frame)}.png'),
                existing(
                    Path(files.gt).with_name(f'{frame_name(sequence, files.frame)}_depth.png')
                ),
            )
            for sequence, frames in truth.files.items()
            for position, files in enumerate(frames)
        ]
    predictions = list_predictions(args.result_path)
    there = {sequence for sequence, _ in predictions}
    check_sequences(args.sequences, there, args.result_path)
    return [
        Item(
            *key,
            paths,
            images.get(key),
            depth=existing(depths / str(key[0]) / f'{frame_name(*key)}.png'),
        )
        for key, paths in predictions.items()
        if not args.sequences or key[0] in args.sequences
    ]


def check_items(args: argparse.Namespace, items: Sequence[Item]) -> None:
    """Raise InputError where no frame has what was asked for."""
    if set(args.write) == {'depth'} and all(item.depth is None for item in items):
        raise InputError(f'--write depth: {find_home(args.result_path)} holds no depth')
    images = (Path(item.image).parent for item in items if item.image)
    if args.images is not None and args.images not in images:
        raise InputError(
            f'--images {args.images} holds no image of these frames; expected names like '
            f'{frame_name(*items[0][:2])}_leftImg8bit.png'
        )


def existing(path: Path) -> Optional[Path]:
    """A path, None where nothing is there."""
    return path if path.exists() else None


def find_images(args: argparse.Namespace) -> Dict[Tuple[int, int], str]:
    """Images other than those of the truth, by sequence and frame: in the folder that is named, or
    that the results were made of, else those that lie beside the results."""
    home = find_home(args.result_path)
    noted = read_mark(home).get('data')
    folder = args.images
    if folder is None and args.gt_path is None and noted and Path(noted).is_dir():
        folder = Path(noted)
    if args.images is not None and not args.images.is_dir():
        raise InputError(f'--images {args.images} is not a folder; name one of images')
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
    depths = {}
    if item.depth is not None:
        depths['depth'] = resize_nearest(read_depth(item.depth), codes.shape)
    if item.gt_depth is not None:
        depths['gt_depth'] = read_depth(item.gt_depth)
        if depths['gt_depth'].shape != codes.shape:
            raise InputError(
                f'{item.gt_depth} has the size {depths["gt_depth"].shape}, {item.prediction[0]} '
                f'{codes.shape} (height, width)'
            )
    if item.truth is None:
        return Drawing(image, *split_codes(codes), **depths)
    truth = read_codes(item.truth)
    kinds = mistakes[item.sequence].error_map(item.position, truth, codes)
    return Drawing(image, *split_codes(codes), *split_codes(truth), kinds, **depths)


def draw_sheet(
    items: Sequence[Item], mistakes: Dict[int, SequenceMistakes], space: LabelSpace, number: int
) -> np.ndarray:
    """The frames with the largest share of wrong pixels: truth, prediction and errors of each."""
    worst = worst_frames(items, mistakes, number)
    cells = []
    for item in worst:
        drawing = read_item(item, mistakes)
        image, semantic, instance, gt_semantic, gt_instance, kinds = drawing[:6]
        assert gt_semantic is not None and gt_instance is not None and kinds is not None
        scale = max(1, round(960 / image.shape[1]))
        draw = partial(draw_tracks, image, label_space=space, scale=scale)
        panels = [
            draw(gt_semantic, gt_instance),
            draw(semantic, instance),
            draw_errors(image, kinds, KINDS, scale),
        ]
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


def run(args: argparse.Namespace) -> None:
    """Draw what was asked for."""
    if args.gt_path is None and set(args.write) <= {'errors', 'sheet'}:
        raise InputError(f'--write {",".join(args.write)}: give GT too; errors are against it')
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
    check_items(args, items)
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
            renderer.add(str(item.sequence), frame_name(item.sequence, item.frame), *drawing)
