"""Inference, training and testing: what user code and the command lines in tools/ call."""

from knet.apis.build import build_model
from knet.apis.config import add_common_options, add_config_options, load_config
from knet.apis.distributed import init_distributed
from knet.apis.inference import init_model, prepare_frame, segment_image, segment_video
from knet.apis.test import test_sequences
from knet.apis.train import make_work_dir, shared_seed, train_detector

__all__ = [
    'add_common_options',
    'add_config_options',
    'build_model',
    'init_distributed',
    'init_model',
    'load_config',
    'make_work_dir',
    'prepare_frame',
    'segment_image',
    'segment_video',
    'shared_seed',
    'test_sequences',
    'train_detector',
]
