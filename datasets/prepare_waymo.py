"""Puts the Waymo Open Dataset v2 (camera images with panoptic labels) into the STEP layout.

    python datasets/prepare_waymo.py DOWNLOAD OUT [--splits train val] [--cameras 1 2 3 4 5]
                                     [--max-frames 10000 5000] [--keep-jpeg] [--native-classes]
                                     [--camera-coverage] [--nproc N] [--dry-run]

    DOWNLOAD/{training,validation}/{camera_image,camera_segmentation}/<segment>.parquet
    OUT/video_sequence/<split>/<name>_{leftImg8bit,panoptic}.png    19 STEP classes
    OUT/sequences_<split>.json                       what each sequence number stands for
    OUT/native_classes/<split>/<name>_panoptic.png                  29 native classes, on request
    OUT/camera_coverage/<split>/<sequence>/<name>.png               cameras per pixel, on request

<name> is <sequence:06d>_<frame:06d>. Needs pyarrow, not TensorFlow.

A sequence is what one camera sees of the frames of a segment that were labelled together: object
ids mean nothing beyond those. Its number is 10 * (number of those frames) + camera. Frames of a
time have the same number in all cameras. Only frames with labels are used. A run that was
interrupted goes on.
"""

import argparse
import io
import json
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from preparation import (
    Outcome,
    Split,
    add_common_options,
    check_output,
    count,
    is_made,
    load_package,
    prepare,
    report,
)
from tqdm import tqdm
from waymo_parquet import (
    CAMERAS,
    COVERAGE,
    DIVISOR,
    IMAGE,
    PANOPTIC,
    Key,
    LabelInfo,
    SourceError,
    class_table,
    code_table,
    decode,
    decode_label,
    describe,
    draw,
    number_objects,
    read_infos,
    read_rows,
)

from knet.errors import InputError, report_input_errors
from knet.files import whole_file, write_bytes
from knet.label_space import STEP, WAYMO
from knet.options import at_least
from knet.step_format import LABEL_PNG, frame_name, is_whole_jpeg, write_png

FOLDERS = {'train': 'training', 'val': 'validation'}
# Camera images are noisy, so that searching for repetitions is in vain: this is three times as fast
# as the level alone, and smaller.
UPRIGHT = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""As the maps are, whatever orientation the camera has noted."""
IMAGE_PNG = (
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_AVG,
)
UNTRACKED = 'objects in single images without a track: instance id 0'


class Frame(NamedTuple):
    """An image to prepare and its files in the set; None: not asked for."""

    timestamp: int
    camera: int
    image: str
    map: str
    native: Optional[str]
    coverage: Optional[str]

    @property
    def targets(self) -> Tuple[str, ...]:
        return tuple(path for path in self[2:] if path)


class Segment(NamedTuple):
    """A piece of work: the planned frames of a segment."""

    name: str
    images: str
    labels: str
    frames: Tuple[Frame, ...]


class Options(NamedTuple):
    """What to make; see the command line."""

    cameras: Tuple[int, ...] = tuple(CAMERAS)
    keep_jpeg: bool = False
    native_classes: bool = False
    camera_coverage: bool = False


def prepare_waymo(
    download: str,
    out: str,
    options: Options,
    splits: Sequence[str] = tuple(FOLDERS),
    max_frames: Sequence[int] = (),
    nproc: int = 1,
    dry_run: bool = False,
) -> List[Split]:
    """Prepare the splits.

    Args:
        download: Folder that holds `training` and `validation`.
        out: Folder of the set.
        options: What to make.
        splits: Which of 'train' and 'val'.
        max_frames: Most images of each split, or one number for all; empty for no limit.
        nproc: Processes.
        dry_run: Only list and count.

    Returns:
        what was found and done; problems of the download are in there.

    Raises:
        InputError: a folder or pyarrow is missing, a file of labels is damaged, or the output
            folder is not this set's.
    """
    load_package('pyarrow.parquet', 'pyarrow')
    caps = list(max_frames) * (len(splits) if len(max_frames) == 1 else 1) or [None] * len(splits)
    if len(caps) != len(splits):
        raise InputError(
            '--max-frames takes one number for all splits, or one for each of '
            f'{", ".join(splits)}; got {len(caps)}'
        )
    plans, tables = [], {}
    for name, cap in zip(splits, caps):
        plan, tables[Path(out) / f'sequences_{name}.json'] = plan_split(
            find_source(Path(download), name), name, Path(out), options, cap
        )
        plans.append(plan)
    check_output(plans, dry_run)
    if not dry_run:
        for path, rows in tables.items():
            write_table(path, rows)
        prepare(plans, partial(prepare_segment, keep_jpeg=options.keep_jpeg), nproc)
    return plans


def find_source(download: Path, split: str) -> Path:
    """Folder of a split of the download.

    Raises:
        InputError: it is missing.
    """
    if not download.is_dir():
        raise InputError(
            f'{download} is not a folder; expected one that holds {FOLDERS[split]} (see DATASET.md)'
        )
    folder = download / FOLDERS[split]
    for part in ('camera_segmentation', 'camera_image'):
        if not (folder / part).is_dir():
            raise InputError(
                f'{folder / part} is not a folder; expected '
                f'{FOLDERS[split]}/{{camera_image,camera_segmentation}}/'
                f'<segment>.parquet in {download} (see DATASET.md)'
            )
    return folder


def plan_split(
    source: Path, name: str, out: Path, options: Options, cap: Optional[int]
) -> Tuple[Split, List[Dict]]:
    """List the labelled frames of a split and give every sequence its number.

    Returns:
        the plan, and the rows of the table of sequences.
    """
    labels = {
        path.stem: path for path in sorted((source / 'camera_segmentation').glob('[!.]*.parquet'))
    }
    images = {path.stem: path for path in sorted((source / 'camera_image').glob('[!.]*.parquet'))}
    folders = [
        out / 'video_sequence' / name,
        *(
            out / part / name
            for part, is_asked in (
                ('native_classes', options.native_classes),
                ('camera_coverage', options.camera_coverage),
            )
            if is_asked
        ),
    ]
    split = Split(name, 'sequence', None, folders)
    if set(images) - set(labels):
        split.warnings.append(
            f'{count(len(set(images) - set(labels)), "file")} of images without labels left out'
        )
    # Sequences without images get a number and a place below the cap too, so that nothing moves
    # when the images are there.
    labelled = {
        segment: [(info.timestamp, info.camera, info.sequence_id) for info in read_infos(str(path))]
        for segment, path in tqdm(labels.items(), f'{name}: labels', unit='segment', disable=None)
    }
    if not any(labelled.values()):
        split.warnings.append(f'{source} holds no labelled frames')
    rows, frames, left = [], {}, cap
    for number, segment, sequence_id, times in number_sequences(
        labelled, out / f'sequences_{name}.json'
    ):
        own = {(time, camera) for time, camera, other in labelled[segment] if other == sequence_id}
        for camera in options.cameras:
            sequence = 10 * number + camera
            planned = [
                plan_frame(out, name, sequence, index, time, camera, options)
                for index, time in enumerate(times)
                if (time, camera) in own
            ][:left]
            if planned:
                left = None if left is None else left - len(planned)
                frames.setdefault(segment, []).extend(planned)
                rows.append(
                    dict(
                        sequence=sequence,
                        segment=segment,
                        sequence_id=sequence_id,
                        camera=camera,
                        camera_name=CAMERAS[camera],
                        timestamps=times,
                    )
                )
    split.problems += [
        f'segment {segment} has labels but no images; {source / "camera_image" / segment}.parquet '
        'is missing'
        for segment in frames
        if segment not in images
    ]
    split.groups = sum(row['segment'] in images for row in rows)
    split.pieces = [
        Segment(segment, str(images[segment]), str(labels[segment]), tuple(items))
        for segment, items in frames.items()
        if segment in images
    ]
    split.targets = [frame.targets for segment in split.pieces for frame in segment.frames]
    if cap is not None and len(split.targets) < cap:
        split.warnings.append(
            f'only {len(split.targets)} of the {cap} frames of --max-frames are there'
        )
    return split, rows


def number_sequences(
    labelled: Dict[str, List[Tuple[int, int, str]]], table: Path
) -> List[Tuple[int, str, str, List[int]]]:
    """Number the groups of frames that were labelled together.

    Numbers of an earlier run stay as they are, so that segments can be added to a set; new ones
    follow in the order of segment name and time.

    Args:
        labelled: Segment → timestamp, camera and sequence id of its labelled images, in the order
            of time.
        table: File of the earlier run, if there was one.

    Returns:
        number, segment, sequence id and timestamps of each group; numbers rise.

    Raises:
        InputError: the table of the earlier run is not readable or tells of other frames.
    """
    groups = {}
    for segment, images in labelled.items():
        for time, _, sequence_id in images:
            groups.setdefault((segment, sequence_id), set()).add(time)
    known = {}
    try:
        for row in json.loads(table.read_text(encoding='utf-8')) if table.exists() else ():
            known[row['segment'], row['sequence_id']] = row['sequence'] // 10, row['timestamps']
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(
            f'{table} was not written by this script ({error}); name another output folder'
        ) from None
    numbers = {key: number for key, (number, _) in known.items()}
    for key in groups:
        if key in known and known[key][1] != sorted(groups[key]):
            raise InputError(
                f'{table}: the labelled frames of segment {key[0]} have changed since the set was '
                'made; name another '
                'output folder'
            )
        numbers.setdefault(key, max(numbers.values(), default=0) + 1)
    return sorted((numbers[key], *key, sorted(times)) for key, times in groups.items())


def plan_frame(
    out: Path, split: str, sequence: int, index: int, timestamp: int, camera: int, options: Options
) -> Frame:
    """The files of a frame."""
    name = frame_name(sequence, index)
    stem = str(out / 'video_sequence' / split / name)
    return Frame(
        timestamp,
        camera,
        f'{stem}_leftImg8bit.{"jpg" if options.keep_jpeg else "png"}',
        f'{stem}_panoptic.png',
        str(out / 'native_classes' / split / name) + '_panoptic.png'
        if options.native_classes
        else None,
        str(out / 'camera_coverage' / split / str(sequence) / name) + '.png'
        if options.camera_coverage
        else None,
    )


def write_table(path: Path, rows: List[Dict]) -> None:
    """Write what the sequence numbers stand for, a line each."""
    with whole_file(path) as partial_path:
        partial_path.write_text(
            '[\n' + ',\n'.join(map(json.dumps, rows)) + '\n]\n', encoding='utf-8'
        )


def prepare_segment(segment: Segment, keep_jpeg: bool) -> Outcome:
    """Write the frames of a segment that are not there yet."""
    todo = {
        (frame.timestamp, frame.camera): frame
        for frame in segment.frames
        if not all(
            is_made(source, target)
            for target in frame.targets
            for source in (segment.images, segment.labels)
        )
    }
    problems: List[str] = []
    untracked = 0
    try:
        infos = read_infos(segment.labels)
        untracked = sum(
            info.untracked
            for info in infos
            if (info.timestamp, info.camera) in {frame[:2] for frame in segment.frames}
        )
        if todo:
            problems += prepare_frames(segment, todo, infos, keep_jpeg)
    except SourceError as error:
        problems.append(str(error))
    return Outcome(
        len(segment.frames),
        problems=tuple(problems),
        notes=((UNTRACKED, untracked),) if untracked else (),
    )


def prepare_frames(
    segment: Segment, todo: Dict[Key, Frame], infos: Sequence[LabelInfo], keep_jpeg: bool
) -> List[str]:
    """Write frames of a segment.

    Returns:
        problems of single frames.

    Raises:
        SourceError: a file of the segment is damaged.
    """
    numbers = number_objects(infos, segment.labels)
    objects = {
        (info.timestamp, info.camera): {
            local: numbers[info.sequence_id, info.camera][glob] for local, glob in info.ids.items()
        }
        for info in infos
    }
    columns = [DIVISOR, PANOPTIC] + [COVERAGE] * any(frame.coverage for frame in todo.values())
    labels = dict(read_rows(segment.labels, columns, set(todo)))  # PNGs, some ten kB each
    problems, left = [], set(todo)
    for key, (jpeg,) in read_rows(segment.images, [IMAGE], set(todo)):
        left.discard(key)
        try:
            write_frame(todo[key], jpeg, labels[key], objects[key], keep_jpeg)
        except SourceError as error:
            problems.append(f'segment {segment.name}, {describe(*key)}: {error}')
    if left:
        problems.append(
            f'segment {segment.name}: {len(left)} labelled frames have no image in '
            f'{segment.images}, the first is '
            f'{describe(*min(left))}'
        )
    return problems


def write_frame(
    frame: Frame, jpeg: bytes, label: Sequence, objects: Dict[int, int], keep_jpeg: bool
) -> None:
    """Write the files of a frame.

    Args:
        frame: Names of the files.
        jpeg: The image.
        label: Divisor, panoptic label and, where it is asked for, camera coverage as in the
            download.
        objects: Local instance id → number of the object in its sequence.
        keep_jpeg: Write the image as it is.

    Raises:
        SourceError: image or label cannot be used; nothing is written.
        InputError: a file cannot be written.
    """
    divisor = label[0]
    pixels, size = decode_label(label[1], divisor, objects), jpeg_size(jpeg)
    image = None if keep_jpeg else decode(jpeg, UPRIGHT)
    if size is None or (image is None and not keep_jpeg):
        raise SourceError('the image is not a readable JPEG')
    if size != pixels.shape:
        raise SourceError(
            f'the panoptic label has the size {pixels.shape}, its image {size} (height, width)'
        )
    if frame.coverage:
        coverage = decode(label[2], cv2.IMREAD_UNCHANGED)
        if coverage is None or coverage.dtype != np.uint8 or coverage.shape != size:
            raise SourceError(f'the camera coverage is not a readable 8-bit PNG of the size {size}')
        write_bytes(frame.coverage, label[2])
    if frame.native:
        write_png(
            frame.native,
            draw(pixels, code_table(divisor, objects, np.arange(WAYMO.num_classes), WAYMO)),
            LABEL_PNG,
        )
    write_png(frame.map, draw(pixels, code_table(divisor, objects, class_table(), STEP)), LABEL_PNG)
    if keep_jpeg:
        write_bytes(frame.image, jpeg)
    else:
        write_png(frame.image, image, IMAGE_PNG)


def jpeg_size(data: Optional[bytes]) -> Optional[Tuple[int, int]]:
    """Height and width of a whole JPEG, without decoding it; None where it is none."""
    try:
        with Image.open(io.BytesIO(data or b'')) as image:
            return image.size[::-1] if image.format == 'JPEG' and is_whole_jpeg(data) else None
    except (UnidentifiedImageError, OSError):
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('download', help='folder of the download; holds training and validation')
    parser.add_argument('out', help='folder of the set, for example data/waymo-step-5-cameras')
    parser.add_argument('--splits', nargs='+', choices=tuple(FOLDERS), default=tuple(FOLDERS))
    parser.add_argument(
        '--cameras',
        nargs='+',
        type=int,
        choices=tuple(CAMERAS),
        default=tuple(CAMERAS),
        metavar='CAMERA',
        help=', '.join(f'{number} {name}' for number, name in CAMERAS.items()) + ' (default: all)',
    )
    parser.add_argument(
        '--max-frames',
        nargs='+',
        type=at_least(1),
        default=(),
        metavar='N',
        help='use the first N labelled images of every split, or of each of the splits',
    )
    parser.add_argument(
        '--keep-jpeg',
        action='store_true',
        help='write images as the JPEGs of the download, not as PNG: less time and space',
    )
    parser.add_argument(
        '--native-classes',
        action='store_true',
        help='also write maps of the 29 native classes, for --protocol waymo',
    )
    parser.add_argument(
        '--camera-coverage',
        action='store_true',
        help='also write how many cameras see a pixel, for weighted STQ',
    )
    add_common_options(parser, links=False)
    args = parser.parse_args()
    options = Options(
        tuple(sorted(set(args.cameras))), args.keep_jpeg, args.native_classes, args.camera_coverage
    )
    report(
        prepare_waymo(
            args.download, args.out, options, args.splits, args.max_frames, args.nproc, args.dry_run
        ),
        args.dry_run,
    )


if __name__ == '__main__':
    with report_input_errors():
        main()
