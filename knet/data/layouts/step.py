"""STEP layout: KITTI-STEP, Waymo, the toy set (files: `knet.step_format`)."""

from pathlib import Path
from typing import List, Tuple

import numpy as np

from knet.data.base import FrameRecord, Layout
from knet.label_space import LabelSpace
from knet.step_format import frame_name, read_panoptic, scan_split


class StepLayout(Layout):
    """Videos in `<root>/video_sequence/<split>`."""

    image_example = '000002_000000_leftImg8bit.png'
    truth_hint = 'expected {}_panoptic.png beside it'

    def is_root(self, root: Path) -> bool:
        return (root / 'video_sequence').is_dir()

    def splits(self, root: Path) -> List[str]:
        parent = root / 'video_sequence'
        return [f.name for f in parent.iterdir() if f.is_dir()] if parent.is_dir() else []

    def folder(self, root: Path, split: str) -> Path:
        return root / 'video_sequence' / split

    def scan(self, root: Path, split: str) -> List[FrameRecord]:
        return self.scan_folder(self.folder(root, split))

    def scan_folder(self, folder: Path) -> List[FrameRecord]:
        """Frames in a folder, see `scan`."""
        return [
            FrameRecord(
                sequence=sequence,
                frame=frame,
                folder=str(sequence),
                name=frame_name(sequence, frame),
                image=files.get('leftImg8bit'),
                truth=(files['panoptic'],) if 'panoptic' in files else (),
                depth=files.get('depth'),
            )
            for sequence, frames in scan_split(folder).items()
            for frame, files in frames.items()
        ]

    def read_truth(
        self, record: FrameRecord, label_space: LabelSpace
    ) -> Tuple[np.ndarray, np.ndarray]:
        return read_panoptic(record.truth[0])
