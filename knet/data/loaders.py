"""Data loaders for training and testing."""
import random
from functools import partial

import numpy as np
import torch
from mmcv.parallel import collate
from mmcv.runner import get_dist_info
from torch.utils.data import DataLoader, DistributedSampler

from knet.data.samplers import SequenceSampler


def seed_worker(worker_id: int) -> None:
    """Give a worker its own random stream.

    torch draws a new base seed for each epoch from the process's own stream (which differs between ranks) and adds the
    worker's number; numpy and random follow it.
    """
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)
    random.seed(seed)


def build_train_loader(dataset, samples_per_gpu: int, workers_per_gpu: int, seed: int = 0) -> DataLoader:
    """Loader of this process's share of the training pairs; their order follows from `seed` and the epoch."""
    rank, world_size = get_dist_info()
    sampler = DistributedSampler(dataset, world_size, rank, shuffle=True, seed=seed)
    return DataLoader(dataset, samples_per_gpu, sampler=sampler, num_workers=workers_per_gpu, worker_init_fn=seed_worker,
                      collate_fn=partial(collate, samples_per_gpu=samples_per_gpu), pin_memory=torch.cuda.is_available())


def build_test_loader(dataset, workers_per_gpu: int) -> DataLoader:
    """Loader of this process's share of the sequences, frame by frame in order."""
    sampler = SequenceSampler(dataset, *get_dist_info())
    return DataLoader(dataset, 1, sampler=sampler, num_workers=workers_per_gpu, worker_init_fn=seed_worker,
                      collate_fn=partial(collate, samples_per_gpu=1))
