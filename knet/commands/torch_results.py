"""Results that PolyphonicFormer's published test writes, a torch file for each frame."""

import re
from pathlib import Path
from typing import Dict, Optional, Tuple

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


def list_torch_results(folder: Path) -> Dict[Tuple[int, int], Path]:
    """The files of frames in a folder, by sequence and frame, in order.

    Raises:
        InputError: a frame has two files.
    """
    found: Dict[Tuple[int, int], Path] = {}
    for path in sorted(folder.glob('*.pth')):
        match = FRAME_FILE.fullmatch(path.name)
        if match:
            key = int(match[1]), int(match[2])
            if key in found:
                raise InputError(
                    f'{folder} holds two files of a frame, {found[key].name}, {path.name}'
                )
            found[key] = path
    return found


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
    for (sequence, frame), path in tqdm(
        list_torch_results(folder).items(), 'reading', unit='frame', disable=None
    ):
        panseg, depth = read_maps(path)
        classes, ids = np.divmod(panseg.astype(np.int64), DIVISOR)
        semantic = label_space.model_to_train[np.minimum(classes, label_space.void)]
        is_thing = np.isin(semantic, label_space.thing_ids)
        name = f'{sequence}/{frame_name(sequence, frame)}.png'
        write_panoptic(out / 'panoptic' / name, semantic, np.where(is_thing, ids, 0))
        write_depth(out / 'depth' / name, depth)


def read_maps(path: Path) -> Tuple[np.ndarray, np.ndarray]:
    """`panseg`, integers, and `depth`, float, of a file; both (H, W).

    Raises:
        InputError: see `convert_torch_results`.
    """
    content = read_checkpoint(str(path))
    maps = []
    for key, kinds, what in (('panseg', 'iu', 'integers'), ('depth', 'f', 'numbers with a point')):
        value = content.get(key) if isinstance(content, dict) else None
        if isinstance(value, Tensor):
            value = _as_array(value)
        if not isinstance(value, np.ndarray) or value.ndim != 2 or not value.size:
            raise InputError(f'{path} holds no map {key!r}; expected panseg and depth, (H, W)')
        if value.dtype.kind not in kinds:
            raise InputError(f'{path}: {key} is of type {value.dtype}, expected {what}')
        maps.append(value)
    panseg, depth = maps
    if panseg.shape != depth.shape:
        raise InputError(f'{path}: panseg is {panseg.shape}, depth {depth.shape} (height, width)')
    if panseg.min() < 0 or not np.isfinite(depth).all():
        raise InputError(f'{path}: panseg is negative, or depth not finite somewhere')
    return panseg, depth


def _as_array(tensor: Tensor) -> Optional[np.ndarray]:
    """Values of a tensor; None where it has none, as on a device that is only thought of."""
    try:
        tensor = tensor.detach()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except (TypeError, RuntimeError, NotImplementedError):
        return None
