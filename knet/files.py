"""Writing of files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path
from typing import Iterator, Union

from knet.errors import InputError


@contextlib.contextmanager
def whole_file(path: Union[str, Path]) -> Iterator[Path]:
    """Give a path beside `path` to write to; it takes the place of `path` if the block ends without
    an error, else it is removed.

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
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f'cannot write {path}: {error.strerror}') from None
