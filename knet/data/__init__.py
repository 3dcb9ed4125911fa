"""Data sets: what they are, which there are, and how their frames get to a network."""

from knet.data.base import DatasetInfo, FrameRecord, Layout, SegmentationDataset
from knet.data.catalogue import find_dataset, import_datasets, register_dataset
from knet.data.loaders import (
    build_test_dataset,
    build_test_loader,
    build_train_dataset,
    build_train_loader,
)

__all__ = [
    'DatasetInfo',
    'FrameRecord',
    'Layout',
    'SegmentationDataset',
    'build_test_dataset',
    'build_test_loader',
    'build_train_dataset',
    'build_train_loader',
    'find_dataset',
    'import_datasets',
    'register_dataset',
]
