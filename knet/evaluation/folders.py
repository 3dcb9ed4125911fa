"""Reading of result and ground-truth folders: frames are paired by sequence and frame number.

    ground truth        <gt_path>/video_sequence/<split>/<name>_panoptic.png,     STEP encoding
                        or <gt_path>/<name>_panoptic.png
    its depth           the same with _depth.png                                  16 bit
    prediction          <result_path>/panoptic/<sequence>/<name>.png              STEP encoding
                        or <name>_cat.png and <name>_ins.png                      16 bit
    predicted depth     <result_path>/depth/<sequence>/<name>.png                 16 bit
    coverage, tracked   <folder>/<sequence>/<name>.png                            8 bit

where <name> is {sequence:06d}_{frame:06d}. For the STEP encoding see `knet.step_format`; depth is
in metres * 256. What is evaluated comes from the ground truth. Every error names the sequence and
the frame.
"""

import os
import re
from pathlib import Path
from typing import Collection, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np

from knet.errors import InputError
from knet.evaluation.evaluator import FrameMaps
from knet.evaluation.protocol import Protocol, get_protocol
from knet.files import RESULT_MARK, read_mark
from knet.step_format import frame_name, read_png, scan_split

PathLike = Union[str, Path]
Key = Tuple[int, int]
FRAME_FILE = re.compile(r'(\d{6,})_(\d{6,})(|_cat|_ins)\.png')


class FrameFiles(NamedTuple):
    """The files of a frame; paths are strings, because a set has many of them and a `Path` takes
    four times the memory.

    pred: One file in STEP encoding, or the class map and the instance map.
    image: Beside the ground truth, where there is one.
    """

    sequence: int
    frame: int
    gt: str
    pred: Tuple[str, ...]
    coverage: Optional[str] = None
    tracked: Optional[str] = None
    gt_depth: Optional[str] = None
    pred_depth: Optional[str] = None
    image: Optional[str] = None


def pair_folders(
    result_path: PathLike,
    gt_path: PathLike,
    split: str = 'val',
    depth: bool = False,
    coverage: Optional[PathLike] = None,
    tracked: Optional[PathLike] = None,
    sequences: Sequence[int] = (),
) -> List[FrameFiles]:
    """List the frames of the ground truth with the files that belong to them, sequences and frames
    rising.

    Args:
        result_path: Folder that holds `panoptic/` (and `depth/`), or the `panoptic` folder itself.
        gt_path: Data root that holds `video_sequence/<split>`, or the split's folder itself.
        split: Which split of a data root.
        depth: Whether to look for depth maps.
        coverage: Folder of the camera coverage maps.
        tracked: Folder of the masks of tracked pixels.
        sequences: List these only, wherever there are others; none: all.

    Raises:
        InputError: a folder does not exist or holds no frames, or is of a test that did not finish;
            a frame's file is missing, twice there, or without ground truth.
    """
    split_folder = find_split(gt_path, split)
    ground_truth, images = {}, {}
    for sequence, frames in scan_split(split_folder).items():
        for frame, kinds in frames.items():
            if 'panoptic' not in kinds:
                continue
            ground_truth[sequence, frame] = str(kinds['panoptic'])
            if 'leftImg8bit' in kinds:
                images[sequence, frame] = str(kinds['leftImg8bit'])
            if depth and 'depth' not in kinds:
                path = split_folder / f'{frame_name(sequence, frame)}_depth.png'
                raise InputError(
                    f'{_where((sequence, frame))}: {path} is missing; the depth-aware metrics '
                    'need it'
                )
    if not ground_truth:
        raise InputError(
            f'{split_folder} holds no ground truth; expected video_sequence/{split} in it, or '
            'files like 000002_000000_panoptic.png'
        )
    if sequences:
        there = {sequence for sequence, _ in ground_truth}
        check_sequences(sequences, there, split_folder)
        ground_truth = {key: path for key, path in ground_truth.items() if key[0] in sequences}
    home, panoptic = find_home(result_path), find_panoptic(result_path)
    read_mark(home)
    found = {
        key: files for key, files in _scan(panoptic).items() if not sequences or key[0] in sequences
    }
    _check_frames(found, ground_truth, panoptic, 'prediction')
    predictions = _join_pairs(found)
    depths = _pair_maps(home / 'depth', ground_truth, 'predicted depth') if depth else {}
    coverages = _pair_maps(Path(coverage), ground_truth, 'coverage map') if coverage else {}
    masks = _pair_maps(Path(tracked), ground_truth, 'tracked mask') if tracked else {}
    return [
        FrameFiles(
            *key,
            path,
            predictions[key],
            coverages.get(key),
            masks.get(key),
            str(split_folder / f'{frame_name(*key)}_depth.png') if depth else None,
            depths.get(key),
            images.get(key),
        )
        for key, path in ground_truth.items()
    ]


def check_sequences(asked: Collection[int], there: Collection[int], folder: PathLike) -> None:
    """Raise an InputError unless all sequences that were asked for are there."""
    missing = sorted(set(asked) - set(there))
    if missing:
        known = ', '.join(map(str, sorted(set(there))))
        raise InputError(f'{folder} has no sequence {missing[0]}; it has {known}')


def find_split(gt_path: PathLike, split: str) -> Path:
    """The split's folder: `<gt_path>/video_sequence/<split>` where it exists, else `gt_path`.

    Raises:
        InputError: there is neither.
    """
    root = Path(gt_path)
    if (root / 'video_sequence').is_dir():
        folder = root / 'video_sequence' / split
        if not folder.is_dir():
            splits = sorted(entry.name for entry in folder.parent.iterdir() if entry.is_dir())
            raise InputError(
                f'{folder} does not exist; {folder.parent} holds the splits '
                f'{", ".join(splits) or "(none)"}'
            )
        return folder
    if not root.is_dir():
        raise InputError(
            f'{root} is not a folder; expected a data root with video_sequence/{split}, or the '
            'split itself'
        )
    return root


def find_panoptic(result_path: PathLike) -> Path:
    """`<result_path>/panoptic`, or `result_path` itself where it holds folders of sequences.

    Raises:
        InputError: there is neither.
    """
    root = Path(result_path)
    if (root / 'panoptic').is_dir():
        return root / 'panoptic'
    if root.is_dir() and any(entry.name.isdecimal() for entry in root.iterdir() if entry.is_dir()):
        return root.resolve()
    if not root.is_dir():
        what = 'is a file' if root.exists() else 'does not exist'
        raise InputError(f'{root} {what}; expected the folder that tools/test.py wrote')
    there = root / 'results'
    hint = f'; did you mean {there}?' if (there / 'panoptic').is_dir() else ''
    if (root / 'video_sequence').is_dir() or next(root.glob('*_panoptic.png'), None):
        hint = '; that is ground truth, are RESULT and GT swapped?'
    raise InputError(
        f'{root} holds no predictions; expected files like panoptic/2/000002_000000.png in it{hint}'
    )


def find_home(result_path: PathLike) -> Path:
    """The folder of all that belongs to predictions: the one that holds `panoptic`; for folders
    of sequences that lie elsewhere, their own.

    Raises:
        InputError: there are no predictions.
    """
    panoptic = find_panoptic(result_path)
    return panoptic.parent if panoptic.name == 'panoptic' else panoptic


def find_protocol(
    result_path: PathLike,
    protocol: Optional[Union[str, Protocol]] = None,
    default: Union[str, Protocol] = 'step',
) -> Protocol:
    """The rules for predictions: the given ones, else those that `tools/test.py` noted beside
    them (classes of one's own travel this way), else the default.

    Raises:
        InputError: there is no such protocol, or it is for other classes than those noted, or the
            test that wrote the predictions did not end.
    """
    home = find_home(result_path)
    noted = read_mark(home).get('protocol')
    try:
        own = None if noted is None else get_protocol(noted)
    except InputError as error:
        raise InputError(f'{home / RESULT_MARK}: {error}') from None
    if protocol is None:
        return own or get_protocol(default)
    asked = get_protocol(protocol)
    if own is not None and own.label_space.classes != asked.label_space.classes:
        raise InputError(
            f'{result_path} has the classes of {own.name} ({home / RESULT_MARK}), protocol '
            f'{asked.name} has others; leave out --protocol'
        )
    return asked


def read_frame(files: FrameFiles) -> FrameMaps:
    """Decode the maps of a frame.

    Raises:
        InputError: a file is unreadable or of another type than its kind.
    """
    try:
        gt = read_codes(files.gt)
        pred = read_prediction(files.pred)
        return FrameMaps(
            gt,
            pred,
            *(
                None if path is None else _read_map(path, dtype)
                for path, dtype in (
                    (files.coverage, np.uint8),
                    (files.tracked, np.uint8),
                    (files.gt_depth, np.uint16),
                    (files.pred_depth, np.uint16),
                )
            ),
        )
    except InputError as error:
        raise InputError(f'{_where((files.sequence, files.frame))}: {error}') from None


def read_codes(path: PathLike) -> np.ndarray:
    """A map in STEP encoding as codes, shape (H, W), uint32."""
    image = read_png(path)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f'{path} is {image.dtype} of shape {image.shape}, not an 8-bit RGB map (R = class, G '
            '* 256 + B = '
            'instance id)'
        )
    # The bytes B, G, R, 0 of a little-endian number are the code R << 16 | G << 8 | B.
    codes = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA).view('<u4')[..., 0]
    codes &= np.uint32(0xFFFFFF)
    return codes


def read_image(path: Optional[str], codes: np.ndarray, codes_path: str) -> np.ndarray:
    """The image that a map belongs to, (H, W, 3), uint8 RGB; black where there is none.

    Args:
        path: Of the image.
        codes: The map, (H, W).
        codes_path: Its file.

    Raises:
        InputError: the image is unreadable or of another size.
    """
    if path is None:
        return np.zeros((*codes.shape, 3), np.uint8)
    image = cv2.cvtColor(read_png(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    if image.shape[:2] != codes.shape:
        raise InputError(
            f'{path} has the size {image.shape[:2]}, {codes_path} {codes.shape} (height, width)'
        )
    return image


def _read_pair(class_path: str, instance_path: str) -> np.ndarray:
    """A 16-bit class map and a 16-bit instance map as codes, shape (H, W), uint32."""
    classes, instances = _read_map(class_path, np.uint16), _read_map(instance_path, np.uint16)
    if classes.shape != instances.shape:
        raise InputError(
            f'{class_path} has shape {classes.shape}, {instance_path} {instances.shape} (height, '
            'width)'
        )
    if classes.max() > 255:
        raise InputError(f'{class_path} holds class {classes.max()}, which is out of range')
    return cv2.merge((instances, classes)).view('<u4')[..., 0]


def _read_map(path: str, dtype: type) -> np.ndarray:
    """A single-channel map, shape (H, W), of the given type."""
    image = read_png(path)
    if image.ndim != 2 or image.dtype != dtype:
        raise InputError(
            f'{path} is {image.dtype} of shape {image.shape}, not a single-channel '
            f'{np.dtype(dtype)} map'
        )
    return image


def list_predictions(result_path: PathLike) -> Dict[Key, Tuple[str, ...]]:
    """The files of every predicted frame, sequences and frames rising, for `read_prediction`.

    Raises:
        InputError: there are none, or two of a frame, or the test that wrote them did not end.
    """
    folder = find_panoptic(result_path)
    read_mark(find_home(result_path))
    found = _scan(folder)
    if not found:
        raise InputError(f'{folder} holds no predictions; expected files like 0/000000_000000.png')
    return _join_pairs(dict(sorted(found.items())))


def read_prediction(paths: Tuple[str, ...]) -> np.ndarray:
    """Codes of a predicted frame, (H, W), uint32, from its file or pair of files.

    Raises:
        InputError: a file is unreadable or of another type than its kind.
    """
    return read_codes(paths[0]) if len(paths) == 1 else _read_pair(*paths)


def _join_pairs(found: Dict[Key, Dict[str, str]]) -> Dict[Key, Tuple[str, ...]]:
    """The file of each frame, or its pair of files."""
    paired: Dict[Key, Tuple[str, ...]] = {}
    for key, files in found.items():
        if set(files) == {''}:
            paired[key] = (files[''],)
        elif set(files) == {'_cat', '_ins'}:
            paired[key] = (files['_cat'], files['_ins'])
        elif '' in files:
            raise InputError(
                f'{_where(key)}: there are two predictions, {files[""]} and a pair of _cat.png '
                'and _ins.png'
            )
        else:
            (there,) = files.values()
            raise InputError(
                f'{_where(key)}: {there} has no partner; _cat.png (classes) and _ins.png '
                '(instances) go together'
            )
    return paired


def _pair_maps(folder: Path, ground_truth: Dict[Key, str], what: str) -> Dict[Key, str]:
    """The file of every frame in a folder of single maps."""
    if not folder.is_dir():
        expected = folder / str(min(ground_truth)[0]) / f'{frame_name(*min(ground_truth))}.png'
        hint = '; without --depth none is needed' if 'depth' in what else ''
        raise InputError(
            f'{folder} is not a folder; expected the {what} of each frame in it, such as '
            f'{expected}{hint}'
        )
    found = {key: files for key, files in _scan(folder).items() if '' in files}
    _check_frames(found, ground_truth, folder, what)
    return {key: files[''] for key, files in found.items()}


def _scan(folder: Path) -> Dict[Key, Dict[str, str]]:
    """(sequence, frame) → suffix → path of the files in `<folder>/<sequence>/`; other files are
    passed over."""
    found: Dict[Key, Dict[str, str]] = {}
    for subfolder in sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and entry.name.isdecimal()
    ):
        for name in sorted(os.listdir(subfolder)):
            match = FRAME_FILE.fullmatch(name)
            if not match:
                continue
            key = int(match[1]), int(match[2])
            path = os.path.join(subfolder, name)
            if key[0] != int(subfolder.name):
                raise InputError(f'{_where(key)}: {path} lies in the folder of another sequence')
            files = found.setdefault(key, {})
            if match[3] in files:
                raise InputError(
                    f'{_where(key)}: there are two files, {files[match[3]]} and {path}'
                )
            files[match[3]] = path
    return found


def _check_frames(
    found: Dict[Key, Dict[str, str]], ground_truth: Dict[Key, str], folder: Path, what: str
) -> None:
    """Raise an InputError if frames are missing or have no ground truth."""
    missing = sorted(set(ground_truth) - set(found))
    if missing:
        expected = folder / str(missing[0][0]) / f'{frame_name(*missing[0])}.png'
        raise InputError(
            f'{_where(missing[0])}: the {what} is missing, expected {expected}; {len(missing)} of '
            f'{len(ground_truth)} frames lack it'
        )
    extra = sorted(set(found) - set(ground_truth))
    if extra:
        path = next(iter(found[extra[0]].values()))
        raise InputError(
            f'{_where(extra[0])}: {path} belongs to no frame of the ground truth; {len(extra)} '
            'such frames in all'
        )


def _where(key: Key) -> str:
    return f'sequence {key[0]}, frame {key[1]}'
