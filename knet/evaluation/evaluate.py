"""Evaluation of a folder of predictions against a folder of ground truth."""

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Iterable, Iterator, Optional, Sequence, Tuple, Union

from tqdm import tqdm

from knet.errors import InputError
from knet.evaluation.depth import DepthOptions
from knet.evaluation.evaluator import VideoPanopticEvaluator
from knet.evaluation.folders import FrameFiles, PathLike, pair_folders, read_frame
from knet.evaluation.protocol import Protocol
from knet.evaluation.sequence import FrameCounts
from knet.parallel import ordered_map

FRAMES_AHEAD = 8


def evaluate_folders(
    result_path: PathLike,
    gt_path: PathLike,
    protocol: Union[str, Protocol] = 'step',
    window_sizes: Sequence[int] = (1, 2, 3, 4),
    nproc: int = 1,
    depth: Union[bool, DepthOptions] = False,
    split: str = 'val',
    coverage: Optional[PathLike] = None,
    tracked: Optional[PathLike] = None,
    progress: bool = True,
) -> dict:
    """Measure predictions on disk (layouts: `knet.evaluation.folders`).

    Args:
        result_path: Folder that holds `panoptic/`, or the `panoptic` folder itself.
        gt_path: Data root that holds `video_sequence/<split>`, or the split's folder itself.
        protocol: 'step', 'video-knet' or 'waymo'.
        window_sizes: Frames per window of VPQ.
        nproc: Cores to use. Any number gives the same floats.
        depth: Measure DSTQ and DVPQ too; True takes the default thresholds.
        split: Which split of a data root.
        coverage: Folder of camera coverage maps: STQ becomes weighted STQ.
        tracked: Folder of masks; ground truth where they are 0 loses its instance id.
        progress: Show a progress bar on stderr (only on a terminal).

    Returns:
        the result, see `knet.evaluation.result`.

    Raises:
        InputError: the input cannot be evaluated; the message names sequence and frame.
    """
    if nproc < 1:
        raise InputError(f'the number of processes must be at least 1, got {nproc}')
    options = DepthOptions() if depth is True else depth or None
    evaluator = VideoPanopticEvaluator(
        protocol, window_sizes, options, weighted=coverage is not None
    )
    frames = pair_folders(result_path, gt_path, split, options is not None, coverage, tracked)
    with tqdm(
        total=len(frames), unit='frame', desc='evaluating', disable=None if progress else True
    ) as bar:
        for sequence, group in groupby(
            count_frames(evaluator, frames, nproc), key=lambda item: item[0].sequence
        ):
            for files, counts in group:
                evaluator.add_counts(files.sequence, files.frame, counts)
                bar.update()
            evaluator.close_sequence(sequence)
    return evaluator.result()


def count_frames(
    evaluator: VideoPanopticEvaluator, frames: Iterable[FrameFiles], nproc: int = 1
) -> Iterator[Tuple[FrameFiles, FrameCounts]]:
    """Read and count frames, in the order given.

    Reading and counting are nearly all of the work and do not hold the interpreter's lock, so
    threads serve as well as processes here, without start-up, copies, or a quarrel with what the
    calling process has loaded. The metrics see the same counts in the same order whatever `nproc`
    is.
    """

    def count(files: FrameFiles) -> Tuple[FrameFiles, FrameCounts]:
        return files, evaluator.count(files.sequence, files.frame, read_frame(files))

    if nproc == 1:
        yield from map(count, frames)
        return
    with ThreadPoolExecutor(nproc) as pool:
        yield from ordered_map(pool, count, frames, FRAMES_AHEAD * nproc)
