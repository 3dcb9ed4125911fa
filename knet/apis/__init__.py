"""Training, testing and evaluation: what the command lines in tools/ call."""
from knet.apis.config import add_common_options, load_config
from knet.apis.distributed import init_distributed, wrap_model
from knet.apis.test import build_test_dataset, evaluate, format_metrics, metric_names, test_sequences
from knet.apis.train import build_model, make_work_dir, shared_seed, train_detector

__all__ = [
    'add_common_options', 'build_model', 'build_test_dataset', 'evaluate', 'format_metrics', 'init_distributed', 'load_config', 'make_work_dir',
    'metric_names', 'shared_seed', 'test_sequences', 'train_detector', 'wrap_model'
]
