"""Puts the downloads of KITTI-STEP into the STEP layout.

    python datasets/prepare_kitti_step.py IMAGES MAPS OUT [--splits train val test] [--symlink]
                                          [--nproc N] [--dry-run]

    IMAGES/training/image_02/<sequence:04d>/<frame:06d>.png           images of KITTI tracking; test
                                                                      images in testing/image_02
    MAPS/panoptic_maps/{train,val}/<sequence:04d>/<frame:06d>.png     or MAPS/panoptic/<sequence>/
    OUT/video_sequence/<split>/<sequence:06d>_<frame:06d>_{leftImg8bit,panoptic}.png

The maps are in the encoding of the layout already, so every file is linked. A run that was
interrupted goes on.
"""

import argparse
import re
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from preparation import (
    Outcome,
    Split,
    add_common_options,
    check_output,
    count,
    find_folder,
    is_placed,
    place,
    prepare,
    report,
    shortfalls,
)

from knet.errors import InputError, report_input_errors
from knet.step_format import frame_name, read_png_size

# Frames of each sequence of KITTI tracking's training images, as KITTI-STEP divides them.
SEQUENCES = {
    'train': {
        0: 154,
        1: 447,
        3: 144,
        4: 314,
        5: 297,
        9: 803,
        11: 373,
        12: 78,
        15: 376,
        17: 145,
        19: 1059,
        20: 837,
    },
    'val': {2: 233, 6: 270, 7: 800, 8: 390, 10: 294, 13: 340, 14: 106, 16: 209, 18: 339},
}
TEST = (29, 11095)  # sequences and frames of KITTI tracking's test images
SPLITS = ('train', 'val', 'test')


class Frame(NamedTuple):
    """A frame to prepare; the map is None in the test split."""

    sequence: int
    frame: int
    image: str
    map: Optional[str]
    image_target: str
    map_target: Optional[str]


def prepare_kitti_step(
    images: str,
    maps: str,
    out: str,
    splits: Sequence[str] = SPLITS,
    symlink: bool = False,
    nproc: int = 1,
    dry_run: bool = False,
) -> List[Split]:
    """Prepare the splits.

    Args:
        images: Folder of KITTI tracking's images.
        maps: Folder of KITTI-STEP's maps.
        out: Folder of the set.
        splits: Which of 'train', 'val' and 'test'.
        symlink: Link by path.
        nproc: Processes.
        dry_run: Only list and count.

    Returns:
        what was found and done; problems of the download are in there.

    Raises:
        InputError: a folder is missing, or the output folder is not this set's.
    """
    labelled = [name for name in splits if name != 'test']
    image_folder = find_images(Path(images), 'training') if labelled else None
    map_folder = find_maps(Path(maps)) if labelled else None
    plans = []
    for name in splits:
        folder = Path(out) / 'video_sequence' / name
        if name == 'test':
            plans.append(plan_test(Path(images), folder))
        else:
            plans.append(plan_labelled(image_folder, map_folder, name, folder))
    check_output(plans, dry_run)
    if not dry_run:
        prepare(plans, partial(prepare_frame, symlink=symlink), nproc)
    return plans


def has_sequences(folder: Path) -> bool:
    """Whether a folder holds folders of sequences, `0000` and so on."""
    return any(re.fullmatch(r'\d{4}', entry.name) and entry.is_dir() for entry in folder.iterdir())


def find_images(root: Path, part: str) -> Path:
    """The folder of the images' sequences; `part` is 'training' or 'testing'."""
    candidates = (
        ('training/image_02', 'image_02', '.') if part == 'training' else ('testing/image_02',)
    )
    return find_folder(
        root,
        candidates,
        lambda folder: folder.resolve().name == 'image_02' and has_sequences(folder),
        f'folder {part}/image_02/0000 with images',
    )


def find_maps(root: Path) -> Path:
    """The folder that holds the maps' sequences, or `train` and `val` with those."""

    def holds_maps(folder: Path) -> bool:
        parts = [folder, *(folder / split for split in SEQUENCES)]
        return not folder.resolve().name.startswith('image_') and any(
            part.is_dir() and has_sequences(part) for part in parts
        )

    if root.name in SEQUENCES and root.is_dir():
        root = root.parent
    return find_folder(
        root,
        ('panoptic_maps', 'panoptic', '.'),
        holds_maps,
        'folder panoptic_maps/{train,val}/0000 or panoptic/0000 with maps',
    )


def list_frames(folder: Path) -> Dict[int, str]:
    """Frame number → path of the files `<frame:06d>.png`; nothing where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {
        int(path.stem): str(path)
        for path in sorted(folder.iterdir())
        if re.fullmatch(r'\d{6}\.png', path.name)
    }


def plan_labelled(images: Path, maps: Path, name: str, folder: Path) -> Split:
    """List the frames of 'train' or 'val'; an image without a map, or a map without an image, is a
    problem."""
    official = SEQUENCES[name]
    split = Split(name, 'sequence', (len(official), sum(official.values())), [folder])
    found: Dict[str, int] = {}
    for sequence in official:
        image_folder = images / f'{sequence:04d}'
        map_folder = maps / name / f'{sequence:04d}'
        map_folder = map_folder if map_folder.is_dir() else maps / f'{sequence:04d}'
        pictures, labels = list_frames(image_folder), list_frames(map_folder)
        for lacking, present, what, where in (
            (set(pictures) - set(labels), 'image', 'map', map_folder),
            (set(labels) - set(pictures), 'map', 'image', image_folder),
        ):
            if lacking:
                split.problems.append(
                    f'sequence {sequence:04d}: {count(len(lacking), present)} without {what}, the '
                    'first is frame '
                    f'{min(lacking):06d}; {where / f"{min(lacking):06d}.png"} is missing'
                )
        both = sorted(set(pictures) & set(labels))
        split.groups += bool(both)
        found[f'{sequence:04d}'] = len(both)
        for frame in both:
            add_frame(split, folder, sequence, frame, pictures[frame], labels[frame])
    split.warnings += shortfalls(
        found, {f'{sequence:04d}': number for sequence, number in official.items()}, 'sequence'
    )
    return split


def plan_test(images: Path, folder: Path) -> Split:
    """List the test images, which have no maps; that there are none is a warning."""
    split = Split('test', 'sequence', TEST, [folder])
    try:
        source = find_images(images, 'testing')
    except InputError as error:
        split.warnings.append(f'not in the download: {error}')
        return split
    for sequence_folder in sorted(
        entry for entry in source.iterdir() if re.fullmatch(r'\d{4}', entry.name)
    ):
        frames = list_frames(sequence_folder)
        split.groups += bool(frames)
        for frame, path in frames.items():
            add_frame(split, folder, int(sequence_folder.name), frame, path, None)
    return split


def add_frame(
    split: Split, folder: Path, sequence: int, frame: int, image: str, label: Optional[str]
) -> None:
    """Plan a frame."""
    stem = folder / frame_name(sequence, frame)
    item = Frame(
        sequence, frame, image, label, f'{stem}_leftImg8bit.png', label and f'{stem}_panoptic.png'
    )
    split.pieces.append(item)
    split.targets.append(tuple(path for path in (item.image_target, item.map_target) if path))


def prepare_frame(frame: Frame, symlink: bool) -> Outcome:
    """Link the files of a frame, unless that is done, or the map does not fit the image."""
    links = [(frame.image, frame.image_target), (frame.map, frame.map_target)]
    links = [(source, target) for source, target in links if source]
    if all(is_placed(source, target) for source, target in links):
        return Outcome()
    where = f'sequence {frame.sequence:04d}, frame {frame.frame:06d}'
    try:
        sizes = [read_png_size(source) for source, _ in links]
    except InputError as error:
        return Outcome(problems=(f'{where}: {error}',))
    if len(set(sizes)) > 1:
        return Outcome(
            problems=(
                f'{where}: the map {frame.map} has the size {sizes[1]}, its image {sizes[0]} '
                '(height, width)',
            )
        )
    return Outcome(
        copied=sum(
            place(source, target, symlink)
            for source, target in links
            if not is_placed(source, target)
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'images', help='folder of the images of KITTI tracking; holds training/image_02'
    )
    parser.add_argument('maps', help='folder of the maps of KITTI-STEP; holds panoptic_maps')
    parser.add_argument('out', help='folder of the set, for example data/kitti-step')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, default=SPLITS)
    add_common_options(parser)
    args = parser.parse_args()
    report(prepare_kitti_step(**vars(args)), args.dry_run)


if __name__ == '__main__':
    with report_input_errors():
        main()
