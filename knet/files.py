"""Files and folders on disk: written whole or not at all, owned by one run at a time."""

import contextlib
import fcntl
import json
import os
import re
import socket
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Union

from knet.errors import InputError

LOCK = '.lock'
RESULT_MARK = 'made_by.json'
"""File of a result folder that says what its content was made of, and whether that is all there."""

KINDS = ('.png', '.mp4', '.json', '.jpg', '.webp', '.part')
"""Endings of the files that runs write."""
PARTIAL = re.compile(r'\..+\.\d+\.part(\.mp4)?')
"""Names of files that a killed run left half-written."""


def find_config(path: str) -> str:
    """The config file that a path names: where there is no such file, a path configs/... is one of
    the configs that came with the installation."""
    if not Path(path).exists() and Path(path).parts[:1] == ('configs',):
        package = Path(__file__).resolve().parent
        for folder in (package, package.parent):  # a wheel has them inside, a checkout beside it
            if (folder / path).is_file():
                return str(folder / path)
    return path


def is_leftover(name: str) -> bool:
    """Whether a file or folder is what a system leaves behind, such as `._000000.png` and
    `__MACOSX` of archives packed on a Mac."""
    return name.startswith('.') or name == '__MACOSX'


@contextlib.contextmanager
def whole_file(path: Union[str, Path]) -> Iterator[Path]:
    """Give a path beside `path` to write to; it takes the place of `path` if the block ends without
    an error and all is on the disk, else it is removed.

    Folders are created as needed.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            if not partial.is_symlink():
                _sync(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror or error}') from None


def unwritable(folder: Union[str, Path], error: OSError) -> InputError:
    """The error about a folder that cannot be made or written to."""
    if os.path.isfile(folder):
        return InputError(f'{folder} is a file; name a folder')
    return InputError(f'cannot write to {folder}: {error.strerror}; name another folder')


def _sync(path: Path) -> None:
    """Wait until a file is on the disk; a disk that is full says so here at the latest."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Union[str, Path], data: Any) -> None:
    """Write a file: it is there whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    with whole_file(path) as partial:
        partial.write_bytes(data)


@contextlib.contextmanager
def lock_folder(folder: Union[str, Path]) -> Iterator[None]:
    """Own a folder in the block. The lock ends with the process, however that ends; what a killed
    owner left half-written is removed.

    Raises:
        InputError: another process owns the folder.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, 'a+')
    except OSError as error:
        raise unwritable(folder, error) from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise InputError(
                f'{folder} is in use by {file.read().strip() or "another process"}; wait for it to '
                'end, or name another folder'
            ) from None
        except OSError:
            pass  # a network drive without locks
        with contextlib.suppress(OSError):  # a full disk
            file.truncate(0)
            file.write(f'process {os.getpid()} on {socket.gethostname()}')
            file.flush()
        for partial in folder.glob('.*.part*'):
            partial.unlink(missing_ok=True)
        yield


@contextlib.contextmanager
def result_folder(
    folder: Union[str, Path],
    contents: Sequence[str],
    names: re.Pattern,
    made_of: Dict[str, Any],
) -> Iterator[None]:
    """Own a folder that holds the results of one run and nothing of another one.

    Earlier results of such runs are removed at the start, other files stay; `RESULT_MARK` says
    `finished: false` until the block ends without an error.

    Args:
        folder: Created as needed.
        contents: Names of the files and folders in it that runs write.
        names: Paths from `folder` on of the files that runs write. Nothing is removed that has
            another one, or that lies in a folder without the mark of runs with these contents.
        made_of: What the results are made of; goes into the mark, at the end with all that the
            block added to it.

    Raises:
        InputError: another process owns the folder, it holds files that no such run wrote or the
            results of another tool, or it cannot be written to.
    """
    folder = Path(folder)
    mark = folder / RESULT_MARK
    with lock_folder(folder):
        stale = [path for name in contents for path in _written_files(folder / name)]
        _check_stale(folder, stale, contents, names)
        write_mark(mark, made_of, contents, finished=False)
        try:
            for path in stale:
                path.unlink()
            for name in contents:
                for path in [*sorted((folder / name).rglob('*'))[::-1], folder / name]:
                    if path.is_dir() and not any(path.iterdir()):
                        path.rmdir()
        except OSError as error:
            raise InputError(f'cannot delete in {folder}: {error.strerror}') from None
        yield
        write_mark(mark, made_of, contents, finished=True)


def _written_files(path: Path) -> List[Path]:
    """Files at or below a path that are of a kind that runs write.

    Raises:
        InputError: a folder is a link: what is behind it may be anybody's.
    """
    if path.is_file():
        return [path]
    found = []
    for place in [path, *sorted(path.rglob('*'))]:
        if place.is_symlink() and place.is_dir():
            raise InputError(
                f'{place} is a link to a folder, whose files would be replaced; name another '
                'folder, or remove the link'
            )
        if place.suffix in KINDS and place.is_file():
            found.append(place)
    return found


def _check_stale(
    folder: Path, stale: Sequence[Path], contents: Sequence[str], names: re.Pattern
) -> None:
    """Raise InputError where a folder holds files that no run with these contents wrote."""
    mark = folder / RESULT_MARK
    if _is_ours(mark, contents):
        for path in stale:
            is_partial = PARTIAL.fullmatch(path.name)
            if not is_partial and not names.fullmatch(path.relative_to(folder).as_posix()):
                raise InputError(
                    f'{path} is not of the run that wrote the results in {folder}; move it '
                    'elsewhere, or name another folder'
                )
    elif mark.exists() or stale:
        what = f'the results of another tool ({mark})' if mark.exists() else f'{stale[0]}'
        raise InputError(
            f'{folder} holds {what}, which would be replaced; name another folder, or move it '
            'elsewhere'
        )


def _is_ours(mark: Path, contents: Sequence[str]) -> bool:
    """Whether a mark is of a run that wrote the same contents."""
    try:
        return json.loads(mark.read_text())['contents'] == list(contents)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def write_mark(
    mark: Path, made_of: Dict[str, Any], contents: Sequence[str], finished: bool
) -> None:
    """Write a `RESULT_MARK`."""
    content = dict(finished=finished, contents=list(contents), made_of=made_of)
    text = json.dumps(content, indent=1)
    write_bytes(mark, text.encode())


def read_mark(folder: Union[str, Path]) -> Dict[str, Any]:
    """What the results in a folder are made of; empty where nothing says it.

    Raises:
        InputError: the run that wrote them did not finish, or the file that says it is damaged.
    """
    mark = Path(folder) / RESULT_MARK
    try:
        content = json.loads(mark.read_text())
        finished, made_of = content['finished'], dict(content['made_of'])
    except OSError:
        return {}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f'{mark} is damaged ({error!r}); run the test again, or delete that file: the results '
            'are then read as those of a published data set'
        ) from None
    if not finished:
        raise InputError(f'{folder} holds the results of a test that did not finish; run it again')
    return made_of
