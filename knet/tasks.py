"""Tasks: what training, testing, drawing and reporting do differently for videos and for images.

A config names its task (`task = 'video_panoptic'`); everything else asks the task.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from knet.data.base import WINDOW_SIZES, DatasetInfo, FrameRecord, SegmentationDataset
from knet.data.layouts import StepLayout
from knet.errors import InputError
from knet.evaluation import (
    DepthOptions,
    ImagePanopticEvaluator,
    Protocol,
    VideoPanopticEvaluator,
    format_image_table,
    format_table,
)
from knet.evaluation.protocol import get_protocol
from knet.step_format import (
    read_depth_units,
    read_panoptic,
    write_depth,
    write_panoptic,
)
from knet.structures import FrameResult


class Task:
    """Interface of the tasks.

    Attributes:
        name: What configs call it.
        num_references: Reference frames that a training item has beside its key frame.
        metrics: What can be measured, as `--eval` names it.
        makes_videos: Whether drawn frames of a sequence become a video.
    """

    name: str
    num_references: int
    metrics: Tuple[str, ...]
    makes_videos: bool

    def prediction_file(self, results: Path, record: FrameRecord) -> Path:
        """Where the prediction of a frame lies below a folder of results."""
        return results / 'panoptic' / record.folder / f'{record.name}.png'

    def write(self, results: Path, record: FrameRecord, result: FrameResult) -> None:
        """Write the result of a frame, in STEP encoding, with depth where the model has it."""
        path = self.prediction_file(results, record)
        write_panoptic(path, result.semantic, result.instance)
        if 'depth' in result.outputs:
            write_depth(depth_file(results, record), result.outputs['depth'])

    def available(self, dataset: SegmentationDataset) -> Tuple[str, ...]:
        """What of `metrics` the ground truth of a data set allows; nothing where frames have
        none."""
        return self.metrics if all(record.truth for record in dataset.records) else ()

    def evaluate(self, results: Path, dataset: SegmentationDataset) -> Dict[str, Any]:
        """Measure predictions that `write` wrote against the ground truth: all that is `available`.

        Raises:
            InputError: a prediction or its ground truth is missing or cannot be used.
        """
        raise NotImplementedError

    def format(self, figures: Dict[str, Any], metrics: Sequence[str] = ()) -> str:
        """Tables of what `evaluate` returns; of some metrics only, if `metrics` names them."""
        raise NotImplementedError

    def summary(self, figures: Dict[str, Any]) -> Dict[str, Optional[float]]:
        """The figures that a training log shows; None where one does not exist."""
        raise NotImplementedError

    def next_commands(self, results: Path, dataset: SegmentationDataset) -> List[str]:
        """Arguments of Python that look at the results again, for the user."""
        return []

    def describe_protocol(self, info: DatasetInfo) -> Any:
        """The rules by which a data set is evaluated, as `knet.evaluation.protocol.get_protocol`
        reads them."""
        return _protocol(info).describe()

    def check_truth(self, dataset: SegmentationDataset) -> None:
        """Raise InputError unless all frames have ground truth."""
        for record in dataset.records:
            if not record.truth:
                raise InputError(
                    f'{record.image} has no ground truth, which {self.name} is evaluated against; '
                    'complete the split, or in training add --no-validate'
                )


class VideoPanoptic(Task):
    """Video panoptic segmentation: STQ and VPQ."""

    name = 'video_panoptic'
    num_references = 1
    metrics: Tuple[str, ...] = ('STQ', 'VPQ')
    makes_videos = True

    def evaluate(self, results: Path, dataset: SegmentationDataset) -> Dict[str, Any]:
        Task.check_truth(self, dataset)
        evaluator = self._evaluator(dataset)
        for record in tqdm(dataset.records, desc='evaluating', unit='frame', disable=None):
            truth = dataset.read_truth(record)
            prediction = read_panoptic(self.prediction_file(results, record))
            depths = self._read_depths(results, record, dataset)
            evaluator.add_frame(record.sequence, record.frame, *truth, *prediction, **depths)
        return evaluator.result()

    def _evaluator(self, dataset: SegmentationDataset) -> VideoPanopticEvaluator:
        return VideoPanopticEvaluator(_protocol(dataset.info), self._windows(dataset.info))

    def _windows(self, info: DatasetInfo) -> Tuple[int, ...]:
        """Frames per window of VPQ."""
        return info.window_sizes

    def _read_depths(
        self, results: Path, record: FrameRecord, dataset: SegmentationDataset
    ) -> Dict[str, np.ndarray]:
        """True and predicted depth of a frame, as `VideoPanopticEvaluator.add_frame` takes them."""
        return {}

    def format(self, figures: Dict[str, Any], metrics: Sequence[str] = ()) -> str:
        return format_table(figures, [name.lower() for name in metrics or self.metrics])

    def summary(self, figures: Dict[str, Any]) -> Dict[str, Optional[float]]:
        """STQ, AQ, SQ, and VPQ as mean over the window sizes."""
        stq = figures['stq']
        return {**{name: stq[name] for name in ('STQ', 'AQ', 'SQ')}, 'VPQ': figures['vpq']['VPQ']}

    def next_commands(self, results: Path, dataset: SegmentationDataset) -> List[str]:
        if not isinstance(dataset.info.layout, StepLayout):
            return []
        folders, sizes = f'{results} {dataset.folder}', dataset.info.window_sizes
        windows = ' --window-size ' + ' '.join(map(str, sizes)) if sizes != WINDOW_SIZES else ''
        return [
            f'tools/report.py {folders} --out {results.parent / "report.html"}',
            f'tools/visualize.py {folders}',
            f'tools/eval_dstq_step.py {folders}',
            f'tools/eval_dvpq_step.py {folders}{windows}',
        ]


class ImagePanoptic(Task):
    """Panoptic segmentation of images, or of the frames of videos one by one: PQ and mIoU."""

    name = 'image_panoptic'
    num_references = 0
    metrics: Tuple[str, ...] = ('PQ',)
    makes_videos = False

    def evaluate(self, results: Path, dataset: SegmentationDataset) -> Dict[str, Any]:
        self.check_truth(dataset)
        evaluator = ImagePanopticEvaluator(_protocol(dataset.info))
        for record in tqdm(dataset.records, desc='evaluating', unit='image', disable=None):
            prediction = read_panoptic(self.prediction_file(results, record))
            evaluator.add_image(record.name, *dataset.read_truth(record), *prediction)
        return evaluator.result()

    def format(self, figures: Dict[str, Any], metrics: Sequence[str] = ()) -> str:
        return format_image_table(figures)

    def summary(self, figures: Dict[str, Any]) -> Dict[str, Optional[float]]:
        return {name: figures[name] for name in ('PQ', 'SQ', 'RQ', 'mIoU')}


class VideoDepth(VideoPanoptic):
    """Depth-aware video panoptic segmentation: DSTQ, DVPQ and measures of depth too."""

    name = 'video_depth'
    metrics: Tuple[str, ...] = ('STQ', 'VPQ', 'DSTQ', 'DVPQ', 'DEPTH')
    of_depth = ('DSTQ', 'DVPQ', 'DEPTH')
    """Those of `metrics` that need depth."""

    def available(self, dataset: SegmentationDataset) -> Tuple[str, ...]:
        has_depth = [record.depth is not None for record in dataset.records]
        if any(has_depth):
            self.check_truth(dataset)  # some frames without are no choice, but a fault
            return self.metrics
        plain = tuple(name for name in self.metrics if name not in self.of_depth)
        return plain if super().available(dataset) else ()

    def check_truth(self, dataset: SegmentationDataset) -> None:
        super().check_truth(dataset)
        for record in dataset.records:
            if record.depth is None:
                raise InputError(
                    f'{record.image} has no depth ({record.name}_depth.png), which task '
                    f'{self.name} needs; add it, or in training add --no-validate'
                )

    def _evaluator(self, dataset: SegmentationDataset) -> VideoPanopticEvaluator:
        options = DepthOptions() if 'DEPTH' in self.available(dataset) else None
        windows = self._windows(dataset.info)
        return VideoPanopticEvaluator(_protocol(dataset.info), windows, options)

    def _read_depths(
        self, results: Path, record: FrameRecord, dataset: SegmentationDataset
    ) -> Dict[str, np.ndarray]:
        if record.depth is None:
            return {}
        return dict(
            gt_depth=read_depth_units(record.depth),
            pred_depth=read_depth_units(depth_file(results, record)),
        )

    def summary(self, figures: Dict[str, Any]) -> Dict[str, Optional[float]]:
        return {
            **super().summary(figures),
            'DSTQ': figures['dstq']['DSTQ'],
            'DVPQ': figures['dvpq']['DVPQ'],
            'abs_rel': figures['depth']['abs_rel'],
        }

    def next_commands(self, results: Path, dataset: SegmentationDataset) -> List[str]:
        commands = super().next_commands(results, dataset)
        has_depth = 'DEPTH' in self.available(dataset)
        return [line + ' --depth' * (has_depth and 'tools/eval_' in line) for line in commands]


class ImageDepth(VideoDepth):
    """Depth-aware panoptic segmentation of images, or of the frames of videos one by one: as for
    videos, over windows of one frame; there are no tracks."""

    name = 'image_depth'
    num_references = 0
    metrics: Tuple[str, ...] = ('VPQ', 'DVPQ', 'DEPTH')
    makes_videos = False

    def _windows(self, info: DatasetInfo) -> Tuple[int, ...]:
        return (1,)

    def summary(self, figures: Dict[str, Any]) -> Dict[str, Optional[float]]:
        return {
            'PQ': figures['vpq']['VPQ'],
            'DPQ': figures['dvpq']['DVPQ'],
            'abs_rel': figures['depth']['abs_rel'],
        }

    def next_commands(self, results: Path, dataset: SegmentationDataset) -> List[str]:
        commands = super().next_commands(results, dataset)
        # the last --window-size counts
        return [line + ' --window-size 1' for line in commands if 'tools/eval_dvpq' in line]


def depth_file(results: Path, record: FrameRecord) -> Path:
    """Where the predicted depth of a frame lies below a folder of results."""
    return results / 'depth' / record.folder / f'{record.name}.png'


def _protocol(info: DatasetInfo) -> Protocol:
    """Rules by which a data set is evaluated."""
    if info.protocol is not None:
        return get_protocol(info.protocol)
    return Protocol(info.name, info.label_space, tube_ids=info.label_space.thing_ids)


TASK_LIST = (VideoPanoptic(), ImagePanoptic(), VideoDepth(), ImageDepth())
TASKS: Dict[str, Task] = {task.name: task for task in TASK_LIST}


def register_task(task: Task) -> None:
    """Let configs name a task of another module; one of the same name is replaced."""
    TASKS[task.name] = task


def find_task(name: Optional[str]) -> Task:
    """A task by its name.

    Raises:
        InputError: there is none of this name.
    """
    if name not in TASKS:
        what = f'unknown task {name!r}' if name else 'the config names no task'
        raise InputError(f"{what}; expected task = '...', one of {', '.join(sorted(TASKS))}")
    return TASKS[name]
