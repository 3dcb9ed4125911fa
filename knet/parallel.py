"""Work that is done ahead by other threads or processes, and comes back in order."""

import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Callable, Deque, Iterable, Iterator, TypeVar

from knet.errors import InputError

Item = TypeVar('Item')
Result = TypeVar('Result')


def end_with_parent() -> None:
    """Let the system kill this process when the one that started it ends, however that ends."""
    if sys.platform == 'linux':
        known = multiprocessing.parent_process()
        parent = os.getppid() if known is None else known.pid
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it has ended in between
            os.kill(os.getpid(), signal.SIGKILL)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees for what it needs next, where the C library is
    glibc, which gives large arrays back at once: each new one then costs the system's work to clear
    its pages, a fifth of the time of reading a training pair."""
    with contextlib.suppress(OSError, AttributeError):
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL('libc.so.6').mallopt(parameter, 2**30)


def allow_open_files(needed: int = 1024, least: int = 256) -> None:
    """Raise this process's limit of open files, as far as its shell lets it. Loader workers pass
    tensors on as files and hang where they cannot open one.

    Raises:
        InputError: fewer than `least` are allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    if needed < least:
        raise InputError(
            f'this shell allows {needed} open files, loader workers need {least}; raise it (ulimit '
            '-n 1024), or set data.workers_per_gpu=0'
        )


@contextlib.contextmanager
def in_background(ahead: int) -> Iterator[Callable[..., None]]:
    """Give a function `later(function, *args)`, whose calls are done in a thread, one after the
    other; at most `ahead` of them wait, and at the end of the block all are done.

    What a call raises, `later` or the end of the block raises.
    """
    waiting: Deque[Future] = deque()

    def later(function: Callable, *args: Any) -> None:
        waiting.append(pool.submit(function, *args))
        while len(waiting) > ahead or waiting and waiting[0].done():
            waiting.popleft().result()

    with ThreadPoolExecutor(1) as pool:
        try:
            yield later
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def ordered_map(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Results of `function` in the order of `items`; at most `ahead` of them wait in memory.

    When the caller stops early, or an item fails, what has not begun is cancelled.
    """
    waiting: Deque[Future] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
