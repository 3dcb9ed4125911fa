"""How bad input is reported: one exception type, and one place that turns it into a line on
stderr."""

import contextlib
import errno
import io
import json
import os
import sys
import time
from typing import Any, Iterator, NoReturn

STOPPED = 75
"""Exit status of a run that was asked to stop and can go on later (EX_TEMPFAIL of sysexits.h)."""


MACHINE = {
    errno.ENOSPC: 'cannot write: free some space, or name a folder on another disk',
    errno.EDQUOT: 'cannot write: free some of your quota, or name a folder on another disk',
    errno.EROFS: 'cannot write: name a folder on another disk',
    errno.EIO: 'the disk or the connection to it is broken',
    errno.EMFILE: 'more files are open than this shell allows; raise it: ulimit -n 4096',
}
"""What the machine may refuse anywhere, and what to do."""


PACKAGES = (
    *('torch', 'torchvision', 'mmcv', 'mmdet', 'numpy', 'scipy', 'cv2', 'PIL', 'pycocotools'),
    *('matplotlib', 'terminaltables', 'tqdm', 'imageio_ffmpeg', 'tensorboard', 'vl_convert'),
)
"""What must be installed, by the names that are imported."""


LOST_OTHERS = 'has lost the others'
"""In the message of a process that waited for one that has ended."""


class InputError(Exception):
    """Something that the user gave cannot be used: a path, an option, a file's content.

    The message says what is wrong, where (file, sequence, frame, key) and what to do. Command lines
    print it without a traceback and end with status 1.
    """


class Stopped(Exception):
    """A run was asked to stop, by a signal, and left everything so that it can go on.

    The message says where it stopped and how to go on. Command lines end with status `STOPPED`.
    """


def check_whole(name: str, value: Any, minimum: int = 1) -> None:
    """Raise InputError unless what has that name is a whole number from a minimum on."""
    if not isinstance(value, int) or value < minimum:
        raise InputError(f'{name} must be a whole number from {minimum} on, got {value!r}')


@contextlib.contextmanager
def report_input_errors() -> Iterator[None]:
    """Turn an `InputError` or `Stopped` raised in the block into one line on stderr and an exit
    status.

    Processes of one job mostly find the same error. Under torchrun the line goes into the error
    file that torchrun names, for the launcher to show once and last; under srun the other processes
    give the first one a moment to speak and srun to end them. An interrupt (Ctrl-C) ends the
    program with status 130 and without a traceback.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='surrogateescape')  # names of files are bytes
    try:
        try:
            yield
        finally:
            _flush()
    except InputError as error:
        _end(one_line(str(error)), 1)
    except Stopped as error:
        _end(one_line(str(error)), STOPPED)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split('.')[0] not in PACKAGES:
            raise
        _end(
            f'{error.name} is not installed for {sys.executable}; `sh tools/setup_env.sh` makes an '
            'environment that has everything, `python -m knet check` says what this one lacks',
            1,
        )
    except OSError as error:
        if error.errno not in MACHINE:
            raise
        where = f' ({error.filename})' if error.filename else ''
        _end(f'{error.strerror}{where}; {MACHINE[error.errno]}', 1)


def _flush() -> None:
    """Write what was printed; where nobody reads it any more, as with `| head`, end quietly."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


def one_line(message: str) -> str:
    """A message without line breaks. torch puts the traceback of a data loader's worker before the
    message of what was raised there."""
    if message.startswith('Caught InputError in DataLoader worker'):
        message = message.rsplit('InputError: ', 1)[-1]
    return ' '.join(line.strip() for line in message.splitlines() if line.strip())


def _end(message: str, status: int) -> NoReturn:
    error_file = os.environ.get('TORCHELASTIC_ERROR_FILE')
    if error_file:
        try:
            _write_error_file(error_file, message)
        except OSError:  # a full disk
            error_file = None
    if not error_file:
        if os.environ.get('SLURM_PROCID', '0') != '0':
            time.sleep(2)
        sys.stderr.write(f'error: {message}\n')
        sys.stderr.flush()
    raise SystemExit(status) from None


def _write_error_file(path: str, message: str) -> None:
    """Write what torch.distributed.elastic reads after a worker's failure; plain torchrun prints
    the `py_callstack`."""
    extra = dict(py_callstack=f'error: {message}', timestamp=str(int(time.time())))
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(dict(message=dict(message=message, extraInfo=extra)), file)
