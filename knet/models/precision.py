"""Mixed precision: which computations must not run in half precision."""
import functools
from typing import Any, Callable

import torch
from torch import Tensor


def in_float32(function: Callable) -> Callable:
    """Decorator: the function runs with autocast off and gets floating-point tensors in float32, also those in tuples, lists and dicts.

    For sums over the pixels of a mask, which leave the range of float16 (65504), and for matching costs, whose small
    differences bfloat16 cannot tell apart.
    """
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with torch.autocast('cpu', enabled=False), torch.autocast('cuda', enabled=False):
            return function(*_to_float32(args), **_to_float32(kwargs))
    return wrapped


def _to_float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _to_float32(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return type(value)(*map(_to_float32, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_to_float32, value))
    return value
