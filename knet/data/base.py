"""What a data set is: frames in sequences, with image, truth and label space.

Training and testing read data through `SegmentationDataset`, `tools/misc/check_dataset.py` through
the same layouts and checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from torch.utils.data import Dataset

from knet.data.transforms import LoadedFrame, Transform
from knet.errors import InputError, check_whole
from knet.label_space import LabelSpace
from knet.step_format import MAX_INSTANCE_ID, read_depth, read_png
from knet.structures import Frame

WINDOW_SIZES = (1, 2, 3, 4)
"""Frames per window of VPQ, where a set has no others."""


@dataclass(frozen=True)
class Draw:
    """An access to a data set whose random choices are known.

    Attributes:
        index: Of the item.
        seed: Of the stream that its random choices are drawn from.
    """

    index: int
    seed: Tuple[int, ...]


@dataclass(frozen=True)
class FrameRecord:
    """A frame on disk.

    Attributes:
        sequence: Number or name of the sequence; a single image is a sequence of its own.
        frame: Number of the frame in it.
        folder, name: Of what is written about the frame.
        image: Path of the image, None where it is missing.
        truth: Paths of the ground truth, empty where there is none.
        depth: Path of the depth, see `knet.step_format.read_depth`; None where there is none.
    """

    sequence: Union[int, str]
    frame: int
    folder: str
    name: str
    image: Optional[Path]
    truth: Tuple[Path, ...] = ()
    depth: Optional[Path] = None

    def __str__(self) -> str:
        return f'sequence {self.sequence}, frame {self.frame}'


class Layout:
    """How files of a data set lie on disk, and how their ground truth is encoded."""

    image_example: str
    """Name of an image of the layout, for messages."""
    truth_hint: str
    """What a frame without ground truth lacks, for messages; {} stands for the frame's name."""

    def splits(self, root: Path) -> List[str]:
        """Splits that lie below a data root; empty where it has another layout."""
        raise NotImplementedError

    def is_root(self, root: Path) -> bool:
        """Whether a folder looks like a data root of this layout, even without splits."""
        raise NotImplementedError

    def groups(self, root: Path, split: str) -> List[str]:
        """Folders of a split that must hold frames, where the layout has some."""
        return []

    def folder(self, root: Path, split: str) -> Path:
        """Folder of the images of a split."""
        raise NotImplementedError

    def scan(self, root: Path, split: str) -> List[FrameRecord]:
        """Frames of a split in the order of sequences and frames, also those that lack a file.

        Raises:
            InputError: the folder does not exist, or its names contradict each other.
        """
        raise NotImplementedError

    def read_truth(
        self, record: FrameRecord, label_space: LabelSpace
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Train ids, (H, W), uint8, 255 = void, and instance ids, (H, W), int, 0 = crowd or stuff.

        Raises:
            InputError: a file is missing, damaged or of another type.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class DatasetInfo:
    """One record of the catalogue.

    Attributes:
        name: What configs call the set.
        label_space: Its classes.
        layout: How its files lie on disk.
        root: Where it is looked for by default.
        protocol: By which rules it is evaluated, a name of `knet.evaluation.protocol`; None: the
            rules of STEP for the classes of `label_space`.
        fps: Frames per second, of the videos that are drawn.
        window_sizes: Frames per window of VPQ.
    """

    name: str
    label_space: LabelSpace
    layout: Layout
    root: str
    protocol: Optional[str] = None
    fps: int = 10
    window_sizes: Tuple[int, ...] = WINDOW_SIZES


class SegmentationDataset(Dataset):
    """Frames of a split. An item is a list of frames: the key frame, then its reference frames.

    A reference frame is of the same sequence, drawn anew at each access from the offsets that exist
    there, counted in frames that are there (a sequence may be numbered 0, 5, 10, ...). No key frame
    is lost at a sequence's ends; a frame that has no other one at any of the offsets is its own
    reference.

    Args:
        info: Record of the catalogue.
        split: Name of the split.
        transform: Makes frames ready for a network (`knet.data.transforms`).
        root: Data root; by default that of the record.
        num_references: Reference frames of an item, 0 or 1.
        ref_offsets: Offsets of the reference frame.
        with_truth: Whether items have ground truth (training).
        with_depth: Whether the ground truth of items has depth.
        repeat: How often an epoch goes through the frames.

    Raises:
        InputError: the split is missing or empty, a frame lacks a file that is needed, or an
            argument has another type or range.
    """

    def __init__(
        self,
        info: DatasetInfo,
        split: str,
        transform: Transform,
        root: Optional[Union[str, Path]] = None,
        num_references: int = 0,
        ref_offsets: Sequence[int] = (-2, -1, 1, 2),
        with_truth: bool = False,
        with_depth: bool = False,
        repeat: int = 1,
    ):
        check_integers(ref_offsets=ref_offsets)
        check_whole('repeat', repeat)
        if not isinstance(split, str):
            raise InputError(f'split must be the name of a folder, got {split!r}')
        if not isinstance(with_depth, bool):
            raise InputError(f'with_depth must be True or False, got {with_depth!r}')
        if root is not None and not isinstance(root, (str, Path)):
            raise InputError(f'root must be the path of a folder, got {root!r}')
        self.info = info
        self.transform = transform
        self.num_references = num_references
        self.ref_offsets = tuple(ref_offsets)
        self.with_truth = with_truth
        self.with_depth = with_depth
        self.repeat = repeat
        root = Path(root or info.root)
        self.folder = info.layout.folder(root, split)
        if not self.folder.is_dir():
            splits = info.layout.splits(root) if root.is_dir() else []
            raise InputError(
                f'{self.folder} does not exist; {root} (data.root) holds the splits '
                f'{", ".join(splits) or "(none)"}; prepare the set (DATASET.md), or set data.root '
                'and split in the config'
            )
        self.records = info.layout.scan(root, split)
        self._check_files()

    @property
    def label_space(self) -> LabelSpace:
        """The classes."""
        return self.info.label_space

    def _check_files(self) -> None:
        layout = self.info.layout
        if not self.records:
            raise InputError(
                f'{self.folder} holds no images; expected files like {layout.image_example} '
                '(see DATASET.md)'
            )
        for record in self.records:
            if record.image is None:
                raise InputError(
                    f'{self.folder}: {record} has a map but no image; expected one '
                    f'like {layout.image_example}'
                )
            if self.with_truth and not record.truth:
                raise InputError(
                    f'{self.folder}: {record} has an image but no map; '
                    f'{layout.truth_hint.replace("{}", record.name)}'
                )
            if self.with_depth and record.depth is None:
                raise InputError(
                    f'{self.folder}: {record} has no depth, which this config trains; expected '
                    f'{record.name}_depth.png'
                )

    def __len__(self) -> int:
        return len(self.records) * self.repeat

    def __getitem__(self, item: Union[int, Draw]) -> List[Frame]:
        """Key frame, and reference frame, after the transforms.

        A plain index draws from numpy's common stream.
        """
        index = (item.index if isinstance(item, Draw) else item) % len(self.records)
        rng = np.random.default_rng(item.seed) if isinstance(item, Draw) else _common_stream()
        indices = [index, *(self.draw_reference(index, rng) for _ in range(self.num_references))]
        return self.transform([self.load(self.records[i]) for i in indices], rng)

    def draw_reference(self, index: int, rng: Optional[np.random.Generator] = None) -> int:
        """Index of a random reference frame for the key frame `index`."""
        rng = rng or _common_stream()
        candidates = [
            index + offset
            for offset in self.ref_offsets
            if 0 <= index + offset < len(self.records)
            and self.records[index + offset].sequence == self.records[index].sequence
        ]
        return int(rng.choice(candidates)) if candidates else index

    def load(self, record: FrameRecord) -> LoadedFrame:
        """Read a frame.

        Raises:
            InputError: a file is missing or damaged, image and map differ in size, or the map holds
                a class that the label space does not have.
        """
        image = read_image(record)
        frame = LoadedFrame(
            image,
            name=str(record.image),
            original_size=image.shape[:2],
        )
        if self.with_truth:
            semantic, instance = self.read_truth(record)
            check_size(semantic, image.shape[:2], record)
            check_classes(semantic, self.label_space, record)
            frame.semantic = cv2.LUT(semantic, self.label_space.train_to_model)
            if instance.min() < 0 or instance.max() > MAX_INSTANCE_ID:
                raise InputError(
                    f'{record.truth[-1]} holds instance ids outside 0..{MAX_INSTANCE_ID}; {record}'
                )
            frame.instance = instance.astype(np.uint16)
        if self.with_depth:
            frame.depth = self.read_depth(record)
            check_depth(frame.depth, image.shape[:2], record)
        return frame

    def read_truth(self, record: FrameRecord) -> Tuple[np.ndarray, np.ndarray]:
        """Ground truth of a frame, see `Layout.read_truth`."""
        return self.info.layout.read_truth(record, self.label_space)

    def read_depth(self, record: FrameRecord) -> np.ndarray:
        """Depth of a frame, (H, W), float32, metres, 0 = no label."""
        return read_depth(record.depth)


def _common_stream() -> np.random.Generator:
    """A stream that follows from numpy's common one."""
    return np.random.default_rng(np.random.randint(2**31, size=4))


def check_integers(**lists: Any) -> None:
    """Raise InputError unless each argument is a list of whole numbers that is not empty."""
    for name, values in lists.items():
        is_list = isinstance(values, (tuple, list)) and len(values)
        if not is_list or not all(isinstance(value, int) for value in values):
            raise InputError(f'{name} must be a list of whole numbers, got {values!r}')


def read_image(record: FrameRecord) -> np.ndarray:
    """Image of a frame, (H, W, 3), uint8 BGR.

    Raises:
        InputError: it is missing, damaged or no 8-bit colour image.
    """
    image = read_png(record.image, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f'{record.image} is {image.dtype} of shape {image.shape}, not an 8-bit colour image'
        )
    return image


def check_size(semantic: np.ndarray, size: Tuple[int, ...], record: FrameRecord) -> None:
    """Raise InputError where a map has another (height, width) than its image."""
    if semantic.shape != size:
        raise InputError(
            f'{record.truth[0]} has the size {semantic.shape}, its image {size} (height, width); '
            f'{record}'
        )


def check_depth(depth: np.ndarray, size: Tuple[int, ...], record: FrameRecord) -> None:
    """Raise InputError where depth has another (height, width) than its image."""
    if depth.shape != size:
        raise InputError(
            f'{record.depth} has the size {depth.shape}, its image {size} (height, width); {record}'
        )


def check_classes(semantic: np.ndarray, label_space: LabelSpace, record: FrameRecord) -> None:
    """Raise InputError where a map of train ids holds a class the label space does not have."""
    if semantic.dtype != np.uint8:
        raise InputError(f'{record.truth[0]}: train ids of type {semantic.dtype}, not uint8')
    unknown = np.ones(256, np.uint8)
    unknown[: label_space.num_classes] = unknown[label_space.void] = 0
    found = cv2.LUT(semantic, unknown)
    if found.any():
        raise InputError(
            f'{record.truth[0]}: class id {semantic[found > 0].min()} is outside '
            f'0..{label_space.num_classes - 1} and {label_space.void} (void); {record}; is it a '
            'map of the set that data.name names?'
        )
