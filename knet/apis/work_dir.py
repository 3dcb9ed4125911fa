"""The work dir of a training run: its config and its checkpoints.

epoch_<n>.pth            after n epochs
iter_<n>.pth             after n iterations (checkpoint_config.by_epoch=False)
epoch_<n>_iter_<i>.pth   where a run stands within an epoch: n epochs and i iterations are done;
                         only the last one is kept
latest.pth               link to the newest one, for the user; nothing is read through it
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from mmcv import Config

from knet.errors import InputError
from knet.files import unwritable, whole_file, write_bytes
from knet.models.checkpoint import check_archive, read_meta

NAME = re.compile(r'epoch_(?P<epoch>\d+)(_iter_(?P<inner>\d+))?\.pth|iter_(?P<total>\d+)\.pth')
WITHIN_EPOCH = 'epoch_{}_iter_{}.pth'
CONFIG_HEAD = '# The config of a run in full, written by tools/train.py.\n'
Progress = Tuple[int, float]
"""Epochs that are done, and the share of the next one. Iterations do not compare: a run that goes
on with other processes counts them anew."""


def make_work_dir(path: Union[str, Path]) -> Path:
    """Create the work directory of a run.

    Raises:
        InputError: it cannot be created or written to.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        probe = Path(path) / f'.writable.{os.getpid()}'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(path, error) from None
    return Path(path)


def dump_config(cfg: Config, work_dir: Path, source: str) -> None:
    """Write the config of a run in full; a file that a user wrote is never touched."""
    path = work_dir / Path(source).name
    if path.exists() and not path.read_text(errors='replace').startswith(CONFIG_HEAD):
        path = path.with_suffix('.full.py')
    write_bytes(path, (CONFIG_HEAD + cfg.pretty_text).encode())


def list_checkpoints(work_dir: Union[str, Path]) -> Dict[Path, Progress]:
    """Checkpoints of the run in a folder and what it had done then, the newest first.

    How far a run was is read from the file; where a damaged one does not say it, from its name.
    """
    files = {}
    for path in Path(work_dir).glob('*.pth'):
        match = NAME.fullmatch(path.name)
        if match and path.is_file():
            files[path] = (match, read_meta(path) or {})
    lengths = [m['iterations_per_epoch'] for _, m in files.values() if 'iterations_per_epoch' in m]
    per_epoch = max([*lengths, 1])
    done: Dict[Path, Progress] = {}
    for path, (match, meta) in files.items():
        if {'epoch', 'iter'} <= set(meta):
            done[path] = progress_of(meta)
        elif match['total']:
            done[path] = (int(match['total']) // per_epoch, int(match['total']) % per_epoch)
        else:
            done[path] = (int(match['epoch']), int(match['inner'] or 0) / per_epoch)
    return dict(sorted(done.items(), key=lambda item: item[1], reverse=True))


def progress_of(meta: Dict) -> Progress:
    """How far a run was, by what its checkpoint says."""
    epoch, iteration = int(meta.get('epoch', 0)), int(meta.get('iter', 0))
    length = meta.get('iterations_per_epoch')
    return epoch, max(iteration - epoch * length, 0) / length if length else 0.0


def newest_checkpoint(
    work_dir: Union[str, Path], logger: Optional[logging.Logger] = None
) -> Optional[Path]:
    """The newest checkpoint in a folder that is not damaged; None where there is none at all.

    Raises:
        InputError: all are damaged.
    """
    problems: List[str] = []
    for path in list_checkpoints(work_dir):
        fault = _fault(path)
        if fault:
            problems.append(fault)
            continue
        if problems and logger:
            for problem in problems:
                logger.warning('%s', problem)
            logger.warning('taking the one before: %s', path)
        return path
    if problems:
        raise InputError(f'{work_dir} holds only damaged checkpoints; the newest: {problems[0]}')
    return None


def _fault(path: Path) -> Optional[str]:
    """What is wrong with a checkpoint file; None where it can be used."""
    try:
        check_archive(path)
    except InputError as error:
        return str(error)
    readable = read_meta(path) is not None
    return None if readable else f'checkpoint {path} is damaged: it cannot be read'


def find_checkpoint(path: Union[str, Path], logger: Optional[logging.Logger] = None) -> Path:
    """The checkpoint that a user names: a file, or a folder (or the `latest.pth` that it lacks) for
    its newest one; where a folder holds no run, its only one.

    Raises:
        InputError: there is none, or it is not clear which.
    """
    if Path(path).name == 'latest.pth' and not Path(path).exists():
        path = Path(path).parent  # a file system without links, or a link to nothing
    if not Path(path).is_dir():
        return Path(path)
    newest = newest_checkpoint(path, logger)
    if newest:
        return newest
    others = sorted(Path(path).glob('*.pth'))
    if len(others) != 1:
        raise InputError(
            f'{path} holds {len(others)} .pth files, none of them named as by training '
            '(epoch_1.pth); name the file'
            if others
            else f'{path} holds no .pth file; name a checkpoint, or the work dir of a training run'
        )
    return others[0]


def check_earlier_run(
    work_dir: Path, resume_from: Optional[Union[str, Path]], overwrite: bool
) -> List[Path]:
    """Checkpoints that a run would overwrite or leave behind it: all, or those after the one that
    it goes on from.

    Raises:
        InputError: there are some, and they must not be overwritten.
    """
    there = list_checkpoints(work_dir)
    if resume_from:
        start = progress_of(read_meta(resume_from) or {})
        if Path(resume_from).resolve().parent != work_dir.resolve():
            start = (-1, 0.0)  # what lies here is of another run
        later = [path for path, done in there.items() if done > start]
        there = {path: there[path] for path in later if _fault(path) is None}
    if there and not overwrite:
        what = 'later checkpoints' if resume_from else 'the checkpoints of an earlier run'
        raise InputError(
            f'{work_dir} holds {what}, the newest is {next(iter(there)).name}; go on from it with '
            '--auto-resume, name another --work-dir, or delete them with --overwrite'
        )
    return list(there)


def link_latest(path: Path) -> None:
    """Let `latest.pth` point to a checkpoint, where the file system has links and no user's file is
    of that name."""
    latest = path.with_name('latest.pth')
    if latest.exists() and not latest.is_symlink():
        return
    try:
        with whole_file(latest) as partial:
            partial.symlink_to(path.name)
    except InputError:
        latest.unlink(missing_ok=True)
