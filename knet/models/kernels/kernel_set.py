"""Which kernels a model has; said once and handed to all of its parts."""

from dataclasses import dataclass

from knet.errors import check_whole


@dataclass(frozen=True)
class KernelSet:
    """N thing kernels come first, each for any thing; then S stuff kernels, each for a class.

    Attributes:
        num_proposals: N.
        num_thing_classes: T; model classes 0..T-1.
        num_stuff_classes: S; model classes T..T+S-1.
        channels: C, of kernels and feature maps.
    """

    num_proposals: int
    num_thing_classes: int
    num_stuff_classes: int
    channels: int

    def __post_init__(self):
        check_whole('num_proposals', self.num_proposals)
        check_whole('channels', self.channels)

    @property
    def num_classes(self) -> int:
        """T + S, also the label of a kernel without an object."""
        return self.num_thing_classes + self.num_stuff_classes
