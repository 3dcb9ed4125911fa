"""Puts the downloads of Cityscapes-DVPS and SemKITTI-DVPS into the STEP layout with depth.

    python datasets/prepare_dvps.py SOURCE OUT [--splits train val] [--symlink] [--nproc N]
                                    [--dry-run]

    SOURCE/video_sequence/<split>/<sequence:06d>_<frame:06d>[_<more>]_leftImg8bit.png   image
    Cityscapes-DVPS   ..._gtFine_instanceTrainIds.png       class * 1000 + instance, 32000 = void
                      ..._depth.png                         16 bit, metres * 256
    SemKITTI-DVPS     ..._gtFine_class.png, ..._gtFine_instance.png
                      ..._depth_<focal length>.png          16 bit, metres * 256
    OUT/video_sequence/<split>/<sequence:06d>_<frame:06d>_{leftImg8bit,panoptic,depth}.png

Which of the two it is, the names tell. Images and depth are linked, maps are written. A thing
without an instance number becomes crowd. A run that was interrupted goes on.
"""

import argparse
import re
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from preparation import (
    Outcome,
    Split,
    add_common_options,
    check_output,
    count,
    find_folder,
    is_made,
    is_placed,
    place,
    prepare,
    report,
)

from knet.errors import InputError, report_input_errors
from knet.label_space import CITYSCAPES, SEMKITTI
from knet.step_format import frame_name, read_depth, read_png, read_png_size, write_panoptic

SPLITS = ('train', 'val')
NAME = re.compile(
    r'(\d{6})_(\d{6})_(?:\w+?_)??'
    r'(leftImg8bit|gtFine_instanceTrainIds|gtFine_class|gtFine_instance|depth(?:_[\d.]+)?)\.png'
)
OFFICIAL = {'cityscapes': {'train': 2400, 'val': 300}, 'semkitti': {'train': 19130, 'val': 4071}}
"""Frames of the complete downloads."""
LABELS = {
    'cityscapes': ('gtFine_instanceTrainIds',),
    'semkitti': ('gtFine_class', 'gtFine_instance'),
}
VOID_CODE = 32000


class Frame(NamedTuple):
    """A frame to prepare: its sources, and where they go without the ending."""

    sequence: int
    frame: int
    kind: str
    image: str
    labels: Tuple[str, ...]
    depth: str
    stem: str


def prepare_dvps(
    source: str,
    out: str,
    splits: Sequence[str] = SPLITS,
    symlink: bool = False,
    nproc: int = 1,
    dry_run: bool = False,
) -> List[Split]:
    """Prepare the splits.

    Args:
        source: Folder of the download.
        out: Folder of the set.
        splits: Which of 'train' and 'val'.
        symlink: Link by path.
        nproc: Processes.
        dry_run: Only list and count.

    Returns:
        what was found and done; problems of the download are in there.

    Raises:
        InputError: a folder is missing, or the output folder is not this set's.
    """
    root = find_folder(
        Path(source),
        ('video_sequence', '.'),
        lambda folder: any((folder / split).is_dir() for split in SPLITS),
        'folder video_sequence/{train,val} with images',
    )
    plans = [plan(root / name, name, Path(out) / 'video_sequence' / name) for name in splits]
    check_output(plans, dry_run)
    if not dry_run:
        prepare(plans, partial(prepare_frame, symlink=symlink), nproc)
    return plans


def plan(source: Path, name: str, folder: Path) -> Split:
    """List the frames of a split; a frame that lacks a file is a problem."""
    found: Dict[Tuple[int, int], Dict[str, str]] = {}
    for path in sorted(source.iterdir()) if source.is_dir() else ():
        match = NAME.fullmatch(path.name)
        if match:
            kind = 'depth' if match[3].startswith('depth') else match[3]
            found.setdefault((int(match[1]), int(match[2])), {})[kind] = str(path)
    kinds = {kind for files in found.values() for kind in files}
    data_set = 'semkitti' if 'gtFine_class' in kinds else 'cityscapes'
    split = Split(name, 'sequence', None, [folder])
    if not found:
        split.warnings.append(f'not in the download: {source} holds no frames')
    for (sequence, frame), files in found.items():
        needed = ('leftImg8bit', *LABELS[data_set], 'depth')
        lacking = [kind for kind in needed if kind not in files]
        if lacking:
            split.problems.append(
                f'sequence {sequence}, frame {frame}: {source} has no file '
                f'{frame_name(sequence, frame)}_..._{lacking[0]}.png'
            )
            continue
        labels = tuple(files[kind] for kind in LABELS[data_set])
        stem = str(folder / frame_name(sequence, frame))
        split.pieces.append(
            Frame(sequence, frame, data_set, files['leftImg8bit'], labels, files['depth'], stem)
        )
        split.targets.append(
            tuple(f'{stem}_{kind}.png' for kind in ('leftImg8bit', 'panoptic', 'depth'))
        )
    split.groups = len({piece.sequence for piece in split.pieces})
    complete = OFFICIAL[data_set][name]
    if found and len(split.pieces) != complete:
        split.warnings.append(
            f'{count(len(split.pieces), "frame")}, the complete download has {complete:,}; figures '
            'on it cannot be compared with published ones'
        )
    return split


def read_labels(frame: Frame) -> Tuple[np.ndarray, np.ndarray]:
    """Train ids, (H, W), uint8, 255 = void, and instance ids, (H, W), 0 = stuff or crowd.

    Raises:
        InputError: a file is damaged, or holds a class that the set does not have.
    """
    maps = [read_png(path) for path in frame.labels]
    for path, values in zip(frame.labels, maps):
        if values.ndim != 2 or values.dtype.kind != 'u' or values.shape != maps[0].shape:
            raise InputError(
                f'{path} is {values.dtype} of shape {values.shape}; expected one channel of the '
                f'size {maps[0].shape[:2]}'
            )
    if frame.kind == 'cityscapes':
        space, codes = CITYSCAPES, maps[0].astype(np.int32)
        classes = np.where(codes == VOID_CODE, space.void, codes // 1000)
        instances = codes % 1000
    else:
        space, classes, instances = SEMKITTI, maps[0].astype(np.int32), maps[1].astype(np.int32)
    unknown = (classes >= space.num_classes) & (classes != space.void)
    if unknown.any():
        raise InputError(
            f'{frame.labels[0]} holds class {classes[unknown].min()}; classes are '
            f'0..{space.num_classes - 1} and {space.void} (void)'
        )
    is_thing = np.isin(classes, space.thing_ids)
    if ((instances > 0) & ~is_thing & (classes != space.void)).any():
        raise InputError(
            f'{frame.labels[0]} gives stuff an instance number; expected class * 1000 + instance'
        )
    return classes.astype(np.uint8), np.where(is_thing, instances, 0)


def prepare_frame(frame: Frame, symlink: bool) -> Outcome:
    """Link image and depth of a frame and write its map, unless that is done, or sizes differ."""
    image, panoptic, depth = (
        f'{frame.stem}_{kind}.png' for kind in ('leftImg8bit', 'panoptic', 'depth')
    )
    links = [(frame.image, image), (frame.depth, depth)]
    links = [pair for pair in links if not is_placed(*pair)]
    is_done = all(is_made(source, panoptic) for source in frame.labels)
    if not links and is_done:
        return Outcome()
    try:
        paths = (frame.image, *frame.labels, frame.depth)
        sizes = {path: read_png_size(path) for path in paths}
        if len(set(sizes.values())) > 1:
            text = ', '.join(f'{path} {size}' for path, size in sizes.items())
            raise InputError(f'the files have different sizes (height, width): {text}')
        read_depth(frame.depth)  # 16 bit, whole
        if not is_done:
            write_panoptic(panoptic, *read_labels(frame))
    except InputError as error:
        where = f'sequence {frame.sequence}, frame {frame.frame}'
        return Outcome(problems=(f'{where}: {error}',))
    return Outcome(copied=sum(place(*pair, symlink) for pair in links))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', help='folder of the download; holds video_sequence')
    parser.add_argument('out', help='folder of the set, for example data/cityscapes-dvps')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, default=SPLITS)
    add_common_options(parser)
    args = parser.parse_args()
    report(prepare_dvps(**vars(args)), args.dry_run)


if __name__ == '__main__':
    with report_input_errors():
        main()
