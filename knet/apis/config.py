"""Options of the command lines and reading of configs, with the check that options on the command line exist."""
import argparse
import contextlib
import difflib
import inspect
import io
import traceback
from typing import Dict, Optional, Type

from mmcv import Config, DictAction
from mmcv.runner import HOOKS, OPTIMIZERS, RUNNERS
from mmdet.datasets import DATASETS, PIPELINES
from mmdet.models.builder import MODELS

import knet.data  # noqa: F401  (registers data sets and transforms)
import knet.models  # noqa: F401  (registers models)
from knet.errors import InputError
from knet.models.quasi_dense_tracker import TRACKERS

REGISTRIES = (MODELS, DATASETS, PIPELINES, TRACKERS, HOOKS, OPTIMIZERS, RUNNERS)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that all command lines with a config have."""
    parser.add_argument('--allow-pickle', action='store_true',
                        help='load checkpoints that ask for more than tensors and numbers; only for files whose source you trust')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='change settings of the config')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='what started this process')
    parser.add_argument('--local-rank', '--local_rank', type=int, help='set by launchers; not used')


def load_config(path: str, options: Optional[Dict] = None) -> Config:
    """Read a config file and set options in it.

    Args:
        path: Config file (.py).
        options: Dotted keys and values, as of `--cfg-options`.

    Raises:
        InputError: the file cannot be read, or an option names nothing that exists.
    """
    try:
        cfg = Config.fromfile(path)
    except FileNotFoundError as error:
        raise InputError(f'config {path} cannot be read: {error}') from None
    except Exception as error:  # a config is a program: anything may be raised in it
        with contextlib.redirect_stderr(io.StringIO()):  # mmcv's temporary copy of the file complains when it is closed now
            traceback.clear_frames(error.__traceback__)
        raise InputError(f'config {path} cannot be read: {type(error).__name__}: {error}') from None
    for key in options or {}:
        _check_option(cfg, key)
    try:
        cfg.merge_from_dict(options or {})
    except (TypeError, KeyError, IndexError, AssertionError) as error:
        raise InputError(f'--cfg-options {options} do not fit the config {path}: {error}') from None
    return cfg


OPTIONAL_KEYS = ('fp16', 'bf16')  # keys that configs need not have, see `knet.apis.train`


def _check_option(cfg: Config, key: str) -> None:
    """Raise InputError unless the dotted `key` is in the config, or is an argument of the class its dict configures."""
    node, parts = cfg._cfg_dict, key.split('.')
    if parts[0] in OPTIONAL_KEYS:
        return
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and depth == len(parts) - 1 and _takes(node, part):
            return
        else:
            known = [str(name) for name in node] if isinstance(node, dict) else []
            close = difflib.get_close_matches(part, known, n=1)
            place = '.'.join(parts[:depth]) or 'the config'
            hint = f'; did you mean {".".join(parts[:depth] + close)}?' if close else f' (it has: {", ".join(sorted(known)) or "no keys"})'
            raise InputError(f'--cfg-options {key}: {place} has no key {part!r}{hint}')


def _takes(config: Dict, argument: str) -> bool:
    """Whether the class that `config` builds has a constructor argument of that name."""
    found = find_class(config.get('type'))
    return found is not None and argument in inspect.signature(found.__init__).parameters


def find_class(name: Optional[str]) -> Optional[Type]:
    """The registered class of a config's `type`, None if there is none."""
    return next(filter(None, (registry.get(name) for registry in REGISTRIES)), None) if name else None
