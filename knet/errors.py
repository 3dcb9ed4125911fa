"""How bad input is reported: one exception type, and one place that turns it into a line on
stderr."""

import contextlib
import json
import os
import sys
import time


class InputError(Exception):
    """Something that the user gave cannot be used: a path, an option, a file's content.

    The message says what is wrong, where (file, sequence, frame, key) and what to do. Command lines
    print it without a traceback and end with status 1.
    """


@contextlib.contextmanager
def report_input_errors():
    """Turn an `InputError` raised in the block into one line on stderr and exit status 1.

    Processes of one job mostly find the same error. Under torchrun the line goes into the error
    file that torchrun names, for the launcher to show once and last; under srun the other processes
    give the first one a moment to speak and srun to end them. An interrupt (Ctrl-C) ends the
    program with status 130 and without a traceback.
    """
    try:
        yield
    except InputError as error:
        # torch puts the traceback of a data loader's worker into the message; its last line is what
        # was raised there
        message = str(error).rstrip().splitlines()[-1].split('InputError: ')[-1]
        error_file = os.environ.get('TORCHELASTIC_ERROR_FILE')
        if error_file:
            _write_error_file(error_file, message)
        else:
            if os.environ.get('SLURM_PROCID', '0') != '0':
                time.sleep(2)
            sys.stderr.write(f'error: {message}\n')
            sys.stderr.flush()
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _write_error_file(path: str, message: str) -> None:
    """Write what torch.distributed.elastic reads after a worker's failure; plain torchrun prints
    the `py_callstack`."""
    extra = dict(py_callstack=f'error: {message}', timestamp=str(int(time.time())))
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(dict(message=dict(message=message, extraInfo=extra)), file)
