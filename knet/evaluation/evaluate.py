"""Evaluation of a folder of predictions against a folder of ground truth: figures, and mistakes."""

from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from tqdm import tqdm

from knet.errors import InputError
from knet.evaluation.depth import DepthOptions
from knet.evaluation.evaluator import VideoPanopticEvaluator
from knet.evaluation.folders import (
    FrameFiles,
    PathLike,
    find_protocol,
    pair_folders,
    read_frame,
)
from knet.evaluation.mistakes import SequenceMistakes, find_mistakes
from knet.evaluation.protocol import PROTOCOLS, Protocol
from knet.evaluation.sequence import FrameCounts
from knet.parallel import ordered_map

FRAMES_AHEAD = 8


def evaluate_folders(
    result_path: PathLike,
    gt_path: PathLike,
    protocol: Optional[Union[str, Protocol]] = None,
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
        protocol: 'step', 'video-knet' or 'waymo'; by default as `find_protocol` says.
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
        find_protocol(result_path, protocol),
        window_sizes,
        options,
        weighted=coverage is not None,
    )
    frames = pair_folders(result_path, gt_path, split, options is not None, coverage, tracked)
    for _ in evaluate_sequences([evaluator], frames, nproc, progress):
        pass
    return evaluator.result()


class Analysis(NamedTuple):
    """What there is to know of predictions on disk.

    protocol: The rules that mistakes are counted by.
    results: Figures by that protocol and by the others of the same classes, by name.
    files: The frames of each sequence, rising.
    mistakes: Those of each sequence.
    """

    protocol: Protocol
    results: Dict[str, dict]
    files: Dict[int, List[FrameFiles]]
    mistakes: Dict[int, SequenceMistakes]


def analyze_folders(
    result_path: PathLike,
    gt_path: PathLike,
    protocol: Optional[Union[str, Protocol]] = None,
    window_sizes: Sequence[int] = (1, 2, 3, 4),
    nproc: int = 1,
    split: str = 'val',
    sequences: Sequence[int] = (),
    progress: bool = True,
) -> Analysis:
    """Find out what is wrong with predictions on disk; for the arguments see `evaluate_folders`.

    Args:
        sequences: Look at these only; none: at all.

    Raises:
        InputError: the input cannot be evaluated; the message names sequence and frame.
    """
    main = find_protocol(result_path, protocol)
    frames = pair_folders(result_path, gt_path, split, sequences=sequences)
    # protocols of the same classes count the same pairs
    others = [
        other
        for other in PROTOCOLS.values()
        if other.label_space == main.label_space and other.name != main.name
    ]
    evaluators = [VideoPanopticEvaluator(rules, window_sizes) for rules in (main, *others)]
    found = Analysis(main, {}, {}, {})
    for sequence, files, counts in evaluate_sequences(evaluators, frames, nproc, progress):
        found.files[sequence] = files
        pairs = [count.pairs for count in counts]
        found.mistakes[sequence] = find_mistakes(main, [item.frame for item in files], pairs)
    for evaluator in evaluators:
        found.results[evaluator.settings.protocol.name] = evaluator.result()
    return found


def evaluate_sequences(
    evaluators: Sequence[VideoPanopticEvaluator],
    frames: Sequence[FrameFiles],
    nproc: int = 1,
    progress: bool = True,
) -> Iterator[Tuple[int, List[FrameFiles], List[FrameCounts]]]:
    """Count frames and add them to evaluators that count alike, sequence by sequence.

    Yields:
        number, frames and counts of a sequence, when it is done.
    """
    with tqdm(
        total=len(frames), unit='frame', desc='evaluating', disable=None if progress else True
    ) as bar:
        for sequence, group in groupby(
            count_frames(evaluators[0], frames, nproc), key=lambda item: item[0].sequence
        ):
            done = []
            for files, counts in group:
                for evaluator in evaluators:
                    evaluator.add_counts(files.sequence, files.frame, counts)
                done.append((files, counts))
                bar.update()
            for evaluator in evaluators:
                evaluator.close_sequence(sequence)
            yield sequence, [files for files, _ in done], [counts for _, counts in done]


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
