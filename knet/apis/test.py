"""Testing: run a model over the sequences of a data set and write what comes out."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple, Union

from mmcv import imresize
from mmcv.runner import get_dist_info
from mmcv.utils import get_logger
from tqdm import tqdm

from knet.apis.build import blame_config
from knet.apis.clips import segment_clips
from knet.apis.distributed import barrier
from knet.data import FrameRecord, SegmentationDataset
from knet.data.base import check_depth
from knet.data.loaders import SequenceLoader
from knet.data.transforms import picture_of
from knet.files import result_folder
from knet.models.knet import KNet
from knet.parallel import in_background
from knet.structures import Frame, FrameResult
from knet.tasks import Task
from knet.visualization import SequenceRenderer

CONTENTS = ('panoptic', 'depth', 'metrics.json')
"""What tests write into a folder of results."""
NAMES = re.compile(r'(panoptic|depth)/[^/]+/[^/]+\.png|metrics\.json')
"""Names of the files."""
WAITING = 8
"""Results that may wait to be written."""


@contextlib.contextmanager
def own_results(
    results: Union[str, Path],
    made_of: Dict[str, Any],
    show_dir: Optional[Union[str, Path]] = None,
) -> Iterator[None]:
    """Own the folders of a test and its figures in the block, emptied of earlier results; see
    `knet.files.result_folder`.

    Args:
        results: Folder of predictions and figures.
        made_of: What they are made of.
        show_dir: Folder of the pictures.
    """
    with contextlib.ExitStack() as stack:
        if get_dist_info()[0] == 0:
            stack.enter_context(result_folder(results, CONTENTS, NAMES, made_of))
            if show_dir is not None:
                drawn = SequenceRenderer.CONTENTS, SequenceRenderer.NAMES
                stack.enter_context(result_folder(show_dir, *drawn, made_of))
        barrier()
        yield
        barrier()  # the others wait while the first one evaluates


def test_sequences(
    model: KNet,
    loader: SequenceLoader,
    results: Union[str, Path],
    task: Task,
    show_dir: Optional[Union[str, Path]] = None,
    clip_len: int = 1,
) -> None:
    """Segment this process's share of the sequences (or images) and write what comes out.

    Writes what the task writes (`Task.prediction_file`) in the size of the images, and with
    `show_dir` coloured maps and videos (`knet.visualization.SequenceRenderer`).

    Args:
        model: The model, on its device.
        loader: Frame by frame, sequences in order (`knet.data.build_test_loader`).
        results: Folder of the predictions, see `own_results`.
        task: What is written.
        show_dir: Folder of the pictures.
        clip_len: Frames that are computed together.
    """
    rank, _ = get_dist_info()
    results, dataset = Path(results), loader.dataset
    model.eval()
    with contextlib.ExitStack() as stack:
        renderer = None
        if show_dir is not None:
            fps = dataset.info.fps if task.makes_videos else 0
            renderer = SequenceRenderer(str(show_dir), dataset.label_space, fps)
            stack.enter_context(renderer)
        bar = tqdm(
            desc='testing',
            total=len(loader),
            unit='frame',
            disable=rank != 0,
            mininterval=progress_interval(),
        )
        stack.enter_context(bar)
        later = stack.enter_context(in_background(WAITING))
        for record, frame, result in segment_dataset(model, loader, clip_len):
            later(task.write, results, record, result)
            if renderer:
                later(draw, renderer, dataset, record, frame, result)
            bar.update()
    barrier()


def segment_dataset(
    model: KNet, loader: SequenceLoader, clip_len: int = 1
) -> Iterator[Tuple[FrameRecord, Frame, FrameResult]]:
    """Results of the frames of a loader, in its order; each sequence is a video of its own."""
    sequences = itertools.groupby(zip(loader.records(), loader), key=lambda item: item[0].sequence)
    segmented = itertools.chain.from_iterable(
        segment_clips(model, frames, clip_len) for _, frames in sequences
    )
    with blame_config('the first frame', get_logger('mmdet')):
        first = next(segmented, None)
    if first is not None:
        yield first
    yield from segmented


def draw(
    renderer: SequenceRenderer,
    dataset: SegmentationDataset,
    record: FrameRecord,
    frame: Frame,
    result: FrameResult,
) -> None:
    """Draw a result over its image, beside the ground truth where there is some."""
    height, width = frame.original_size
    image = imresize(picture_of(frame), (width, height))
    truth = dict(
        zip(('gt_semantic', 'gt_instance'), dataset.read_truth(record) if record.truth else ())
    )
    depth = result.outputs.get('depth')
    if depth is not None and record.depth:
        truth['gt_depth'] = dataset.read_depth(record)
        check_depth(truth['gt_depth'], frame.original_size, record)
    maps = result.semantic, result.instance
    renderer.add(record.folder, record.name, image, *maps, depth=depth, **truth)


def progress_interval() -> float:
    """Seconds between updates of a progress bar: moving on a terminal, few lines in a log file."""
    return 0.1 if sys.stderr.isatty() else 20.0
