"""What the metrics count: the classes, which of them form tubes, and what void means. One record
per published protocol."""

import dataclasses
import json
import operator
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple, Union

import numpy as np

from knet.errors import InputError
from knet.label_space import CITYSCAPES, SEMKITTI, STEP, WAYMO, LabelSpace


@dataclass(frozen=True)
class Protocol:
    """The rules of an evaluation.

    Args:
        name: What `--protocol` calls it.
        label_space: The classes, the thing classes (thing and stuff means of VPQ) and the void and
            ignored ids.
        tube_ids: Classes whose instances STQ follows over time.
        drop_void: STQ leaves out pixels whose ground truth is void. Otherwise predicted things on
            void enlarge their tubes.
        absent_as_zero: VPQ is a mean over all classes, absent ones counting 0. Otherwise a mean
            over those that occur.
    """

    name: str
    label_space: LabelSpace
    tube_ids: Tuple[int, ...]
    drop_void: bool = False
    absent_as_zero: bool = False

    def __post_init__(self) -> None:
        allowed = set(range(self.label_space.num_classes)) - {self.label_space.ignored}
        if not set(self.tube_ids) <= allowed:
            raise ValueError(f'tube ids must be classes that are not ignored, got {self.tube_ids}')

    @property
    def void_class(self) -> int:
        """Index that void is counted under: the ignored class where there is one, else one past the
        classes."""
        space = self.label_space
        return space.num_classes if space.ignored is None else space.ignored

    @property
    def size(self) -> int:
        """Side of the confusion matrix: all classes, and void where it is not one of them."""
        return max(self.label_space.num_classes, self.void_class + 1)

    def class_table(self) -> np.ndarray:
        """Look-up table, shape (256,), int64: class id on disk → index 0..size-1, or -1 where the
        id is not allowed.

        The void id and the index of void itself (19 in the STEP label space: "unassigned") are
        void.
        """
        table = np.full(256, -1, np.int64)
        table[: self.label_space.num_classes] = np.arange(self.label_space.num_classes)
        table[[self.label_space.void, self.void_class]] = self.void_class
        return table

    def member_table(self, ids: Tuple[int, ...]) -> np.ndarray:
        """Look-up table, shape (size,), bool: index → whether it is one of `ids`."""
        table = np.zeros(self.size, bool)
        table[list(ids)] = True
        return table

    def describe(self) -> Union[str, Dict[str, Any]]:
        """What `get_protocol` makes the same protocol of: the name of a published one, else all
        fields, as values that JSON holds."""
        if PROTOCOLS.get(self.name) == self:
            return self.name
        return json.loads(json.dumps(dataclasses.asdict(self)))  # lists for tuples


PROTOCOLS: Dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol('step', STEP, tube_ids=STEP.thing_ids),
        Protocol(
            'video-knet', STEP, tube_ids=tuple(range(11, 19)), drop_void=True, absent_as_zero=True
        ),
        Protocol('waymo', WAYMO, tube_ids=WAYMO.thing_ids),
        *(
            Protocol(f'{name}-dvps', space, tube_ids=space.thing_ids, absent_as_zero=True)
            for name, space in (('cityscapes', CITYSCAPES), ('semkitti', SEMKITTI))
        ),
    )
}
"""step: the benchmark's own rules (STEP, arXiv 2102.11859). video-knet: what the published tables
of Video K-Net were made with.
cityscapes-dvps, semkitti-dvps: depth-aware video panoptic segmentation (ViP-DeepLab, arXiv
    2012.05258; PolyphonicFormer): means over all 19 classes.
waymo: the 29 native classes of the Waymo panoramic panoptic labels (arXiv 2206.07704), class 0
    ignored."""


def get_protocol(protocol: Union[str, Protocol, Mapping[str, Any]]) -> Protocol:
    """A protocol by its name or description (`Protocol.describe`), or the given one.

    Raises:
        InputError: there is no protocol of this name, or the description is none.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if isinstance(protocol, Mapping):
        return _read_description(protocol)
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        raise InputError(f'unknown protocol {protocol!r}; choose one of {", ".join(PROTOCOLS)}')
    return PROTOCOLS[protocol]


def _read_description(fields: Mapping[str, Any]) -> Protocol:
    try:
        space = dict(fields['label_space'])
        space.update(
            classes=tuple(map(str, space['classes'])),
            thing_ids=tuple(map(int, space['thing_ids'])),
            palette=tuple(tuple(map(int, colour)) for colour in space['palette']),
        )
        tubes = tuple(map(operator.index, fields['tube_ids']))
        protocol = Protocol(**dict(fields, label_space=LabelSpace(**space), tube_ids=tubes))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'this describes no protocol ({error!r}): {dict(fields)}') from None
    if not isinstance(protocol.name, str):
        raise InputError(f'the name of a protocol is a text, got {protocol.name!r}')
    return protocol
