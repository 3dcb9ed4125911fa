"""Videos in STEP layout: KITTI-STEP, Waymo, the toy set."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from mmdet.datasets.builder import DATASETS
from mmdet.datasets.pipelines import Compose
from torch.utils.data import Dataset

from knet.errors import InputError
from knet.label_space import STEP
from knet.step_format import frame_name, read_panoptic, scan_split


class FrameRecord(NamedTuple):
    """A frame on disk.

    Attributes:
        sequence, frame: Numbers of the sequence and of the frame in it.
        image: Path of the image.
        panoptic: Path of the ground truth, None where there is none (test splits).
    """
    sequence: int
    frame: int
    image: Path
    panoptic: Optional[Path]

    @property
    def folder(self) -> str:
        """Folder of what is written about the frame."""
        return str(self.sequence)

    @property
    def name(self) -> str:
        """Name of what is written about the frame."""
        return frame_name(self.sequence, self.frame)


def read_truth(record: FrameRecord) -> Tuple[np.ndarray, np.ndarray]:
    """Train ids and instance ids of a frame, see `knet.step_format.read_panoptic`."""
    return read_panoptic(record.panoptic)


@DATASETS.register_module()
class STEPDataset(Dataset):
    """Frames, or pairs of frames, of the videos in `<data_root>/video_sequence/<split>`.

    In training an item is a pair: the key frame and a reference frame of the same sequence, drawn anew at each access
    from the offsets that exist there. No key frame is lost at a sequence's ends; a frame that has no other one at any
    of the offsets is its own reference. In testing an item is a frame, in the order of sequences and frames.

    Args:
        data_root: Folder that holds `video_sequence`.
        split: Name of the split.
        pipeline: Transforms of `knet.data.transforms`; they work on a list of frames, the key frame first.
        ref_offsets: Offsets of the reference frame in frames.
        test_mode: Give single frames without ground truth.

    Raises:
        InputError: the split's folder is missing or empty, or an image has no map (training).
    """
    CLASSES = STEP.classes
    PALETTE = STEP.palette
    label_space = STEP
    holds_videos = True
    read_truth = staticmethod(read_truth)

    def __init__(self, data_root: str, split: str, pipeline: Sequence[Dict], ref_offsets: Sequence[int] = (-2, -1, 1, 2),
                 test_mode: bool = False):
        self.split_folder = Path(data_root) / 'video_sequence' / split
        self.ref_offsets = tuple(ref_offsets)
        self.test_mode = test_mode
        self.records = self._scan()
        self._index = {(record.sequence, record.frame): i for i, record in enumerate(self.records)}
        self.pipeline = Compose(list(pipeline))

    def _scan(self) -> List[FrameRecord]:
        records = []
        for sequence, frames in scan_split(self.split_folder).items():
            for frame, files in frames.items():
                if 'leftImg8bit' not in files:
                    raise InputError(f'{self.split_folder}: sequence {sequence}, frame {frame} has no image '
                                     f'{frame_name(sequence, frame)}_leftImg8bit.png')
                if 'panoptic' not in files and not self.test_mode:
                    raise InputError(f'{self.split_folder}: sequence {sequence}, frame {frame} has an image but no map '
                                     f'{frame_name(sequence, frame)}_panoptic.png')
                records.append(FrameRecord(sequence, frame, files['leftImg8bit'], files.get('panoptic')))
        if not records:
            raise InputError(f'{self.split_folder} holds no frames; expected files like 000002_000000_leftImg8bit.png (see DATASET.md)')
        return records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Dict:
        """Key frame (and reference frame) number `index` after the pipeline."""
        indices = [index] if self.test_mode else [index, self.draw_reference(index)]
        return self.pipeline([self._frame(self.records[i]) for i in indices])

    def draw_reference(self, index: int) -> int:
        """Index of a random reference frame for the key frame `index`."""
        key = self.records[index]
        candidates = [self._index[position] for position in ((key.sequence, key.frame + offset) for offset in self.ref_offsets)
                      if position in self._index]
        return int(np.random.choice(candidates)) if candidates else index

    def _frame(self, record: FrameRecord) -> Dict:
        return dict(record=record, label_space=self.label_space, read_truth=None if self.test_mode else self.read_truth)
