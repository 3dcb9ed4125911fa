"""How bad input is reported: one exception type, and one place that turns it into a line on stderr."""
import contextlib
import sys


class InputError(Exception):
    """Something that the user gave cannot be used: a path, an option, a file's content.

    The message says what is wrong, where (file, sequence, frame, key) and what to do. Command lines print it without a
    traceback and end with status 1.
    """


@contextlib.contextmanager
def report_input_errors():
    """Turn an `InputError` raised in the block into one line on stderr and exit status 1."""
    try:
        yield
    except InputError as error:
        # torch puts the traceback of a data loader's worker into the message; its last line is what was raised there
        message = str(error).rstrip().splitlines()[-1].split('InputError: ')[-1]
        sys.stderr.write(f'error: {message}\n')
        sys.stderr.flush()
        raise SystemExit(1) from None
