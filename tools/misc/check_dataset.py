"""Check a prepared set, in STEP layout or in that of Cityscapes-STEP, and show what is in it.

    python tools/misc/check_dataset.py ROOT [--nproc N] [--gap N] [--classes step|waymo] [--plot FILE]

Reads every image and map. Errors, which make the exit status 1: an image without map or the reverse, a damaged file, image and map
of different sizes, a class id out of range, maps of Cityscapes that contradict each other, a sequence or city that is empty or void.
Other oddities of object ids are only counted: they occur in good sets.
"""
import argparse
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from terminaltables import AsciiTable
from tqdm import tqdm

from knet.errors import InputError, report_input_errors
from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE, encode, joint_histogram
from knet.files import whole_file
from knet.label_space import STEP, WAYMO, LabelSpace
from knet.step_format import cityscapes_instance_ids, frame_name, read_panoptic, read_png, scan_split

SPACES = {'step': STEP, 'waymo': WAYMO}
CITY_IMAGE, CITY_MAPS = '_leftImg8bit.png', ('_gtFine_labelTrainIds.png', '_gtFine_instanceTrainIds.png')
SPLITS = ('train', 'val', 'test')
SHOWN_ERRORS = 20
PIECES_AHEAD = 8


class Item(NamedTuple):
    """A frame on disk; what is not there is None.

    group: The sequence, or the city.
    track_group: What object ids are valid in: the sequence, or the single image.
    maps: One map in STEP encoding, or train ids and instances.
    """
    name: str
    group: str
    track_group: str
    frame: int
    image: Optional[str]
    maps: Optional[Tuple[str, ...]]


class Facts(NamedTuple):
    """What a frame holds: distinct codes `class << 16 | instance` and their pixels, shapes (N,), int64; or what is wrong with it."""
    item: Item
    size: Optional[Tuple[int, int]] = None
    codes: np.ndarray = np.zeros(0, np.int64)
    pixels: np.ndarray = np.zeros(0, np.int64)
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

    def add(self, facts: Facts) -> None:
        """Add a frame; frames of a sequence come in rising order."""
        item, space = facts.item, self.space
        self.groups[item.group] += 1
        if facts.error:
            self.errors.append(facts.error)
        if facts.size:
            self.sizes[facts.size] += 1
            self.group_sizes.setdefault(item.track_group, set()).add(facts.size)
        if not len(facts.codes):
            return
        classes, ids = facts.codes >> INSTANCE_BITS, facts.codes & MAX_INSTANCE
        np.add.at(self.pixels, classes, facts.pixels)
        self.frames_with[np.unique(classes)] += 1
        if ((classes != space.void) & (classes != space.ignored)).any():
            self.labelled_groups.add(item.group)
        is_thing = np.isin(classes, space.thing_ids)
        objects = facts.codes[is_thing & (ids > 0)].tolist()
        if objects:
            self.things_groups.add(item.group)
        self.stuff_with_id += bool((~is_thing & (ids > 0)).any())
        self.objects_per_frame.append(len(objects))
        for code in objects:
            self.tracks.setdefault((item.track_group, code), []).append(item.frame)

    def notes(self, gap: int) -> List[str]:
        """Lines about what is unusual and no error.

        Args:
            gap: An object that is back after more frames than this is counted.
        """
        classes_of: Dict[Tuple[str, int], set] = {}
        for group, code in self.tracks:
            classes_of.setdefault((group, code & MAX_INSTANCE), set()).add(code >> INSTANCE_BITS)
        changed = sorted(key for key, classes in classes_of.items() if len(classes) > 1 and key[0] in self.groups)  # not single images
        back = sorted(key for key, frames in self.tracks.items() if max(np.diff(frames), default=0) > gap)
        counts = [
            (len(changed), 'instance ids with more than one class in their sequence',
             changed and f'sequence {changed[0][0]}, id {changed[0][1]}'),
            (len(back), f'objects that are back after a gap of more than {gap} frames',
             back and f'sequence {back[0][0]}, {self.space.classes[back[0][1] >> INSTANCE_BITS]} {back[0][1] & MAX_INSTANCE}'),
            (self.stuff_with_id, 'frames where stuff or void has an instance id', ''),
            (len(set(self.groups) - self.things_groups) if self.labelled_groups else 0, 'sequences or cities without objects', ''),
            (sum(len(sizes) > 1 for sizes in self.group_sizes.values()), 'sequences with images of several sizes', '')]
        return [f'{number} {text}' + (f', such as {example}' if example else '') for number, text, example in counts if number]


def list_splits(root: Path) -> Dict[str, List[Item]]:
    """Split → frames; the layout is detected.

    Raises:
        InputError: `root` has none of the layouts.
    """
    def rank(folder: Path) -> Tuple[int, str]:
        return SPLITS.index(folder.name) if folder.name in SPLITS else len(SPLITS), folder.name

    if (root / 'video_sequence').is_dir():
        return {folder.name: list_step(folder) for folder in sorted((root / 'video_sequence').iterdir(), key=rank) if folder.is_dir()}
    if (root / 'leftImg8bit').is_dir() or (root / 'gtFine').is_dir():
        folders = [folder for part in ('leftImg8bit', 'gtFine') if (root / part).is_dir() for folder in (root / part).iterdir()]
        return {folder.name: list_cityscapes(root, folder.name) for folder in sorted(folders, key=rank) if folder.is_dir()}
    if root.is_dir() and next(root.glob('*_panoptic.png'), None):
        return {root.resolve().name: list_step(root)}
    raise InputError(f'{root} is no prepared set; expected video_sequence/<split>/000000_000000_panoptic.png or leftImg8bit and gtFine '
                     'in it (see DATASET.md)')


def list_step(folder: Path) -> List[Item]:
    """Frames of a split in STEP layout."""
    items = []
    for sequence, frames in scan_split(folder).items():
        for frame, files in frames.items():
            image, panoptic = files.get('leftImg8bit'), files.get('panoptic')
            items.append(Item(f'{folder}/{frame_name(sequence, frame)}', str(sequence), str(sequence), frame, image and str(image),
                              (str(panoptic), ) if panoptic else None))
    return items


def list_cityscapes(root: Path, split: str) -> List[Item]:
    """Frames of a split in the layout of Cityscapes; a city's empty folder gives one frame without files."""
    images, maps = root / 'leftImg8bit' / split, root / 'gtFine' / split
    items = []
    for city in sorted({folder.name for part in (images, maps) if part.is_dir() for folder in part.iterdir() if folder.is_dir()}):
        stems = {path.name[:-len(ending)] for part in (images, maps) for ending in (CITY_IMAGE, *CITY_MAPS)
                 for path in (part / city).glob(f'*{ending}')}
        for stem in sorted(stems):
            image = images / city / f'{stem}{CITY_IMAGE}'
            truths = tuple(str(maps / city / stem) + ending for ending in CITY_MAPS)
            is_there = all(Path(path).exists() for path in truths)
            items.append(Item(f'{maps / city / stem}', city, stem, 0, str(image) if image.exists() else None, truths if is_there else None))
        if not stems:
            items.append(Item(str(images / city), city, city, 0, None, None))
    return items


def inspect(item: Item, space: LabelSpace, needs_image: bool, needs_map: bool) -> Facts:
    """Read a frame."""
    lacking = [what for what, path, needed in (('image', item.image, needs_image), ('map', item.maps, needs_map)) if needed and not path]
    if lacking:
        return Facts(item, error=f'{item.name}: there is no {" and no ".join(lacking)}')
    try:
        shape = read_png(item.image, cv2.IMREAD_COLOR).shape[:2] if item.image else None
        if not item.maps:
            return Facts(item, shape)
        semantic, instance = read_panoptic(*item.maps) if len(item.maps) == 1 else read_city_maps(*item.maps)
    except InputError as error:
        return Facts(item, error=str(error))
    size = semantic.shape
    pairs = joint_histogram(*[encode(semantic, instance, item.maps[0])] * 2)
    classes = np.unique(pairs.gt >> INSTANCE_BITS)
    wrong = classes[(classes >= space.num_classes) & (classes != space.void)]
    error = ''
    if shape not in (None, size):
        error = f'{item.maps[0]} has the size {size}, its image {shape} (height, width)'
    elif len(wrong):
        error = f'{item.maps[0]} holds class {wrong[0]}; classes are 0..{space.num_classes - 1} and {space.void} (void)'
    return Facts(item, shape or size, pairs.gt, pairs.counts, error)


def read_city_maps(labels: str, instances: str) -> Tuple[np.ndarray, np.ndarray]:
    """Train ids and instance ids of Cityscapes maps, as `read_panoptic` gives them.

    Raises:
        InputError: a map is damaged, or the two maps contradict each other.
    """
    semantic, marked = read_png(labels), read_png(instances)
    if semantic.ndim != 2 or semantic.dtype != np.uint8 or marked.shape != semantic.shape or marked.dtype.kind != 'u':
        raise InputError(f'{labels} ({semantic.dtype}, {semantic.shape}) and {instances} ({marked.dtype}, {marked.shape}) are not 8-bit '
                         'train ids and 16-bit instances of the same size')
    if (np.where(marked >= 1000, marked // 1000, marked) != semantic).any():
        raise InputError(f'{instances} names other classes than {labels}; make both again')
    return semantic, cityscapes_instance_ids(semantic, marked)


def inspect_all(items: Sequence[Item], space: LabelSpace, split: str, nproc: int) -> Iterator[Facts]:
    """Facts of all frames, in order. Decoding releases the interpreter's lock, so threads do."""
    # Test splits have no maps, and sets of maps alone no images.
    needs_image, needs_map = any(item.image for item in items), split != 'test' or any(item.maps for item in items)
    with ThreadPoolExecutor(nproc) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(inspect, item, space, needs_image, needs_map))
            if len(waiting) > PIECES_AHEAD * nproc:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def check_split(items: Sequence[Item], split: str, space: LabelSpace, nproc: int = 1) -> Statistics:
    """Read a split."""
    statistics = Statistics(space)
    for facts in tqdm(inspect_all(items, space, split, nproc), split, len(items), unit='frame', disable=None):
        statistics.add(facts)
    if not items:
        statistics.errors.append(f'{split} holds no frames')
    elif any(item.maps for item in items) and not statistics.errors:
        statistics.errors += [f'{split}: all of sequence or city {group} is void' for group in statistics.groups
                              if group not in statistics.labelled_groups]
    return statistics


def overview_table(splits: Dict[str, Statistics]) -> str:
    """A line for each split."""
    rows = [['split', 'sequences or cities', 'frames', 'sizes (height x width)', 'objects', 'errors']]
    for name, statistics in splits.items():
        sizes = [f'{height}x{width}' for (height, width), _ in statistics.sizes.most_common()]
        shown = ', '.join(sizes[:3]) + (f' and {len(sizes) - 3} more' if len(sizes) > 3 else '')
        rows.append([name, str(len(statistics.groups)), str(sum(statistics.groups.values())), shown or '-', str(len(statistics.tracks)),
                     str(len(statistics.errors))])
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
        name = space.classes[index] + '*' * (index in space.thing_ids) if index < space.num_classes else 'void' * (index == space.void)
        own = lengths.get(index)
        rows.append([str(index), name or '(out of range)', f'{100 * statistics.pixels[index] / total:.2f}',
                     str(statistics.frames_with[index]), *((str(len(own)), f'{np.mean(own):.1f}', str(max(own))) if own else '---')])
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
    shares.set(xscale='log', xlim=(0.01, 100), xlabel='share of the pixels, percent', title='Classes')
    numbers = [statistics.objects_per_frame for statistics in shown.values()]
    counts.hist(numbers, np.arange(max(map(max, numbers), default=0) + 2) - 0.5, density=True, label=list(shown))
    counts.set(xlabel='objects in a frame', ylabel='share of the frames', title='Objects')
    if shown:
        shares.legend()
        counts.legend()
    with whole_file(path) as partial:
        figure.savefig(partial, format='png', dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('root', type=Path, help='data root, such as data/kitti-step or data/cityscapes, or a folder of STEP maps')
    parser.add_argument('--classes', choices=tuple(SPACES), default='step', help='step (default) or the 29 native classes of Waymo')
    parser.add_argument('--gap', type=int, default=20, metavar='N', help='count objects that are away for more frames (default: 20)')
    parser.add_argument('--nproc', type=int, default=1, metavar='N', help='cores to use (default: 1)')
    parser.add_argument('--plot', type=Path, metavar='FILE', help='draw the statistics into a PNG file')
    args = parser.parse_args()
    if args.nproc < 1:
        raise InputError(f'--nproc must be at least 1, got {args.nproc}')
    splits = {name: check_split(items, name, SPACES[args.classes], args.nproc) for name, items in list_splits(args.root).items()}
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
        raise InputError(f'{len(errors)} errors in {args.root}, the first: {errors[0]}' if errors else f'{args.root} holds no splits')


if __name__ == '__main__':
    with report_input_errors():
        main()
