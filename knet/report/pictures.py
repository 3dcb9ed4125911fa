"""Pictures of the report page: of each frame one file with its panels on top of each other."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Dict, Generator, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from knet.errors import InputError
from knet.evaluation.folders import read_codes, read_image, read_prediction
from knet.evaluation.histogram import INSTANCE_BITS, MAX_INSTANCE, split_codes
from knet.evaluation.mistakes import KINDS
from knet.label_space import LabelSpace
from knet.parallel import ordered_map
from knet.report.data import Run
from knet.visualization import draw_errors, draw_tracks
from knet.visualization.colours import resize

FRAMES_AHEAD = 4
QUALITY = 60  # of WebP, 1..100
LARGEST_SIDE = 16383  # of WebP, pixels


class FramePicture(NamedTuple):
    """The picture of a frame.

    sequence: Of the frame.
    position: In the sequence.
    size: (height, width) of a panel, pixels.
    data: WebP.
    boxes: Class and id of each true object → left, top, right, bottom in thousandths of the panel.
    """

    sequence: int
    position: int
    size: Tuple[int, int]
    data: bytes
    boxes: Dict[int, List[int]]


def panel_names(runs: Sequence[Run]) -> List[str]:
    """What the panels of a picture show, from the top."""
    names = ['image', 'truth']
    for run in runs:
        of_run = f' of {run.name}' if len(runs) > 1 else ''
        names += [f'prediction{of_run}', f'errors{of_run}']
    return names


def draw_pictures(
    runs: Sequence[Run], width: int, nproc: int
) -> Generator[FramePicture, None, None]:
    """Draw all frames, in order.

    Args:
        runs: Of the same frames.
        width: Of a panel, pixels.
        nproc: Threads.

    Raises:
        InputError: an image is missing, a file cannot be read, or has another size.
    """
    first = runs[0].analysis
    jobs = [
        (sequence, position)
        for sequence, files in first.files.items()
        for position in range(len(files))
    ]
    with ThreadPoolExecutor(nproc) as pool:
        draw = partial(draw_frame, runs, width)
        pictures = ordered_map(pool, lambda job: draw(*job), jobs, FRAMES_AHEAD * nproc)
        yield from tqdm(pictures, 'drawing', len(jobs), unit='frame', disable=None)


def draw_frame(runs: Sequence[Run], width: int, sequence: int, position: int) -> FramePicture:
    """Draw a frame; see `draw_pictures`."""
    files = runs[0].analysis.files[sequence][position]
    space = runs[0].analysis.protocol.label_space
    truth = read_codes(files.gt)
    picture = read_image(files.image, truth, files.gt)
    size = max(1, round(truth.shape[0] * width / truth.shape[1])), width
    num_panels = 2 + 2 * len(runs)
    if num_panels * size[0] > LARGEST_SIDE:
        raise InputError(
            f'{files.gt} gives {num_panels} panels of {size[0]} rows, more than a picture can have '
            f'({LARGEST_SIDE}); choose a smaller --width'
        )
    small = resize(picture, size)
    small_truth = resize(truth, size)
    panels = [small, draw_tracks(small, *split_codes(small_truth), space)]
    for run in runs:
        prediction = read_prediction(run.analysis.files[sequence][position].pred)
        kinds = run.analysis.mistakes[sequence].error_map(position, truth, prediction)
        panels.append(draw_tracks(small, *split_codes(resize(prediction, size)), space))
        panels.append(draw_errors(small, resize(kinds, size), KINDS))
    sheet = cv2.cvtColor(np.vstack(panels), cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode('.webp', sheet, (cv2.IMWRITE_WEBP_QUALITY, QUALITY))
    assert ok
    return FramePicture(sequence, position, size, data.tobytes(), object_boxes(small_truth, space))


def object_boxes(codes: np.ndarray, space: LabelSpace) -> Dict[int, List[int]]:
    """Boxes of the things of a map, see `FramePicture`."""
    height, width = codes.shape
    is_thing = np.isin(np.arange(256), space.thing_ids)
    of_object = is_thing[codes >> INSTANCE_BITS] & (codes & MAX_INSTANCE > 0)
    boxes = {}
    for code in np.unique(codes[of_object]):
        x, y, w, h = cv2.boundingRect((codes == code).astype(np.uint8))
        corners = ((x, width), (y, height), (x + w, width), (y + h, height))
        boxes[int(code)] = [round(1000 * place / side) for place, side in corners]
    return boxes
