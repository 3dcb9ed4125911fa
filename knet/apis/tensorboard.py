"""What TensorBoard shows of a training run: `tensorboard --logdir work_dirs`."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from typing import Any, List, Optional, Sequence

import cv2
import numpy as np
import torch
from mmcv.runner import HOOKS, LoggerHook, TensorboardLoggerHook, master_only

from knet.apis.hooks import ValidationHook
from knet.data.base import FrameRecord, SegmentationDataset, read_image
from knet.step_format import read_panoptic
from knet.visualization import draw_tracks, side_by_side
from knet.visualization.colours import enlarge, resize

MINIMUM_WIDTH, MAXIMUM_WIDTH = 480, 960
"""Pixels. Larger frames are shrunk; smaller ones enlarged by the whole factor that comes nearest,
so that ids can be written on them."""


@HOOKS.register_module()
class KNetTensorboardLoggerHook(TensorboardLoggerHook):
    """mmcv's hook, with memory and with predicted frames of each validation, for runs that go on.

    A step is the number of iterations that are done, for validations too. A run that goes on
    replaces what the interrupted one has written after that point. The first process writes.

    Tags: `train/<loss>`, `learning_rate`, `momentum` and `memory` (see `peak_memory`) every
    `interval` iterations, `val/<figure>` and `val/<folder of a frame>/<its name>` at validations.

    Args:
        frames: So many frames are shown, spread evenly over the validation set and the same each
            time: image, prediction and ground truth. 0: none.
        **kwargs: Of mmcv's hook: `log_dir` (by default tf_logs in the work dir), `interval`, ...
    """

    def __init__(self, frames: int = 4, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(frames, int) or frames < 0:
            raise ValueError(f'frames must be a whole number from 0 on, got {frames!r}')
        # imported where a config asks for it; a package that is missing is found out at once
        from knet.apis.events import EventWriter

        self.frames = frames
        self.make_writer = EventWriter
        self.writer: Optional[EventWriter] = None

    def before_run(self, runner: Any) -> None:
        LoggerHook.before_run(self, runner)  # mmcv's own would open a writer that keeps all steps
        if runner.rank == 0:
            folder = self.log_dir or Path(runner.work_dir) / 'tf_logs'
            self.writer = self.make_writer(folder, first_step=runner.iter + 1)

    @master_only
    def log(self, runner: Any) -> None:
        assert self.writer is not None
        tags = self.get_loggable_tags(runner)
        if self.get_mode(runner) == 'train':
            step = runner.iter + 1
            for tag, value in {**tags, 'memory': peak_memory()}.items():
                self.writer.add_scalar(tag, value, step)
        else:  # the iteration is over, and counted; its learning rate was logged with it
            step = runner.iter
            for tag, value in tags.items():
                if tag.startswith('val/'):
                    self.writer.add_scalar(tag, value, step)
            for hook in runner.hooks:
                if isinstance(hook, ValidationHook) and hook.last_iteration == step:
                    self._add_frames(hook, step)
        self.writer.flush()

    def _add_frames(self, validation: ValidationHook, step: int) -> None:
        assert self.writer is not None
        dataset = validation.loader.dataset
        for record in spread(dataset.records, self.frames):
            prediction = validation.task.prediction_file(validation.results, record)
            picture = draw_frame(dataset, record, prediction)
            self.writer.add_picture(f'val/{record.folder}/{record.name}', picture, step)

    def after_run(self, runner: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the event file, also where the run fails."""
        if self.writer is not None:
            self.writer.close()


def peak_memory() -> float:
    """Memory that this process has needed at most, in MB of 2^20 bytes: of the GPU that of torch's
    allocator, as in mmcv's text log; without a GPU all that was resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    try:  # getrusage would count the program that has started this one too
        found = re.search(r'VmHWM:\s*(\d+) kB', Path('/proc/self/status').read_text())
    except OSError:
        found = None
    if found:
        return int(found[1]) / 2**10
    unit = 1 if sys.platform == 'darwin' else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def spread(records: Sequence[FrameRecord], number: int) -> List[FrameRecord]:
    """So many records, or all if there are fewer: the middles of equal parts of the list."""
    number = min(number, len(records))
    return [records[(2 * i + 1) * len(records) // (2 * number)] for i in range(number)]


def draw_frame(dataset: SegmentationDataset, record: FrameRecord, prediction: Path) -> np.ndarray:
    """Image, prediction and ground truth of a frame in one picture.

    Args:
        dataset: Reads the ground truth.
        record: The frame.
        prediction: Map in STEP encoding, of the size of the image.

    Returns:
        uint8 RGB; the panels are on top of each other where they are wide, else side by side.
    """
    image = read_image(record)[..., ::-1]
    height, width = image.shape[:2]
    factor = min(1, MAXIMUM_WIDTH / width)
    size = (round(height * factor), round(width * factor))
    scale = max(1, round(MINIMUM_WIDTH / width))
    # shrunk before ids are written on it, so that they can be read
    image = resize(image, size)
    panels = [(f'image: {record.name}', enlarge(image, scale, cv2.INTER_LINEAR))]
    maps = {'prediction': read_panoptic(prediction), 'ground truth': dataset.read_truth(record)}
    for caption, (semantic, instance) in maps.items():
        semantic, instance = resize(semantic, size), resize(instance, size)
        tracks = draw_tracks(
            image, semantic, instance, dataset.label_space, scale=scale, with_classes=True
        )
        panels.append((caption, tracks))
    return side_by_side(panels)
