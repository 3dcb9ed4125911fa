"""Layout of Cityscapes, with the maps of cityscapesScripts."""

from pathlib import Path
from typing import List, Tuple

import numpy as np

from knet.data.base import FrameRecord, Layout
from knet.errors import InputError
from knet.files import is_leftover
from knet.label_space import LabelSpace
from knet.step_format import read_png

PARTS = ('leftImg8bit', 'gtFine')
IMAGE_ENDING = '_leftImg8bit.png'
TRUTH_ENDINGS = ('_gtFine_labelTrainIds.png', '_gtFine_instanceTrainIds.png')


class CityscapesLayout(Layout):
    """Images in `<root>/leftImg8bit/<split>/<city>`, maps in `<root>/gtFine/<split>/<city>`.

    The maps are `..._gtFine_labelTrainIds.png` (train ids, 255 = void) and
    `..._gtFine_instanceTrainIds.png` (train id * 1000 + instance where an object is marked, else
    below 1000). Each image is a sequence of its own.
    """

    image_example = '<city>/aachen_000000_000019_leftImg8bit.png'
    truth_hint = 'cityscapesScripts makes *_labelTrainIds.png and *_instanceTrainIds.png'

    def is_root(self, root: Path) -> bool:
        return any((root / part).is_dir() for part in PARTS)

    def splits(self, root: Path) -> List[str]:
        return _folders([root / part for part in PARTS])

    def groups(self, root: Path, split: str) -> List[str]:
        return _folders([root / part / split for part in PARTS])

    def folder(self, root: Path, split: str) -> Path:
        return root / 'leftImg8bit' / split

    def scan(self, root: Path, split: str) -> List[FrameRecord]:
        images, maps = self.folder(root, split), root / 'gtFine' / split
        found = [(images, IMAGE_ENDING), *((maps, ending) for ending in TRUTH_ENDINGS)]
        for path in images.glob('*/*_leftImg8bit.*'):
            if not path.name.endswith(IMAGE_ENDING) and not is_leftover(path.name):
                raise InputError(f'{path}: expected a name like {self.image_example}; rename it')
        names = {
            (path.parent.name, path.name[: -len(ending)])
            for folder, ending in found
            for path in folder.glob(f'*/*{ending}')
            if not is_leftover(path.name) and not is_leftover(path.parent.name)
        }
        return [self._record(images, maps, city, name) for city, name in sorted(names)]

    @staticmethod
    def _record(images: Path, maps: Path, city: str, name: str) -> FrameRecord:
        number = name.rsplit('_', 1)[-1]
        if not number.isdecimal():
            raise InputError(
                f'{images / city / name}: the name is not <city>_<sequence>_<frame>{IMAGE_ENDING}'
            )
        image = images / city / (name + IMAGE_ENDING)
        truth = tuple(maps / city / (name + ending) for ending in TRUTH_ENDINGS)
        return FrameRecord(
            sequence=name,
            frame=int(number),
            folder=city,
            name=name,
            image=image if image.exists() else None,
            truth=truth if all(path.exists() for path in truth) else (),
        )

    def read_truth(
        self, record: FrameRecord, label_space: LabelSpace
    ) -> Tuple[np.ndarray, np.ndarray]:
        semantic, marked = read_png(record.truth[0]), read_png(record.truth[1])
        if semantic.dtype != np.uint8 or semantic.ndim != 2:
            raise InputError(
                f'{record.truth[0]} is {semantic.dtype} of shape {semantic.shape}, not an 8-bit '
                'map '
                'of train ids'
            )
        if marked.dtype.kind != 'u' or marked.shape != semantic.shape:
            raise InputError(
                f'{record.truth[1]} is {marked.dtype} of shape {marked.shape}, not a map of the '
                f'size {semantic.shape}'
            )
        if (np.where(marked >= 1000, marked // 1000, marked) != semantic).any():
            raise InputError(
                f'{record.truth[1]} names other classes than {record.truth[0]}; make both again'
            )
        return semantic, instance_ids(semantic, marked, label_space)


def _folders(parents: List[Path]) -> List[str]:
    """Names of the folders in any of the parents."""
    names = [f.name for p in parents if p.is_dir() for f in p.iterdir() if f.is_dir()]
    return sorted({name for name in names if not is_leftover(name)})


def instance_ids(semantic: np.ndarray, marked: np.ndarray, label_space: LabelSpace) -> np.ndarray:
    """Instance ids, (H, W), 0 = a group of things, or stuff.

    Riders, trucks and so on are marked one by one in Cityscapes, but are stuff in STEP.

    Args:
        semantic: Train ids, (H, W).
        marked: (H, W): train id * 1000 + object where one is marked, else below 1000.
        label_space: Which classes are things.
    """
    is_object = (marked >= 1000) & np.isin(semantic, label_space.thing_ids)
    return np.where(is_object, marked % 1000 + 1, 0)
