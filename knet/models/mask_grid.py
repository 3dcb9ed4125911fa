"""Masks on the coarse grid of the network, read where they are asked for on the grid of the image.

A frame has a hundred candidates of half a million pixels each, but most of them can win nowhere,
and the others only near the few cells where they are strong. Interpolation stays between the
values that it interpolates, so the extremes of a cell's neighbourhood tell that beforehand; the
result is the same as that of all pixels of all candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from knet.models.kernels.mask_ops import upsample

SLACK = 1e-4
"""Share by which a bound may be passed by rounding."""
LEAST_READ = 128
"""Side of the smallest part of a mask that is read, pixels: torch interpolates in another way to
outputs whose sides add up to that or less, and the last bits differ."""
Box = Tuple[slice, slice]


@dataclass
class MaskGrid:
    """Masks of the padded network input.

    They are read by the published steps: logits are upsampled as in training; their probabilities
    are resized to the padded input, cropped to the image, and resized to the original image, all
    bilinear. A step of the grid and the pixels that it lies in the middle of are a cell.

    Attributes:
        logits: (M, h, w).
        upsample_stride: Factor by which logits are upsampled.
        padded_size: (height, width) of the network input.
        size: (height, width) of the image in it.
        original_size: (H, W) of the image before it was resized.
    """

    logits: Tensor
    upsample_stride: int
    padded_size: Tuple[int, int]
    size: Tuple[int, int]
    original_size: Tuple[int, int]

    def __post_init__(self) -> None:
        self.scale = self._find_scale()
        """Side of a cell in pixels of the original image where masks are read cell by cell, else
        0."""
        self._values: Dict[int, Tensor] = {}

    def values(self, index: int) -> Tensor:
        """Probabilities of a mask on the upsampled grid, (h * stride, w * stride)."""
        if index not in self._values:
            logits = self.logits[None, index : index + 1]
            self._values[index] = upsample(logits, self.upsample_stride)[0, 0].sigmoid()
        return self._values[index]

    def read(self, index: int) -> Tensor:
        """Probabilities of a mask, (H, W)."""
        values = resize(self.values(index), self.padded_size)[: self.size[0], : self.size[1]]
        return values if self.size == self.original_size else resize(values, self.original_size)

    def lay(self, index: int, region: Tensor, onto: Tensor) -> None:
        """Write the probabilities of a mask over those of a map, in place.

        Args:
            index: Which mask.
            region: (H, W), bool, the pixels to write.
            onto: (H, W).
        """
        cells = self._cells_of(region) if self.scale else None
        for box, values in self.pieces(index, cells):
            onto[box] = torch.where(region[box], values, onto[box])

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
        ids = torch.as_tensor(chosen, dtype=torch.long, device=self.logits.device)
        best = self.logits.new_full(self.original_size, -1)
        owner = torch.zeros(self.original_size, dtype=torch.long, device=best.device)
        race = Race(self, weights, ids.tolist(), best, owner)
        if not self.scale:
            race.run(None)
            return ids[owner]
        logits, weights = self.logits[ids], weights[ids, None, None]
        asked = None if region is None else self._cells_of(region)
        # 1. each mask around the cells in whose middle it is the strongest one
        winner = (logits.sigmoid() * weights).max(0).indices
        is_winner = (winner == torch.arange(len(ids))[:, None, None]).to(torch.uint8)
        needed = extremes(is_winner, torch.maximum).bool()
        needed = needed if asked is None else needed & asked
        race.run(needed)
        # 2. each mask where it can be stronger than the weakest pixel of a cell is by now
        most = extremes(logits, torch.maximum).sigmoid() * weights
        needed = (most * (1 + SLACK) >= self._cell_minima(best)) & ~needed
        race.run(needed if asked is None else needed & asked)
        return ids[owner]

    def areas(self, chosen: Sequence[int], threshold: float) -> Tensor:
        """Pixels with a probability of at least a threshold, (len(chosen),), int64."""
        found = torch.zeros(len(chosen), dtype=torch.long, device=self.logits.device)
        cells = None
        if self.scale and len(chosen):
            most = extremes(self.logits[list(chosen)], torch.maximum).sigmoid()
            cells = most >= threshold * (1 - SLACK)
        for row, index in enumerate(chosen):
            for _, values in self.pieces(index, None if cells is None else cells[row]):
                found[row] += (values >= threshold).sum()
        return found

    def _find_scale(self) -> int:
        """See `scale`: on the CPU (a GPU would be waited for), and where a part of a mask is
        interpolated to the same numbers as the whole one."""
        steps = self.logits.shape[-2:]
        scale = self.padded_size[0] // steps[0]
        is_regular = all(scale * n == side for n, side in zip(steps, self.padded_size))
        # coordinates are whole multiples of a power of 2
        is_exact = not any(n & (n - 1) for n in (scale, self.upsample_stride))
        whole = self.size == self.original_size and self.logits.device.type == 'cpu'
        return scale if whole and is_regular and is_exact else 0

    def _cells_of(self, region: Tensor) -> Tensor:
        """Cells with pixels of a region, (h, w), bool."""
        return self._pad(region.float(), 0).amax((1, 3)) > 0

    def _cell_minima(self, values: Tensor) -> Tensor:
        """Least value of the pixels of each cell, (h, w); infinite where there is no image."""
        return self._pad(values, float('inf')).amin((1, 3))

    def _pad(self, values: Tensor, fill: float) -> Tensor:
        """(H, W) → (h, scale, w, scale), with a value for the pixels of the padding."""
        scale, (height, width) = self.scale, self.logits.shape[-2:]
        missing = scale * width - values.shape[1], scale * height - values.shape[0]
        padded = F.pad(values, (0, missing[0], 0, missing[1]), value=fill)
        return padded.view(height, scale, width, scale)

    def pieces(self, index: int, cells: Optional[Tensor]) -> Iterator[Tuple[Box, Tensor]]:
        """Parts of a mask that do not overlap: rows and columns of pixels, and probabilities there.

        Args:
            index: Of the mask.
            cells: That are needed, (h, w), bool; those that are read too become True. None: all.
        """
        if cells is None:
            yield (slice(None), slice(None)), self.read(index)
            return
        height, width = (-(-side // self.scale) for side in self.size)  # without the padding
        needed = cells[:height, :width].numpy()
        for box in boxes_of(needed):
            needed[box] = True
            yield self._read_cells(index, box)

    def _read_cells(self, index: int, box: Box) -> Tuple[Box, Tensor]:
        """Rows and columns of pixels in a box of cells, and the probabilities of a mask there."""
        scale, stride = self.scale, self.upsample_stride
        values, size, outer, inner = self.values(index), [], [], []
        for dim, (part, side) in enumerate(zip(box, self.size)):
            steps = self.logits.shape[dim + 1]
            # a cell reads its neighbours too
            first, last = max(part.start - 1, 0), min(part.stop + 1, steps)
            first = max(0, min(first, steps - LEAST_READ // scale))
            last = min(steps, max(last, first + LEAST_READ // scale))
            values = values.narrow(dim, stride * first, stride * (last - first))
            size.append(scale * (last - first))
            pixels = slice(scale * part.start, min(scale * part.stop, side))
            outer.append(pixels)
            inner.append(slice(pixels.start - scale * first, pixels.stop - scale * first))
        found = resize(values, (size[0], size[1]))
        return (outer[0], outer[1]), found[inner[0], inner[1]]


def boxes_of(cells: np.ndarray) -> List[Box]:
    """Boxes that hold all of `cells`, (h, w), bool: one, or if they lie in pieces far apart, one
    for each of these. Boxes do not overlap."""
    rows, columns = cells.any(1).nonzero()[0], cells.any(0).nonzero()[0]
    if not len(rows):
        return []
    whole = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    if 2 * cells.sum() > area_of(whole):
        return [whole]
    pieces = ndimage.find_objects(ndimage.label(cells, np.ones((3, 3)))[0])
    covered = np.zeros(cells.shape, np.uint8)
    for piece in pieces:
        covered[piece] += 1
    is_split = covered.max() == 1 and 2 * sum(map(area_of, pieces)) < area_of(whole)
    return pieces if is_split else [whole]


def area_of(box: Box) -> int:
    """Cells in a box."""
    return (box[0].stop - box[0].start) * (box[1].stop - box[1].start)


@dataclass
class Race:
    """The search for the strongest mask of each pixel.

    Attributes:
        grid: The masks.
        weights: (M,), of all masks.
        chosen: Which masks run.
        best: (H, W), the largest weight * probability so far; changed in place.
        owner: (H, W), int64, whose that is, as a place in `chosen`; changed in place.
    """

    grid: MaskGrid
    weights: Tensor
    chosen: Sequence[int]
    best: Tensor
    owner: Tensor

    def run(self, cells: Optional[Tensor]) -> None:
        """Let the masks run in some cells.

        Args:
            cells: Of each mask, (m, h, w), bool; others that they run in too become True. None:
                everywhere.
        """
        for place, index in enumerate(self.chosen):
            needed = None if cells is None else cells[place]
            for box, values in self.grid.pieces(index, needed):
                values = self.weights[index] * values
                best, owner = self.best[box], self.owner[box]
                better = (values > best) | ((values == best) & (owner > place))
                owner.masked_fill_(better, place)
                torch.maximum(best, values, out=best)


def extremes(values: Tensor, extreme: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Largest (or smallest) value around each step of a grid, itself and its eight neighbours:
    between them is what is read in its cell.

    Args:
        values: (m, h, w).
        extreme: `torch.maximum` or `torch.minimum`; pooling of torch takes six times as long.

    Returns:
        (m, h, w).
    """
    for dim in (1, 2):
        size = values.shape[dim] - 1
        found = values.clone()
        for begin in (0, 1):  # from the step before, and from the one behind
            part, other = found.narrow(dim, 1 - begin, size), values.narrow(dim, begin, size)
            extreme(part, other, out=part)  # type: ignore[call-arg]
        values = found
    return values


def resize(values: Tensor, size: Tuple[int, int]) -> Tensor:
    """(h, w) → (*size), bilinear."""
    return F.interpolate(values[None, None], size, mode='bilinear', align_corners=False)[0, 0]
