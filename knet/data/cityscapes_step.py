"""Cityscapes-STEP: the images of Cityscapes with the classes of STEP, for the pretraining of K-Net."""
import re
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mmdet.datasets.builder import DATASETS
from mmdet.datasets.pipelines import Compose
from torch.utils.data import Dataset

from knet.errors import InputError
from knet.label_space import STEP
from knet.step_format import cityscapes_instance_ids, read_png

FILE_NAME = re.compile(r'([a-z-]+_\d{6}_(\d{6}))_leftImg8bit\.png')


class ImageRecord(NamedTuple):
    """An image on disk; fields as in `knet.data.step.FrameRecord`.

    Attributes:
        sequence: <city>_<sequence>_<frame>: each image is a sequence of its own.
        frame: Number of the frame.
        image: Path of the image.
        panoptic: Path of the map of train ids, None where there is no ground truth (test splits).
        instances: Path of the map of instances, likewise.
    """
    sequence: str
    frame: int
    image: Path
    panoptic: Optional[Path]
    instances: Optional[Path]

    @property
    def folder(self) -> str:
        """Folder of what is written about the image: its city."""
        return self.image.parent.name

    @property
    def name(self) -> str:
        """Name of what is written about the image."""
        return self.sequence


def read_truth(record: ImageRecord) -> Tuple[np.ndarray, np.ndarray]:
    """Ground truth of an image.

    Returns:
        train ids, shape (H, W), uint8, 255 = void, and instance ids, see `cityscapes_instance_ids`, both of shape (H, W).

    Raises:
        InputError: a map is missing, damaged or of another type or size than the other.
    """
    semantic, instances = read_png(record.panoptic), read_png(record.instances)
    if semantic.dtype != np.uint8 or semantic.ndim != 2:
        raise InputError(f'{record.panoptic} is {semantic.dtype} of shape {semantic.shape}, not an 8-bit map of train ids')
    if instances.dtype.kind != 'u' or instances.shape != semantic.shape:
        raise InputError(f'{record.instances} is {instances.dtype} of shape {instances.shape}, not a map of the size {semantic.shape}')
    return semantic, cityscapes_instance_ids(semantic, instances)


@DATASETS.register_module()
class CityscapesSTEPDataset(Dataset):
    """Images in `<data_root>/leftImg8bit/<split>/<city>` with maps in `<data_root>/gtFine/<split>/<city>`.

    The maps are those of cityscapesScripts: `..._gtFine_labelTrainIds.png` (train ids, 255 = void) and
    `..._gtFine_instanceTrainIds.png` (train id * 1000 + instance where an object is marked, else below 1000).

    Args:
        data_root: Folder that holds `leftImg8bit` and `gtFine`.
        split: Name of the split.
        pipeline: Transforms of `knet.data.transforms`; they get a list of one frame.
        test_mode: Give images without their ground truth, which need not exist.

    Raises:
        InputError: the split's folder is missing or empty, or an image has no maps (training).
    """
    CLASSES = STEP.classes
    PALETTE = STEP.palette
    label_space = STEP
    holds_videos = False
    read_truth = staticmethod(read_truth)

    def __init__(self, data_root: str, split: str, pipeline: Sequence[Dict], test_mode: bool = False):
        self.split_folder = Path(data_root) / 'leftImg8bit' / split
        self.truth_folder = Path(data_root) / 'gtFine' / split
        self.test_mode = test_mode
        self.records = [self._record(path) for path in sorted(self.split_folder.glob('*/*_leftImg8bit.png'))]
        if not self.records:
            raise InputError(f'{self.split_folder} holds no images; expected files like <city>/aachen_000000_000019_leftImg8bit.png '
                             '(see DATASET.md)')
        self.pipeline = Compose(list(pipeline))

    def _record(self, path: Path) -> ImageRecord:
        match = FILE_NAME.fullmatch(path.name)
        if not match:
            raise InputError(f'{path}: the name is not <city>_<sequence>_<frame>_leftImg8bit.png')
        maps = [self.truth_folder / path.parent.name / f'{match[1]}_gtFine_{kind}TrainIds.png' for kind in ('label', 'instance')]
        missing = [truth for truth in maps if not truth.exists()]
        if missing and not self.test_mode:
            raise InputError(f'{path} has no map {missing[0]}; cityscapesScripts makes it (see DATASET.md)')
        return ImageRecord(match[1], int(match[2]), path, *((None, None) if missing else maps))

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Dict:
        """Image number `index` after the pipeline."""
        return self.pipeline([dict(record=self.records[index], label_space=self.label_space,
                                   read_truth=None if self.test_mode else self.read_truth)])
