"""What the preparation scripts share: linking, restarting, spreading over cores, counting and the
report.

A script first lists what is there and plans every file (`Split`), then lets `prepare` do what is
not done yet. Files are written whole or not at all, so that a run that was killed goes on where it
was.
"""

import argparse
import errno
import importlib
import multiprocessing
import os
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import (
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

import cv2
from terminaltables import AsciiTable
from tqdm import tqdm

from knet.errors import InputError
from knet.files import is_leftover, whole_file
from knet.options import at_least
from knet.parallel import end_with_parent, ordered_map

# What os.link says where a file system or its rights rule a hard link out; a copy may work there.
NO_LINK = (
    errno.EXDEV,
    errno.EPERM,
    errno.EMLINK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EACCES,
    errno.ENOSYS,
)
CLOCK_TOLERANCE = 2.0  # seconds; file systems round times
SHOWN_PROBLEMS = 10
PIECES_AHEAD = 4


class Outcome(NamedTuple):
    """What became of a piece of work.

    frames: Frames it was about.
    copied: Files that were copied because they could not be linked.
    problems: Lines that say what could not be used; nothing was written of those frames.
    notes: Name of a count of the report → number.
    """

    frames: int = 1
    copied: int = 0
    problems: Tuple[str, ...] = ()
    notes: Tuple[Tuple[str, int], ...] = ()


@dataclass
class Split:
    """The plan for a split and what is to be said about it.

    Args:
        name: 'train', 'val' or 'test'.
        group: What its frames come in: 'sequence' or 'city'.
        official: Number of groups and of frames of the complete download; None where it is not
            fixed.
        folders: Folders that hold the split's files and no others.
        pieces: Work to do, in order; anything that can be sent to another process.
        targets: Files of each planned frame.
        groups: Number of groups that were found.
        problems: What is inconsistent in the download; one line each.
        warnings: What is merely not there; one line each.
        notes: Further counts of the report.
        copied: Files that were copied because they could not be linked.
    """

    name: str
    group: str
    official: Optional[Tuple[int, int]]
    folders: Sequence[Path]
    pieces: list = field(default_factory=list)
    targets: List[Tuple[str, ...]] = field(default_factory=list)
    groups: int = 0
    problems: List[str] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)
    notes: Dict[str, int] = field(default_factory=dict)
    copied: int = 0

    def complete(self) -> int:
        """Number of planned frames whose files are all on disk."""
        return sum(all(os.path.exists(path) for path in paths) for paths in self.targets)


def add_common_options(parser: argparse.ArgumentParser, links: bool = True) -> None:
    """The options of all preparation scripts; `--symlink` only where files are linked."""
    if links:
        parser.add_argument(
            '--symlink',
            action='store_true',
            help='link to the download by path (default: hard links, or copies where those are '
            'impossible)',
        )
    parser.add_argument(
        '--nproc',
        type=at_least(1),
        default=1,
        metavar='N',
        help='cores to use (default: 1); the files do not depend on it',
    )
    parser.add_argument('--dry-run', action='store_true', help='only list and count; write nothing')


def load_package(module: str, package: str) -> ModuleType:
    """Import a module of an optional package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f'the package {package} is needed ({error}); install it with: sh tools/setup_env.sh '
            'prepare, or '
            "pip install --no-build-isolation -e '.[prepare]'"
        ) from None


def find_folder(
    root: Path, candidates: Sequence[str], is_it: Callable[[Path], bool], what: str
) -> Path:
    """A folder under `root`, or under one of its subfolders, so that a path one level too high is
    understood.

    Args:
        root: What the user named.
        candidates: Relative paths, the best first.
        is_it: Whether a folder is the one that is looked for.
        what: What is looked for, as an example path; for the error.

    Raises:
        InputError: there is none.
    """
    if not root.is_dir():
        raise InputError(f'{root} is not a folder; expected one that holds {what} (see DATASET.md)')
    folders = (entry for entry in root.iterdir() if entry.is_dir() and not is_leftover(entry.name))
    for base in [root, *sorted(folders)]:
        for candidate in candidates:
            if (base / candidate).is_dir() and is_it(base / candidate):
                return base / candidate
    raise InputError(f'{root} holds no {what} (see DATASET.md)')


def place(source: str, target: str, symlink: bool = False) -> bool:
    """Let `target` have the content of `source`: by a hard link, else by a copy; or by a symbolic
    link.

    Returns:
        whether it was copied.

    Raises:
        InputError: `target` cannot be written.
    """
    source = os.path.realpath(source)
    with whole_file(target) as partial:
        if symlink:
            os.symlink(source, partial)
            return False
        try:
            os.link(source, partial)
            return False
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
        shutil.copy2(source, partial)
        return True


def is_placed(source: str, target: str) -> bool:
    """Whether `target` is a link to `source` or a copy of it, judged by size and time."""
    try:
        one, two = os.stat(source), os.stat(target)
    except OSError:
        return False
    return os.path.samestat(one, two) or (
        one.st_size == two.st_size and abs(one.st_mtime - two.st_mtime) <= CLOCK_TOLERANCE
    )


def is_made(source: str, target: str) -> bool:
    """Whether `target` was made after `source` last changed."""
    try:
        return os.stat(target).st_mtime >= os.stat(source).st_mtime
    except OSError:
        return False


def check_output(splits: Sequence[Split], dry_run: bool = False) -> None:
    """Look that there is something to do and that the output folders are this set's; remove what a
    killed run left half-written.

    Raises:
        InputError: nothing was found, or a folder holds other files.
    """
    if not any(split.targets or split.problems for split in splits):
        raise InputError(
            'nothing to prepare: '
            + '; '.join(warning for split in splits for warning in split.warnings)
        )
    for split in splits:
        planned = {path for paths in split.targets for path in paths}
        for folder in split.folders:
            clean_folder(folder, planned, dry_run)


def prepare(splits: Sequence[Split], work: Callable[[object], Outcome], nproc: int = 1) -> None:
    """Do all pieces of all splits. Problems are collected in the splits; what has none is done.

    Args:
        splits: The plan.
        work: What to do with a piece; with `nproc` > 1 it must be a module's function (or a
            `functools.partial` of one).
        nproc: Processes.

    Raises:
        InputError: a file cannot be written, or a process was ended from outside.
    """
    for split in splits:
        with tqdm(total=len(split.targets), desc=split.name, unit='frame', disable=None) as bar:
            for outcome in run_pieces(work, split.pieces, nproc):
                split.copied += outcome.copied
                split.problems += outcome.problems
                for name, number in outcome.notes:
                    split.notes[name] = split.notes.get(name, 0) + number
                bar.update(outcome.frames)


def clean_folder(folder: Path, planned: Set[str], dry_run: bool = False) -> None:
    """Remove what a killed run left half-written in an output folder, and look for files of another
    set.

    Depth maps are added to a set by hand and stay.

    Raises:
        InputError: there are images or maps that are not planned.
    """
    foreign = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if name.startswith('.') and name.endswith('.part'):
                if not dry_run:
                    os.unlink(path)
            elif (
                path not in planned
                and name.endswith(('.png', '.jpg'))
                and not name.endswith('_depth.png')
            ):
                foreign.append(path)
    if foreign:
        raise InputError(
            f'{folder} holds files that this run would not write ({len(foreign)}, such as '
            f'{min(foreign)}): another set, or '
            'one made with other options; name another output folder or delete them'
        )


def run_pieces(
    work: Callable[[object], Outcome], pieces: Iterable, nproc: int
) -> Iterator[Outcome]:
    """Outcomes of all pieces, in order; the work is spread over `nproc` processes.

    Raises:
        InputError: a process was ended from outside.
    """
    if nproc == 1:
        yield from map(work, pieces)
        return
    with ProcessPoolExecutor(
        nproc, multiprocessing.get_context('spawn'), initializer=_start_worker
    ) as pool:
        try:
            yield from ordered_map(pool, work, pieces, PIECES_AHEAD * nproc)
        except BrokenProcessPool:
            raise InputError(
                'a process was ended from outside, as the system does when memory is short; run '
                'the command again, if so '
                'with a smaller --nproc'
            ) from None


def _start_worker() -> None:
    """A worker uses one core and ends with the process that started it, also where that one was
    killed."""
    cv2.setNumThreads(0)
    end_with_parent()


def report(splits: Sequence[Split], dry_run: bool = False) -> None:
    """Print what was found and done, then warnings and problems.

    Raises:
        InputError: there are problems.
    """
    print(summary_table(splits))
    for split in splits:
        if split.copied:
            print(
                f'{split.name}: {split.copied} files were copied because hard links are not '
                'possible there'
            )
        for name, number in split.notes.items():
            print(f'{split.name}: {number} {name}')
        for warning in [*split.warnings, *size_warnings(split)]:
            print(f'warning: {split.name}: {warning}', file=sys.stderr)
    problems = [f'{split.name}: {problem}' for split in splits for problem in split.problems]
    for problem in problems[:SHOWN_PROBLEMS]:
        print(f'problem: {problem}', file=sys.stderr)
    if len(problems) > SHOWN_PROBLEMS:
        print(f'problem: ... and {len(problems) - SHOWN_PROBLEMS} more', file=sys.stderr)
    if problems:
        done = 'nothing was written' if dry_run else 'everything else is prepared'
        raise InputError(
            f'{count(len(problems), "problem")} in the download ({done}); the first: {problems[0]}'
        )


def summary_table(splits: Sequence[Split]) -> str:
    """Table of found, prepared and official numbers."""
    rows = [
        ['split', plural(splits[0].group), 'frames found', 'frames prepared', 'complete download']
    ]
    for split in splits:
        official = (
            '-'
            if split.official is None
            else f'{split.official[1]:,} frames in {split.official[0]}'
        )
        rows.append(
            [
                split.name,
                f'{split.groups:,}',
                f'{len(split.targets):,}',
                f'{split.complete():,}',
                official,
            ]
        )
    table = AsciiTable(rows)
    table.justify_columns = dict.fromkeys((1, 2, 3), 'right')
    return table.table


def size_warnings(split: Split) -> List[str]:
    """What is to be said about a split that is not as large as the official one."""
    if split.official is None or (split.groups, len(split.targets)) == split.official:
        return []
    groups, frames = split.official
    return [
        f'the set has {count(len(split.targets), "frame")} in {count(split.groups, split.group)}, '
        f'the complete download {frames:,} in '
        f'{groups}; figures on it cannot be compared with published ones'
    ]


def shortfalls(found: Dict[str, int], official: Dict[str, int], group: str) -> List[str]:
    """Lines about the groups of a split that are missing or have another number of frames than in
    the complete download."""
    lacking = {name: number for name, number in official.items() if not found.get(name)}
    other = [
        f'{name} ({found[name]} of {official[name]} frames)'
        for name in official
        if 0 < found.get(name, 0) != official[name]
    ]
    unknown = [name for name, number in found.items() if number and name not in official]
    lines = []
    if lacking:
        lines.append(
            f'missing {plural(group)} ({count(sum(lacking.values()), "frame")}): '
            f'{" ".join(lacking)}'
        )
    if other:
        lines.append(f'{plural(group)} with another number of frames: {", ".join(other)}')
    if unknown:
        lines.append(
            f'{plural(group)} that the complete download does not have: {" ".join(unknown)}'
        )
    return lines


def plural(noun: str) -> str:
    """`cities`, `sequences`."""
    return noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'


def count(number: int, noun: str) -> str:
    """`3 cities`, `1 sequence`."""
    return f'{number:,} {noun if number == 1 else plural(noun)}'
