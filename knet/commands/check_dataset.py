"""Check of a prepared set: see tools/misc/check_dataset.py."""

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from terminaltables import AsciiTable
from tqdm import tqdm

from knet.data import FrameRecord, Layout, find_dataset, import_datasets
from knet.data.base import check_classes, check_depth, check_size, read_image
from knet.data.layouts import CityscapesLayout, StepLayout
from knet.errors import InputError
from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE, encode, joint_histogram
from knet.files import whole_file
from knet.label_space import STEP, WAYMO, LabelSpace
from knet.parallel import ordered_map
from knet.step_format import read_depth

SPACES = {'step': STEP, 'waymo': WAYMO}
SPLITS = ('train', 'val', 'test')
SHOWN_ERRORS = 20
PIECES_AHEAD = 8


class Split(NamedTuple):
    """A split on disk; `folder` is that of its images, `groups` are its sequences or cities, also
    empty ones."""

    name: str
    folder: Path
    layout: Layout
    records: List[FrameRecord]
    groups: List[str]


class DepthFacts(NamedTuple):
    """Depth of a frame: least, mean and largest, metres, and the share of labelled pixels; not a
    number where none is labelled."""

    least: float
    mean: float
    largest: float
    share: float


class Facts(NamedTuple):
    """What a frame holds: distinct codes `class << 16 | instance` and their pixels, shapes (N,),
    int64; its labelled depths, metres; or what is wrong with it."""

    record: FrameRecord
    size: Optional[Tuple[int, int]] = None
    codes: np.ndarray = np.zeros(0, np.int64)
    pixels: np.ndarray = np.zeros(0, np.int64)
    depth: Optional[DepthFacts] = None
    error: str = ''


class Statistics:
    """Sums over the frames of a split.

    Args:
        space: Classes of the set.
    """

    def __init__(self, space: LabelSpace):
        self.space = space
        self.errors: List[str] = []
        self.groups: Counter = Counter()  # sequence or city → frames
        self.sizes: Counter = Counter()  # (height, width) → frames
        self.pixels = np.zeros(256, np.int64)
        self.frames_with = np.zeros(256, np.int64)
        self.labelled_groups: set = set()
        self.things_groups: set = set()
        self.objects_per_frame: List[int] = []
        self.tracks: Dict[Tuple[str, int], List[int]] = {}  # (track group, code) → frame numbers
        self.group_sizes: Dict[str, set] = {}
        self.stuff_with_id = 0  # frames
        self.depths: List[DepthFacts] = []

    def add(self, facts: Facts) -> None:
        """Add a frame; frames of a sequence come in rising order."""
        record, space = facts.record, self.space
        self.groups[record.folder] += 1
        if facts.error:
            self.errors.append(facts.error)
        if facts.size:
            self.sizes[facts.size] += 1
            self.group_sizes.setdefault(str(record.sequence), set()).add(facts.size)
        if facts.depth:
            self.depths.append(facts.depth)
        if not len(facts.codes):
            return
        classes, ids = facts.codes >> INSTANCE_BITS, facts.codes & MAX_INSTANCE
        np.add.at(self.pixels, classes, facts.pixels)
        self.frames_with[np.unique(classes)] += 1
        if ((classes != space.void) & (classes != space.ignored)).any():
            self.labelled_groups.add(record.folder)
        is_thing = np.isin(classes, space.thing_ids)
        objects = facts.codes[is_thing & (ids > 0)].tolist()
        if objects:
            self.things_groups.add(record.folder)
        self.stuff_with_id += bool((~is_thing & (ids > 0)).any())
        self.objects_per_frame.append(len(objects))
        for code in objects:
            self.tracks.setdefault((str(record.sequence), code), []).append(record.frame)

    def _object_name(self, code: int) -> str:
        return f'{self.space.classes[code >> INSTANCE_BITS]} {code & MAX_INSTANCE}'

    def notes(self, gap: int) -> List[str]:
        """Lines about what is unusual and no error.

        Args:
            gap: An object that is back after more frames than this is counted.
        """
        classes_of: Dict[Tuple[str, int], set] = {}
        for group, code in self.tracks:
            classes_of.setdefault((group, code & MAX_INSTANCE), set()).add(code >> INSTANCE_BITS)
        # ids of single images mean nothing beyond the image
        changed = sorted(
            key for key, classes in classes_of.items() if len(classes) > 1 and key[0] in self.groups
        )
        back = sorted(
            key for key, frames in self.tracks.items() if max(np.diff(frames), default=0) > gap
        )
        objectless = len(set(self.groups) - self.things_groups) if self.labelled_groups else 0
        resized = sum(len(sizes) > 1 for sizes in self.group_sizes.values())
        changed_example = changed and f'sequence {changed[0][0]}, id {changed[0][1]}'
        back_example = back and f'sequence {back[0][0]}, {self._object_name(back[0][1])}'
        counts = [
            (
                len(changed),
                'instance ids with more than one class in their sequence',
                changed_example,
            ),
            (
                len(back),
                f'objects that are back after a gap of more than {gap} frames',
                back_example,
            ),
            (self.stuff_with_id, 'frames where stuff or void has an instance id', ''),
            (objectless, 'sequences or cities without objects', ''),
            (resized, 'sequences with images of several sizes', ''),
        ]
        lines = []
        if self.depths:
            known = [facts for facts in self.depths if facts.share]
            text = f'depth of {len(self.depths)} frames'
            if known:
                least, mean, largest, _ = zip(*known)
                text += f': {min(least):.1f} to {max(largest):.1f} m, mean {np.mean(mean):.1f} m'
            share = 100 * np.mean([facts.share for facts in self.depths])
            lines.append(f'{text}, {share:.0f} % of the pixels labelled')
            if len(known) < len(self.depths):
                lines.append(f'{len(self.depths) - len(known)} frames have depth without any label')
        return lines + [
            f'{number} {text}' + (f', such as {example}' if example else '')
            for number, text, example in counts
            if number
        ]


def find_splits(root: Path, layouts: Sequence[Layout]) -> List[Split]:
    """The splits of a data root in the layout, of those given, that it has.

    Raises:
        InputError: `root` has none of the layouts.
    """

    def rank(name: str) -> Tuple[int, str]:
        return SPLITS.index(name) if name in SPLITS else len(SPLITS), name

    for layout in layouts:
        names = sorted(layout.splits(root), key=rank)
        if names or layout.is_root(root):
            return [
                Split(
                    name,
                    layout.folder(root, name),
                    layout,
                    layout.scan(root, name),
                    layout.groups(root, name),
                )
                for name in names
            ]
    if root.is_dir() and next(root.glob('*_panoptic.png'), None):
        layout = StepLayout()
        return [Split(root.resolve().name, root, layout, layout.scan_folder(root), [])]
    what = 'is no prepared set' if root.exists() else 'does not exist'
    raise InputError(
        f'{root} {what}; expected video_sequence/<split>/000000_000000_panoptic.png or leftImg8bit '
        'and gtFine in it (see DATASET.md)'
    )


def inspect(record: FrameRecord, split: Split, space: LabelSpace, needed: Sequence[str]) -> Facts:
    """Read a frame with the code that training reads it with; `needed` says which of image, map and
    depth it must have."""
    there = dict(image=record.image, map=record.truth, depth=record.depth)
    lacking = [what for what in needed if not there[what]]
    if lacking:
        return Facts(
            record, error=f'{split.folder}: {record.name}: there is no {" and no ".join(lacking)}'
        )
    size = None
    try:
        if record.image:
            size = read_image(record).shape[:2]
        if not record.truth:
            return Facts(record, size)
        semantic, instance = split.layout.read_truth(record, space)
        pairs = joint_histogram(*[encode(semantic, instance, str(record.truth[0]))] * 2)
        facts = Facts(record, size or semantic.shape, pairs.gt, pairs.counts)
        if record.depth:
            facts = facts._replace(depth=inspect_depth(record, size or semantic.shape))
    except InputError as error:
        return Facts(record, size, error=str(error))
    try:
        check_size(semantic, size or semantic.shape, record)
        check_classes(semantic, space, record)
    except InputError as error:
        facts = facts._replace(error=str(error))
    return facts


def inspect_depth(record: FrameRecord, size: Tuple[int, ...]) -> DepthFacts:
    """Read the depth of a frame.

    Raises:
        InputError: it cannot be used, or has another size.
    """
    depth = read_depth(record.depth)
    check_depth(depth, size, record)
    known = depth[depth > 0]
    if not known.size:
        return DepthFacts(np.nan, np.nan, np.nan, 0.0)
    values = known.min(), known.mean(dtype=np.float64), known.max(), known.size / depth.size
    return DepthFacts(*map(float, values))


def check_split(split: Split, space: LabelSpace, nproc: int = 1) -> Statistics:
    """Read a split. Decoding releases the interpreter's lock, so threads do."""
    statistics = Statistics(space)
    records = split.records
    # Test splits have no maps, sets of maps alone no images, and most sets no depth.
    needs = dict(
        image=any(record.image for record in records),
        map=split.name != 'test' or any(record.truth for record in records),
        depth=any(record.depth for record in records),
    )
    needed = [what for what, is_needed in needs.items() if is_needed]
    with ThreadPoolExecutor(nproc) as pool:
        read = partial(inspect, split=split, space=space, needed=needed)
        found = ordered_map(pool, read, records, PIECES_AHEAD * nproc)
        for facts in tqdm(found, split.name, len(records), unit='frame', disable=None):
            statistics.add(facts)
    empty = [group for group in split.groups if group not in statistics.groups]
    statistics.errors += [
        f'{split.folder / group}: there is no image and no map' for group in empty
    ]
    if not records:
        statistics.errors.append(f'{split.name} holds no frames')
    elif any(record.truth for record in records) and not statistics.errors:
        statistics.errors += [
            f'{split.name}: all of sequence or city {group} is void'
            for group in statistics.groups
            if group not in statistics.labelled_groups
        ]
    return statistics


def overview_table(splits: Dict[str, Statistics]) -> str:
    """A line for each split."""
    rows = [
        ['split', 'sequences or cities', 'frames', 'sizes (height x width)', 'objects', 'errors']
    ]
    for name, statistics in splits.items():
        sizes = [f'{height}x{width}' for (height, width), _ in statistics.sizes.most_common()]
        shown = ', '.join(sizes[:3]) + (f' and {len(sizes) - 3} more' if len(sizes) > 3 else '')
        rows.append(
            [
                name,
                str(len(statistics.groups)),
                str(sum(statistics.groups.values())),
                shown or '-',
                str(len(statistics.tracks)),
                str(len(statistics.errors)),
            ]
        )
    table = AsciiTable(rows)
    table.justify_columns = dict.fromkeys((1, 2, 4, 5), 'right')
    return table.table


def class_table(statistics: Statistics) -> str:
    """Pixels, frames and objects of each class that occurs; things have a star."""
    space, total = statistics.space, max(int(statistics.pixels.sum()), 1)
    lengths: Dict[int, List[int]] = {}
    for (_, code), frames in statistics.tracks.items():
        lengths.setdefault(code >> INSTANCE_BITS, []).append(len(frames))
    rows = [['id', 'class', 'pixels %', 'frames', 'objects', 'frames per object', 'longest']]
    for index in np.flatnonzero(statistics.pixels).tolist():
        name = (
            space.classes[index] + '*' * (index in space.thing_ids)
            if index < space.num_classes
            else 'void' * (index == space.void)
        )
        own = lengths.get(index)
        rows.append(
            [
                str(index),
                name or '(out of range)',
                f'{100 * statistics.pixels[index] / total:.2f}',
                str(statistics.frames_with[index]),
                *((str(len(own)), f'{np.mean(own):.1f}', str(max(own))) if own else '---'),
            ]
        )
    table = AsciiTable(rows)
    table.justify_columns = dict.fromkeys((0, 2, 3, 4, 5, 6), 'right')
    absent = [name for name, pixels in zip(space.classes, statistics.pixels) if not pixels]
    return table.table + (f'\nnot there: {", ".join(absent)}' if absent else '')


def write_plot(splits: Dict[str, Statistics], path: Path) -> None:
    """Draw the shares of the classes and the numbers of objects in a frame.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # takes a second to load, and most calls draw nothing

    shown = {name: statistics for name, statistics in splits.items() if statistics.pixels.any()}
    figure = Figure(figsize=(12, 6), layout='constrained')
    shares, counts = figure.subplots(1, 2)
    for row, (name, statistics) in enumerate(shown.items()):
        space = statistics.space
        indices = [*range(space.num_classes), space.void]
        height = 0.8 / len(shown)
        percent = 100 * statistics.pixels[indices] / statistics.pixels.sum()
        shares.barh(np.arange(len(indices)) + row * height, percent, height, label=name)
        names = [*space.classes, 'void']
        shares.set_yticks(np.arange(len(indices)) + 0.4 - height / 2, names)
    shares.invert_yaxis()
    shares.set(
        xscale='log', xlim=(0.01, 100), xlabel='share of the pixels, percent', title='Classes'
    )
    numbers = [statistics.objects_per_frame for statistics in shown.values()]
    counts.hist(
        numbers,
        np.arange(max(map(max, numbers), default=0) + 2) - 0.5,
        density=True,
        label=list(shown),
    )
    counts.set(xlabel='objects in a frame', ylabel='share of the frames', title='Objects')
    if shown:
        shares.legend()
        counts.legend()
    with whole_file(path) as partial:
        figure.savefig(partial, format='png', dpi=120)


def run(args: argparse.Namespace) -> None:
    """Check as the options say, print what is there and what is wrong.

    Raises:
        InputError: the set has errors, or is none.
    """
    if args.module:
        names = import_datasets(args.module)
        if not args.dataset:
            raise InputError(
                f'--import {args.module}: name the set to check with --dataset; the module '
                f'registers {", ".join(names) or "none"}'
            )
    info = find_dataset(args.dataset) if args.dataset else None
    print(f'classes: {args.dataset or args.classes}')
    space = info.label_space if info else SPACES[args.classes]
    layouts = (info.layout,) if info else (StepLayout(), CityscapesLayout())
    splits = {
        split.name: check_split(split, space, args.nproc)
        for split in find_splits(args.root, layouts)
    }
    print(overview_table(splits))
    for name, statistics in splits.items():
        if statistics.pixels.any():
            print(f'\n{name}: classes (* thing)\n{class_table(statistics)}')
        for note in statistics.notes(args.gap):
            print(f'{name}: {note}')
    if args.plot:
        write_plot(splits, args.plot)
    errors = [error for statistics in splits.values() for error in statistics.errors]
    for error in errors[:SHOWN_ERRORS]:
        print(f'  {error}')
    if len(errors) > SHOWN_ERRORS:
        print(f'  ... and {len(errors) - SHOWN_ERRORS} more')
    if errors or not splits:
        raise InputError(
            f'{len(errors)} errors in {args.root}, the first: {errors[0]}'
            if errors
            else f'{args.root} holds no splits'
        )
