"""Types of options on command lines."""

import argparse
from typing import Callable, Union


def at_least(minimum: Union[int, float], maximum: float = float('inf')) -> Callable:
    """Type of an option: a number of the minimum's type, in a range."""

    def number(text: str) -> Union[int, float]:
        value = type(minimum)(text)
        if not minimum <= value <= maximum:
            limits = f'from {minimum} on' if maximum == float('inf') else f'{minimum} to {maximum}'
            raise argparse.ArgumentTypeError(f'must be {limits}, got {text}')
        return value

    return number
