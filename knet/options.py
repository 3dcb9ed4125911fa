"""Types of options on command lines, and values that they can have."""

import argparse
from typing import Callable, Sequence, Tuple, Union

PRECISION_NAMES = ('fp32', 'bf16', 'fp16')
"""Of the network, see `knet.models.precision`."""
VIDEO_OUTPUTS = ('video', 'maps', 'json', 'frames', 'images')
"""What a segmented video is written as, see `knet.apis.video_results`."""
DRAWINGS = ('semantic', 'tracks', 'errors', 'depth', 'videos')
"""Folders of pictures of predictions, see `knet.visualization.SequenceRenderer`."""


def read_number(text: str, kind: Callable = float) -> Union[int, float]:
    """Type of an option: a number of a type."""
    try:
        return kind(text)
    except ValueError:
        what = 'whole number' if kind is int else 'number'
        raise argparse.ArgumentTypeError(f'must be a {what}, got {text!r}') from None


def at_least(minimum: Union[int, float], maximum: float = float('inf')) -> Callable:
    """Type of an option: a number of the minimum's type, in a range."""

    def number(text: str) -> Union[int, float]:
        value = read_number(text, type(minimum))
        if not minimum <= value <= maximum:
            limits = f'from {minimum} on' if maximum == float('inf') else f'{minimum} to {maximum}'
            raise argparse.ArgumentTypeError(f'must be {limits}, got {text}')
        return value

    return number


def some_of(names: Sequence[str]) -> Callable[[str], Tuple[str, ...]]:
    """Type of an option: some of the names, with commas between them."""

    def chosen(text: str) -> Tuple[str, ...]:
        found = tuple(name.strip() for name in text.split(',') if name.strip())
        if not found or not set(found) <= set(names):
            expected = f'some of {",".join(names)} with commas between them'
            raise argparse.ArgumentTypeError(f'takes {expected}, got {text!r}')
        return found

    return chosen


def key_value(text: str) -> str:
    """Type of an option: KEY=VALUE."""
    key, sign, _ = text.partition('=')
    if not key.strip() or not sign:
        raise argparse.ArgumentTypeError(f'must be KEY=VALUE, got {text!r}')
    return text
