"""Mixed precision: which computations must not run in half precision."""

import functools
from typing import Callable, TypeVar

import torch
from torch import Tensor

from knet.structures import map_tensors

F = TypeVar('F', bound=Callable)


def in_float32(function: F) -> F:
    """Decorator: the function runs with autocast off and gets its floating-point tensors in
    float32.

    For sums over the pixels of a mask, which leave the range of float16 (65504), and for matching
    costs, whose small differences bfloat16 cannot tell apart.
    """

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with torch.autocast('cpu', enabled=False), torch.autocast('cuda', enabled=False):
            return function(*map_tensors(_single, args), **map_tensors(_single, kwargs))

    return wrapped  # type: ignore[return-value]


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
