"""Inference, training and testing: what user code and the command lines in tools/ call."""

from knet.apis.build import build_model
from knet.apis.config import load_config
from knet.apis.distributed import init_distributed
from knet.apis.inference import (
    init_model,
    prepare_frame,
    segment_frames,
    segment_image,
    segment_video,
)
from knet.apis.sources import VideoSource
from knet.apis.test import own_results, test_sequences
from knet.apis.train import choose_seed, train_detector
from knet.apis.work_dir import find_checkpoint, make_work_dir, newest_checkpoint

__all__ = [
    'VideoSource',
    'build_model',
    'choose_seed',
    'find_checkpoint',
    'init_distributed',
    'init_model',
    'load_config',
    'make_work_dir',
    'newest_checkpoint',
    'own_results',
    'prepare_frame',
    'segment_frames',
    'segment_image',
    'segment_video',
    'test_sequences',
    'train_detector',
]
