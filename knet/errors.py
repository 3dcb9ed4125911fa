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
        sys.stderr.write(f'error: {error}\n')
        sys.stderr.flush()
        raise SystemExit(1) from None
