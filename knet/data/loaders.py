"""Data sets and data loaders of a config."""

import atexit
import contextlib
import multiprocessing
import random
import signal
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np
import torch
from mmcv.runner import get_dist_info
from torch.utils.data import DataLoader

from knet.data.base import FrameRecord, SegmentationDataset
from knet.data.catalogue import find_dataset
from knet.data.samplers import SequenceSampler, TrainSampler
from knet.data.transforms import TestTransform, TrainTransform
from knet.errors import InputError, check_whole
from knet.parallel import allow_open_files, end_with_parent, keep_freed_memory
from knet.structures import Frame, FrameBatch, largest_size

TRANSFORM_KEYS = ('scale', 'ratio_range', 'crop_size', 'flip_ratio', 'clip_depth')


def build_train_dataset(data: Dict[str, Any], num_references: int) -> SegmentationDataset:
    """Training frames of a config.

    Args:
        data: `cfg.data`: `name` and `root` of the set, and `train`: `split`, `repeat`,
            `ref_offsets`, `with_depth` (see `SegmentationDataset`), `scale`, `ratio_range`,
            `crop_size`, `flip_ratio`, `clip_depth` (see `TrainTransform`).
        num_references: Reference frames of an item.
    """
    info, part = find_dataset(data['name']), dict(data['train'])
    given = part.copy()
    numbers = {key: part.pop(key) for key in TRANSFORM_KEYS if key in part}
    part = {'root': data.get('root'), 'num_references': num_references, **part}
    with _arguments_of('data.train', given):
        transform = TrainTransform(len(info.label_space.thing_ids), **numbers)
        return SegmentationDataset(info, transform=transform, with_truth=True, **part)


def build_test_dataset(
    data: Dict[str, Any], part: str = 'test', with_truth: bool = False
) -> SegmentationDataset:
    """Frames of `data.val` or `data.test` in full size; testing needs no ground truth."""
    info = find_dataset(data['name'])
    transform = TestTransform(len(info.label_space.thing_ids))
    options = {'root': data.get('root'), 'with_truth': with_truth, **data[part]}
    with _arguments_of(f'data.{part}', data[part]):
        return SegmentationDataset(info, transform=transform, **options)


@contextlib.contextmanager
def _arguments_of(key: str, part: Dict[str, Any]) -> Iterator[None]:
    """Say which key of the config holds a wrong argument of those in `part`."""
    try:
        yield
    except InputError as error:  # of an argument, it begins with its name
        name = str(error).split(' ', 1)[0]
        place = {**dict.fromkeys(part, f'{key}.'), 'root': 'data.'}.get(name, '')
        raise InputError(f'{place}{error}') from None
    except TypeError as error:
        raise InputError(f'{key} of the config: {error}') from None


def check_loading(samples_per_gpu: Any, workers_per_gpu: Any) -> None:
    """Raise InputError unless both are whole numbers in their range, and workers can work."""
    check_whole('data.samples_per_gpu', samples_per_gpu)
    check_whole('data.workers_per_gpu', workers_per_gpu, 0)
    if workers_per_gpu:
        allow_open_files()


@atexit.register
def end_workers() -> None:
    """Kill the workers that are left when the process ends, as after an error: they ignore the
    signal with which multiprocessing would end them, and it would wait for them."""
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


def start_worker(worker_id: int) -> None:
    """Give a worker random streams of its own, and let it end with its process and not before.

    torch draws a new base seed for each epoch from the process's own stream (which differs between
    ranks) and adds the worker's number; numpy and random follow it. Signals that ask a run to stop
    reach the workers too, but the process still needs them.
    """
    end_with_parent()
    keep_freed_memory()
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


def collate(items: Sequence[List[Frame]]) -> Tuple[FrameBatch, ...]:
    """Items → batch of key frames, batch of reference frames, all padded to one size."""
    size = largest_size([frame for item in items for frame in item])
    return tuple(FrameBatch.of(frames, size) for frames in zip(*items))


def single_frame(items: Sequence[List[Frame]]) -> Frame:
    """The frame of an item without references."""
    ((frame,),) = items
    return frame


def build_train_loader(
    dataset: SegmentationDataset, samples_per_gpu: int, workers_per_gpu: int, seed: int = 0
) -> DataLoader:
    """Loader of this process's share of a set, see `TrainSampler`.

    Gives tuples of `FrameBatch`: the key frames and, where the set has some, their references.
    """
    check_loading(samples_per_gpu, workers_per_gpu)
    rank, world_size = get_dist_info()
    return DataLoader(
        dataset,
        samples_per_gpu,
        sampler=TrainSampler(len(dataset), samples_per_gpu, seed, rank, world_size),
        num_workers=workers_per_gpu,
        worker_init_fn=start_worker,
        persistent_workers=workers_per_gpu > 0,  # each item has a random stream of its own
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


class SequenceLoader(DataLoader):
    """Loader of whole sequences, `Frame` by frame in order."""

    dataset: SegmentationDataset
    sampler: SequenceSampler

    def records(self) -> Iterator[FrameRecord]:
        """Records of the frames, in the order of the loader."""
        return (self.dataset.records[index] for index in self.sampler)


def build_test_loader(dataset: SegmentationDataset, workers_per_gpu: int) -> SequenceLoader:
    """Loader of this process's share of the sequences."""
    check_loading(1, workers_per_gpu)
    return SequenceLoader(
        dataset,
        1,
        sampler=SequenceSampler(dataset, *get_dist_info()),
        num_workers=workers_per_gpu,
        worker_init_fn=start_worker,
        collate_fn=single_frame,
    )
