"""What crosses the rooms of the project: frames, their ground truth, the result of a frame, the
state of a video.

Plain dataclasses, without data sets, networks or metrics in them. Lists that belong together are
the fields of one `Rows` and are indexed together.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

T = TypeVar('T')
R = TypeVar('R', bound='Rows')

VOID = 255
"""Value of pixels without a class, in semantic maps and in index maps."""


class Rows:
    """Base of dataclasses whose fields are parallel: row i of each describes the same thing."""

    def __len__(self) -> int:
        return len(getattr(self, dataclasses.fields(self)[0].name))  # type: ignore[arg-type]

    def __getitem__(self: R, index: Any) -> R:
        """The rows of a slice, a mask or an array of indices."""
        if isinstance(index, Tensor) and index.dtype == torch.bool:
            index = index.nonzero()[:, 0]  # once, since a GPU is waited for here
        return type(self)(*(_rows(values, index) for values in self._columns()))

    def _columns(self) -> Tuple[Any, ...]:
        return tuple(getattr(self, f.name) for f in dataclasses.fields(self))  # type: ignore[arg-type]

    @classmethod
    def join(cls: Type[R], parts: Sequence[R]) -> R:
        """All rows of several tables of tensors and lists, in order; at least one table."""
        columns = zip(*(part._columns() for part in parts))
        return cls(*(sum(c, []) if isinstance(c[0], list) else torch.cat(c) for c in columns))


def _rows(values: Any, index: Any) -> Any:
    if not isinstance(values, list):
        return values[index]
    chosen = torch.arange(len(values))[index.cpu() if isinstance(index, Tensor) else index]
    return [values[i] for i in chosen.tolist()]


@dataclass
class Objects(Rows):
    """The things of a frame.

    Attributes:
        masks: (n, H, W), bool.
        labels: (n,), long, model class, 0..T-1.
        ids: (n,), long; the same in all frames of a sequence, and unique there also over classes.
    """

    masks: Tensor
    labels: Tensor
    ids: Tensor


@dataclass
class FrameTargets:
    """Ground truth of a frame.

    Attributes:
        objects: Its things.
        semantic: (H, W), uint8, model classes, `VOID` = unlabelled.
        depth: (H, W), float32, metres, 0 = no label; None where none was asked for.
    """

    objects: Objects
    semantic: Tensor
    depth: Optional[Tensor] = None


@dataclass
class Frame:
    """A frame as the networks take it.

    Attributes:
        image: (3, H, W), float32, normalized, padded to the right and below.
        size: (height, width) of the image without the padding.
        original_size: (height, width) of the image before it was resized; results have this size.
        targets: Ground truth on the grid of `image`; in training only.
        name: Where the frame comes from, for messages.
        flipped: Whether the image was turned left to right.
    """

    image: Tensor
    size: Tuple[int, int]
    original_size: Tuple[int, int]
    targets: Optional[FrameTargets] = None
    name: str = ''
    flipped: bool = False


@dataclass
class FrameBatch:
    """Frames that go through a network together.

    Attributes:
        images: (B, 3, H, W).
        targets: Of each frame, on the grid of `images`; empty in testing.
        names: Of each frame, for messages.
    """

    images: Tensor
    targets: List[FrameTargets] = field(default_factory=list)
    names: List[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def pin_memory(self) -> FrameBatch:
        """The batch in pinned memory; called by torch's data loader."""
        return map_tensors(lambda tensor: tensor.pin_memory(), self)

    @classmethod
    def of(cls, frames: Sequence[Frame], size: Optional[Tuple[int, int]] = None) -> FrameBatch:
        """Stack frames, padded to a common size: with 0, without objects and with `VOID`.

        Args:
            frames: Frames with targets, or frames without.
            size: (height, width); by default that of the largest height and width.
        """
        height, width = size or largest_size(frames)

        def pad(values: Tensor, value: int = 0) -> Tensor:
            missing = (0, width - values.shape[-1], 0, height - values.shape[-2])
            return F.pad(values, missing, value=value) if any(missing) else values

        targets = []
        for frame in frames:
            if frame.targets is not None:
                objects = dataclasses.replace(
                    frame.targets.objects, masks=pad(frame.targets.objects.masks)
                )
                depth = frame.targets.depth
                targets.append(
                    FrameTargets(
                        objects,
                        pad(frame.targets.semantic, VOID),
                        None if depth is None else pad(depth),
                    )
                )
        images = torch.stack([pad(frame.image) for frame in frames])
        return cls(images, targets, [frame.name for frame in frames])


def largest_size(frames: Sequence[Frame]) -> Tuple[int, int]:
    """The (height, width) that all frames, padded, fit in."""
    height, width = (max(frame.image.shape[axis] for frame in frames) for axis in (1, 2))
    return height, width


@dataclass
class SegmentRows(Rows):
    """The segments of a result.

    Attributes:
        labels: (n,), int64, class as in `FrameResult.semantic`.
        scores: (n,), float32, 0..1.
        areas: (n,), int64, pixels.
        ids: (n,), int64, instance or track id as in `FrameResult.instance`, 0 = stuff or no id.
    """

    labels: np.ndarray
    scores: np.ndarray
    areas: np.ndarray
    ids: np.ndarray


@dataclass
class FrameResult:
    """Panoptic segmentation of a frame, in the size of its original image.

    Attributes:
        semantic: (H, W), uint8, class ids of the data set (train ids).
        instance: (H, W), int32, instance ids, of videos track ids from 1 on; 0 = stuff, or a thing
            without a track.
        segments: What the maps are made of.
        segment_map: (H, W), int32: 0 = no segment (`semantic` has the most likely stuff there), k =
            row k - 1 of `segments`; it tells things without a track apart.
        outputs: By name, what branches beside classes and masks say: of each segment, (n, ...), or
            of each pixel, as `depth` does: (H, W), float32, metres.
    """

    semantic: np.ndarray
    instance: np.ndarray
    segments: SegmentRows
    segment_map: np.ndarray
    outputs: Dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class TrackRows(Rows):
    """Objects that a tracker remembers, tracks first, then background objects.

    Attributes:
        ids: (m,), long, track id from 0 on; -1 = background object.
        labels: (m,), long, class.
        embeds: (m, D).
        last_seen: (m,), long, the frame it was seen in last, see `TrackerState`.
        centres: (m, 2), x and y of its box then, pixels.
        velocities: (m, 2), pixels per frame between the last two frames it was seen in.
        masks: m lists of pixels: where it was then, each (area, 2), long, x and y; empty where
            overlap does not count.
    """

    ids: Tensor
    labels: Tensor
    embeds: Tensor
    last_seen: Tensor
    centres: Tensor
    velocities: Tensor
    masks: List[Tensor]


@dataclass
class TrackerState:
    """What a tracker knows of a video.

    Attributes:
        frame: Number of frames so far. Gaps in the numbers of files do not count.
        num_tracks: Number of track ids given away.
        memory: Objects of the last frames; None before the first frame.
    """

    frame: int = 0
    num_tracks: int = 0
    memory: Optional[TrackRows] = None


@dataclass
class VideoState:
    """Everything that a model knows of a video; it belongs to the caller and is never changed, only
    replaced.

    Attributes:
        kernels: (1, N', C), the last stage's kernels of the frame before; None at the start.
        tracks: What the tracker knows.
    """

    kernels: Optional[Tensor] = None
    tracks: TrackerState = field(default_factory=TrackerState)


def map_tensors(function: Callable[[Tensor], Tensor], value: T) -> T:
    """Apply a function to all tensors in dataclasses, tuples, lists and dicts; other values stay as
    they are."""
    result: Any = value
    if isinstance(value, Tensor):
        result = function(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = {
            f.name: map_tensors(function, getattr(value, f.name)) for f in dataclasses.fields(value)
        }
        result = type(value)(**items)
    elif isinstance(value, dict):
        result = {key: map_tensors(function, item) for key, item in value.items()}
    elif isinstance(value, tuple) and hasattr(value, '_fields'):
        result = type(value)(*(map_tensors(function, item) for item in value))
    elif isinstance(value, (list, tuple)):
        result = type(value)(map_tensors(function, item) for item in value)
    return result


def to_device(value: T, device: Any) -> T:
    """Bring all tensors in dataclasses, tuples, lists and dicts to a device."""
    # towards the CPU, values could be read before they are there
    ahead = torch.device(device).type != 'cpu'
    return map_tensors(lambda tensor: tensor.to(device, non_blocking=ahead), value)
