"""Results that PolyphonicFormer's published test writes, a torch file for each frame."""

import re
from pathlib import Path
from typing import Dict, List, Union

import numpy as np
from torch import Tensor
from tqdm import tqdm

from knet.errors import InputError
from knet.label_space import LabelSpace
from knet.models.checkpoint import read_checkpoint
from knet.step_format import frame_name, write_depth, write_panoptic

FRAME_FILE = re.compile(r'(\d{6,})_(\d{6,})\.pth')
DIVISOR = 10000
"""`panseg` is model class * DIVISOR + track id."""


def list_torch_results(folder: Path) -> List[Path]:
    """The files of frames in a folder, in order."""
    return sorted(path for path in folder.glob('*.pth') if FRAME_FILE.fullmatch(path.name))


def convert_torch_results(folder: Path, out: Path, label_space: LabelSpace) -> None:
    """Write the maps of a folder of results as `knet.evaluation.folders` reads them.

    Args:
        folder: With a file `{sequence:06d}_{frame:06d}.pth` of each frame: `panseg`, (H, W),
            integer, model class * 10000 + track id (0 of stuff), classes from T + S on are void;
            `depth`, (H, W), float, metres.
        out: Gets `panoptic/` and `depth/`.
        label_space: Classes; model classes are things first.

    Raises:
        InputError: a file cannot be read, asks for more than is harmless, or holds something else.
    """
    for path in tqdm(list_torch_results(folder), 'reading', unit='frame', disable=None):
        match = FRAME_FILE.fullmatch(path.name)
        assert match
        sequence, frame = int(match[1]), int(match[2])
        maps = _read(path)
        classes, ids = np.divmod(maps['panseg'].astype(np.int64), DIVISOR)
        if classes.min() < 0:
            raise InputError(f'{path}: panseg holds negative numbers')
        semantic = label_space.model_to_train[np.minimum(classes, label_space.void)]
        is_thing = np.isin(semantic, label_space.thing_ids)
        name = f'{sequence}/{frame_name(sequence, frame)}.png'
        write_panoptic(out / 'panoptic' / name, semantic, np.where(is_thing, ids, 0))
        write_depth(out / 'depth' / name, maps['depth'])


def _read(path: Path) -> Dict[str, np.ndarray]:
    """`panseg` and `depth` of a file."""
    content = read_checkpoint(str(path))
    maps: Dict[str, np.ndarray] = {}
    for key, kinds in (('panseg', 'iu'), ('depth', 'f')):
        value: Union[None, Tensor, np.ndarray] = (
            content.get(key) if isinstance(content, dict) else None
        )
        array = value.numpy() if isinstance(value, Tensor) else value
        if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds or array.ndim != 2:
            raise InputError(f'{path} holds no map {key!r}; expected panseg and depth, (H, W)')
        maps[key] = array
    if maps['panseg'].shape != maps['depth'].shape or not np.isfinite(maps['depth']).all():
        raise InputError(f'{path}: panseg and depth have different sizes, or depth is no number')
    return maps
