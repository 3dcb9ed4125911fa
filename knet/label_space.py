"""Label spaces: which classes a dataset has, which of them are things, and how models number them.

Two numberings exist. *Train ids* are the dataset's own (on disk, in predictions, in the metrics).
*Model ids* put the things first: model class 0..T-1 are the thing classes in rising order of train
id, T..T+S-1 the stuff classes likewise.
"""

import operator
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Iterable, Optional, Tuple, TypeVar

import numpy as np

T = TypeVar('T')


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a dataset.

    Args:
        classes: Name of each train id 0..C-1.
        thing_ids: Train ids of the thing classes, in rising order.
        palette: RGB colour of each class, uint8 values.
        void: Value of unlabelled pixels, in train ids and in model ids alike.
        ignored: A class that says as little as void, where a dataset has one; it is neither thing
            nor stuff and has no model id.

    Lists are taken for tuples.

    Raises:
        ValueError: the arguments do not fit together.
    """

    classes: Tuple[str, ...]
    thing_ids: Tuple[int, ...]
    palette: Tuple[Tuple[int, int, int], ...] = field(repr=False)
    void: int = 255
    ignored: Optional[int] = None

    def __post_init__(self):
        for name, convert in (
            ('classes', str),
            ('thing_ids', operator.index),
            ('palette', _as_colour),
        ):
            object.__setattr__(self, name, _as_tuple(name, getattr(self, name), convert))
        names = self.classes
        if not 0 < len(names) < 256 or len(set(names)) < len(names):  # ids and void are bytes
            raise ValueError(f'classes must be 1 to 255 different names, got {names}')
        if len(self.palette) != len(names):
            raise ValueError(
                f'palette must have a colour for each class: {len(names)} classes, '
                f'{len(self.palette)} colours'
            )
        allowed = set(range(self.num_classes)) - {self.ignored}
        if (
            tuple(sorted(set(self.thing_ids))) != tuple(self.thing_ids)
            or not set(self.thing_ids) <= allowed
        ):
            raise ValueError(
                f'thing ids must rise, lie in 0..{self.num_classes - 1} and not be ignored, got '
                f'{self.thing_ids}'
            )

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def stuff_ids(self) -> Tuple[int, ...]:
        """Train ids of the stuff classes, rising."""
        return tuple(
            i for i in range(self.num_classes) if i not in self.thing_ids and i != self.ignored
        )

    @property
    def model_to_train(self) -> np.ndarray:
        """Look-up table, shape (256,), uint8: model id → train id; everything else → void."""
        table = np.full(256, self.void, np.uint8)
        ids = self.thing_ids + self.stuff_ids
        table[: len(ids)] = ids
        return table

    @property
    def train_to_model(self) -> np.ndarray:
        """Look-up table, shape (256,), uint8: train id → model id; everything else → void."""
        table = np.full(256, self.void, np.uint8)
        ids = self.thing_ids + self.stuff_ids
        table[list(ids)] = np.arange(len(ids))
        return table

    @property
    def colours(self) -> np.ndarray:
        """Look-up table, shape (256, 3), uint8 RGB: train id → colour; void and unused ids are
        black."""
        table = np.zeros((256, 3), np.uint8)
        table[: self.num_classes] = self.palette
        return table


def _as_tuple(name: str, values: Any, convert: Callable[[Any], T]) -> Tuple[T, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f'{name} must be a tuple, got {values!r} (one of a single entry: (3,))')
    try:
        return tuple(convert(value) for value in values)
    except TypeError as error:
        raise ValueError(f'{name} cannot be {values!r}: {error}') from None


def _as_colour(values: Any) -> Tuple[int, int, int]:
    colour = tuple(map(operator.index, values))
    if len(colour) != 3 or min(colour) < 0 or max(colour) > 255:
        raise ValueError(f'a colour of the palette is (R, G, B) of 0..255, got {values!r}')
    return colour


STEP = LabelSpace(
    classes=(
        'road',
        'sidewalk',
        'building',
        'wall',
        'fence',
        'pole',
        'traffic light',
        'traffic sign',
        'vegetation',
        'terrain',
        'sky',
        'person',
        'rider',
        'car',
        'truck',
        'bus',
        'train',
        'motorcycle',
        'bicycle',
    ),
    thing_ids=(11, 13),
    palette=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)
"""KITTI-STEP, Cityscapes-STEP, Waymo in STEP layout and the toy set: the 19 Cityscapes train ids,
people and cars are things."""

CITYSCAPES = replace(STEP, thing_ids=(11, 12, 13, 14, 15, 16, 17, 18))
"""Cityscapes-DVPS: the same classes, of which all people and vehicles are things."""

SEMKITTI = LabelSpace(
    classes=(
        'car',
        'bicycle',
        'motorcycle',
        'truck',
        'other-vehicle',
        'person',
        'bicyclist',
        'motorcyclist',
        'road',
        'parking',
        'sidewalk',
        'other-ground',
        'building',
        'fence',
        'vegetation',
        'trunk',
        'terrain',
        'pole',
        'traffic-sign',
    ),
    thing_ids=(0, 1, 2, 3, 4, 5, 6, 7),
    palette=(
        (0, 0, 142),
        (119, 11, 32),
        (0, 0, 230),
        (0, 0, 70),
        (0, 60, 100),
        (220, 20, 60),
        (255, 0, 0),
        (180, 0, 0),
        (128, 64, 128),
        (250, 170, 160),
        (244, 35, 232),
        (81, 0, 81),
        (70, 70, 70),
        (190, 153, 153),
        (107, 142, 35),
        (135, 60, 0),
        (152, 251, 152),
        (153, 153, 153),
        (220, 220, 0),
    ),
)
"""SemKITTI-DVPS: the 19 classes of SemanticKITTI."""

WAYMO = LabelSpace(
    classes=(
        'unknown',
        'ego vehicle',
        'car',
        'truck',
        'bus',
        'other large vehicle',
        'bicycle',
        'motorcycle',
        'trailer',
        'person',
        'cyclist',
        'motorcyclist',
        'bird',
        'ground animal',
        'construction cone',
        'pole',
        'other pedestrian object',
        'sign',
        'traffic light',
        'building',
        'road',
        'lane marker',
        'road marker',
        'sidewalk',
        'vegetation',
        'sky',
        'ground',
        'dynamic',
        'static',
    ),
    thing_ids=(2, 3, 4, 5, 8, 9, 10, 11),
    palette=(
        (0, 0, 0),
        (102, 102, 102),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (61, 133, 198),
        (119, 11, 32),
        (0, 0, 230),
        (111, 168, 220),
        (220, 20, 60),
        (255, 0, 0),
        (180, 0, 0),
        (127, 96, 0),
        (91, 15, 0),
        (230, 145, 56),
        (153, 153, 153),
        (234, 153, 153),
        (246, 178, 107),
        (250, 170, 30),
        (70, 70, 70),
        (128, 64, 128),
        (234, 209, 220),
        (217, 210, 233),
        (244, 35, 232),
        (107, 142, 35),
        (70, 130, 180),
        (102, 102, 0),
        (102, 0, 204),
        (204, 204, 204),
    ),
    ignored=0,
)
"""The 29 native classes of the Waymo Open Dataset's panoptic labels; class 0 is ignored."""
