"""Mask probabilities on a coarse grid, read where they are asked for on the grid of the image.

A frame has a hundred candidates of half a million pixels each, but most of them can win nowhere,
and the others only near the few cells where they are strong. Interpolation stays between the
values that it interpolates, so the extremes of a cell's neighbourhood tell that beforehand; the
result is the same as that of all pixels of all candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 2
"""Side of a cell, in steps of the grid."""
SLACK = 1e-4
"""Share by which a bound may be passed by rounding."""
Box = Tuple[slice, slice]


@dataclass
class MaskGrid:
    """Mask probabilities of the padded network input.

    They are read by the published steps: resized to the padded input, cropped to the image, and
    resized to the original image, both bilinear.

    Attributes:
        values: (M, h, w), 0..1.
        padded_size: (height, width) of the network input.
        size: (height, width) of the image in it.
        original_size: (H, W) of the image before it was resized.
    """

    values: Tensor
    padded_size: Tuple[int, int]
    size: Tuple[int, int]
    original_size: Tuple[int, int]

    @classmethod
    def of_image(cls, values: Tensor) -> MaskGrid:
        """Probabilities that lie on the image's own grid."""
        height, width = values.shape[-2:]
        return cls(values, *[(height, width)] * 3)

    def __len__(self) -> int:
        return len(self.values)

    def read(self, index: int) -> Tensor:
        """Probabilities of a mask, (H, W)."""
        values = resize(self.values[index], self.padded_size)[: self.size[0], : self.size[1]]
        return values if self.size == self.original_size else resize(values, self.original_size)

    def owners(
        self, weights: Tensor, chosen: Sequence[int], region: Optional[Tensor] = None
    ) -> Tensor:
        """The mask with the largest weight * probability at each pixel, of equal ones the first.

        Args:
            weights: (M,), 0 or more.
            chosen: Which masks are asked, at least one.
            region: (H, W), bool; other pixels do not matter and can have any owner. None: all.

        Returns:
            (H, W), int64, indices of masks.
        """
        best = self.values.new_full(self.original_size, -1)
        owner = torch.zeros(self.original_size, dtype=torch.long, device=best.device)
        for index, box, values in self._pieces(chosen, self._can_win(weights, chosen, region)):
            values = weights[index] * values
            owner[box].masked_fill_(values > best[box], index)
            torch.maximum(best[box], values, out=best[box])
        return owner

    def areas(self, chosen: Sequence[int], threshold: float) -> Tensor:
        """Pixels with a probability of at least a threshold, (len(chosen),), int64."""
        found = torch.zeros(len(chosen), dtype=torch.long, device=self.values.device)
        cells = None
        if self._scale() and len(chosen):
            cells = extremes(self.values[list(chosen)], torch.maximum) >= threshold * (1 - SLACK)
        places = {index: place for place, index in enumerate(chosen)}
        for index, _, values in self._pieces(chosen, cells):
            found[places[index]] = (values >= threshold).sum()
        return found

    def _scale(self) -> int:
        """Pixels of the original image in a step of the grid, where it is read cell by cell: on the
        CPU (a GPU would be waited for), and where a part of a mask is interpolated to the same
        numbers as the whole one; else 0."""
        steps = self.values.shape[-2:]
        scale = self.padded_size[0] // steps[0]
        is_regular = all(scale * n == side for n, side in zip(steps, self.padded_size))
        is_even = not any(n % CELL for n in steps)
        is_exact = scale & (scale - 1) == 0  # coordinates are whole multiples of a power of 2
        whole = self.size == self.original_size and self.values.device.type == 'cpu'
        return scale if whole and is_regular and is_even and is_exact else 0

    def _can_win(
        self, weights: Tensor, chosen: Sequence[int], region: Optional[Tensor]
    ) -> Optional[Tensor]:
        """Cells in which a mask can be the strongest one, (m, h / CELL, w / CELL), bool."""
        scale = self._scale()
        if not scale:
            return None
        values = weights[list(chosen), None, None] * self.values[list(chosen)]
        most, least = extremes(values, torch.maximum), extremes(values, torch.minimum)
        possible = most * (1 + SLACK) >= least.amax(0)
        if region is not None:
            side = CELL * scale
            missing = [-n % side for n in region.shape]
            padded = F.pad(region.float(), (0, missing[1], 0, missing[0]))
            cells = F.max_pool2d(padded[None], side)[0] > 0
            possible[:, : cells.shape[0], : cells.shape[1]] &= cells
        return possible

    def _pieces(
        self, chosen: Sequence[int], cells: Optional[Tensor]
    ) -> Iterator[Tuple[int, Box, Tensor]]:
        """The part of each mask around its cells, or all of it: index, place, probabilities."""
        if cells is None:
            for index in chosen:
                yield index, (slice(None), slice(None)), self.read(index)
            return
        top, bottom = _ends(cells.any(2))
        left, right = _ends(cells.any(1))
        for index, *box in zip(chosen, top, bottom, left, right):
            if box[0] < box[1]:
                place, values = self._read_cells(index, *box)
                if values.numel():
                    yield index, place, values

    def _read_cells(
        self, index: int, top: int, bottom: int, left: int, right: int
    ) -> Tuple[Box, Tensor]:
        """Probabilities of a mask in the cells of a box, where they belong to the image."""
        scale = self._scale()
        boxes, cut, sizes = [], [], []
        for begin, end, steps, side in zip(
            (top, left), (bottom, right), self.values.shape[-2:], self.size
        ):
            first, last = max(CELL * begin - 1, 0), min(CELL * end + 1, steps)
            pixels = slice(scale * CELL * begin, min(scale * CELL * end, side))
            cut.append(slice(first, last))
            sizes.append(scale * (last - first))
            boxes.append((pixels, slice(pixels.start - scale * first, pixels.stop - scale * first)))
        values = resize(self.values[index][cut[0], cut[1]], (sizes[0], sizes[1]))
        (rows, inner_rows), (columns, inner_columns) = boxes
        return (rows, columns), values[inner_rows, inner_columns]


def extremes(values: Tensor, extreme: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Largest (or smallest) value that is read in each cell: of its own steps and of the next ones
    around it.

    Args:
        values: (m, h, w), h and w multiples of `CELL` = 2.
        extreme: `torch.maximum` or `torch.minimum`; pooling of torch takes six times as long.

    Returns:
        (m, h / 2, w / 2).
    """
    for _ in range(2):  # along the rows, then along the columns
        first, second = values[:, 0::2], values[:, 1::2]
        found = extreme(first, second)
        found[:, 1:] = extreme(found[:, 1:], second[:, :-1])
        found[:, :-1] = extreme(found[:, :-1], first[:, 1:])
        values = found.transpose(1, 2).contiguous()
    return values


def _ends(occupied: Tensor) -> Tuple[list, list]:
    """First and one past the last True of each row of (m, n); equal where there is none."""
    numbers = torch.arange(occupied.shape[1], device=occupied.device)
    last = torch.where(occupied, numbers + 1, 0).amax(1)
    first = torch.where(occupied, numbers, occupied.shape[1]).amin(1)
    return torch.minimum(first, last).tolist(), last.tolist()


def resize(values: Tensor, size: Tuple[int, int]) -> Tensor:
    """(h, w) → (*size), bilinear."""
    return F.interpolate(values[None, None], size, mode='bilinear', align_corners=False)[0, 0]
