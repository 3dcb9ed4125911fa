"""Pictures and videos of predictions that are on disk."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
from tqdm import tqdm

from knet.errors import InputError
from knet.label_space import LabelSpace
from knet.step_format import frame_name, read_panoptic, read_png, scan_split
from knet.visualization.video import SequenceRenderer


class FrameToDraw(NamedTuple):
    """A frame and its files; `truth` is None in a split without ground truth."""
    sequence: int
    frame: int
    image: Path
    prediction: Path
    truth: Optional[Path]


def render_predictions(result_path: Union[str, Path], split_folder: Union[str, Path], out_dir: Union[str, Path],
                       label_space: LabelSpace, sequences: Optional[Sequence[int]] = None, fps: int = 10,
                       progress: bool = True) -> List[Path]:
    """Draw predictions over their images: coloured maps of each frame and a video of each sequence.

    What is written is described at `SequenceRenderer`. All files are looked for before the first one is drawn.

    Args:
        result_path: Folder that holds panoptic/<sequence>/<sequence:06d>_<frame:06d>.png in STEP encoding.
        split_folder: The images, and the ground truth where there is one, in STEP layout.
        out_dir: Folder of the pictures.
        label_space: Classes and palette.
        sequences: Which sequences to draw; by default all that have predictions.
        fps: Frames per second of the videos.
        progress: Whether to show a progress bar.

    Returns:
        The paths written: of each frame class colours and tracks, of each sequence its video after its frames.

    Raises:
        InputError: predictions or images are missing, unreadable, or of different sizes.
    """
    frames = _pair(Path(result_path) / 'panoptic', Path(split_folder), sequences)
    written: List[Path] = []
    with SequenceRenderer(out_dir, label_space, fps) as renderer:
        for i, files in enumerate(tqdm(frames, 'drawing', unit='frame', disable=not progress)):
            renderer.add(files.sequence, files.frame, *_read(files))
            written.extend(renderer.map_paths(files.sequence, files.frame))
            if i + 1 == len(frames) or frames[i + 1].sequence != files.sequence:
                written.append(renderer.video_path(files.sequence))
    return written


def _pair(panoptic: Path, split_folder: Path, sequences: Optional[Sequence[int]]) -> List[FrameToDraw]:
    """The frames to draw, rising; each image of a sequence has its prediction and the other way round."""
    images = {sequence: {frame: kinds for frame, kinds in frames.items() if 'leftImg8bit' in kinds}
              for sequence, frames in scan_split(split_folder).items()}
    if not any(images.values()):
        raise InputError(f'{split_folder} holds no images like 000002_000000_leftImg8bit.png; name the folder of a split, '
                         'for example <data root>/video_sequence/val')
    predicted = _predicted_sequences(panoptic)
    frames: List[FrameToDraw] = []
    for sequence in sorted(predicted if sequences is None else set(sequences)):
        if sequence not in predicted:
            raise InputError(f'sequence {sequence}: {panoptic} holds no predictions of it, only of {sorted(predicted)}')
        names = {path.stem: path for path in predicted[sequence].glob('*.png')}
        for frame, kinds in images.get(sequence, {}).items():
            prediction = names.pop(frame_name(sequence, frame), None)
            if prediction is None:
                raise InputError(f'sequence {sequence}, frame {frame}: there is no prediction in {predicted[sequence]}')
            frames.append(FrameToDraw(sequence, frame, kinds['leftImg8bit'], prediction, kinds.get('panoptic')))
        if names:
            raise InputError(f'sequence {sequence}: {names[min(names)]} has no image in {split_folder}')
    if not frames:
        raise InputError(f'nothing to draw: {panoptic} and {split_folder} have no frame in common')
    return frames


def _predicted_sequences(panoptic: Path) -> Dict[int, Path]:
    """Sequence → folder of its predictions."""
    folders = panoptic.iterdir() if panoptic.is_dir() else ()
    predicted = {int(folder.name): folder for folder in folders if folder.name.isdecimal() and folder.is_dir()}
    if not predicted:
        raise InputError(f'{panoptic} holds no predictions; expected one folder per sequence with files like 000002_000000.png')
    return predicted


def _read(files: FrameToDraw) -> Tuple:
    """Image (H, W, 3) uint8 RGB, prediction and ground truth, two (H, W) maps each, as `SequenceRenderer.add` takes them."""
    image = read_png(files.image, cv2.IMREAD_COLOR)[..., ::-1]
    prediction = read_panoptic(files.prediction)
    truth = read_panoptic(files.truth) if files.truth else (None, None)
    for path, maps in ((files.prediction, prediction), (files.truth, truth)):
        if maps[0] is not None and maps[0].shape != image.shape[:2]:
            raise InputError(f'sequence {files.sequence}, frame {files.frame}: {path} is of size {maps[0].shape}, the image {image.shape[:2]}')
    return (image, *prediction, *truth)
