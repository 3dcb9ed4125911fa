"""Reading of configs, with the check that settings on the command line exist."""

import argparse
import contextlib
import difflib
import inspect
import io
import traceback
from typing import Any, Dict, Optional, Sequence, Type, Union

import yaml
from mmcv import Config, DictAction
from mmcv.fileio.handlers import yaml_handler
from mmcv.runner import HOOKS, OPTIMIZERS, RUNNERS
from mmdet.models.builder import MODELS

import knet.models  # noqa: F401  (registers models)
from knet.apis.hooks import SavingHook, StepHook
from knet.errors import InputError
from knet.files import find_config
from knet.models.kernels.branches import BRANCHES
from knet.models.kernels.links import LINKS
from knet.models.kernels.path import PATHS
from knet.models.tracking.tracker import TRACKERS

yaml_handler.Loader = yaml.SafeLoader  # mmcv's would run what a YAML config names
UNNAMED = dict(checkpoint_config=SavingHook, optimizer_config=StepHook)
"""Parts of a config that name no class."""
REGISTRIES = (MODELS, BRANCHES, PATHS, LINKS, TRACKERS, HOOKS, OPTIMIZERS, RUNNERS)


def load_config(path: str, options: Optional[Union[Dict, Sequence[str]]] = None) -> Config:
    """Read a config file and set options in it.

    Args:
        path: Config file (.py), see `knet.files.find_config`.
        options: Dotted keys and values, or texts KEY=VALUE as those of `--cfg-options`.

    Raises:
        InputError: the file cannot be read, or an option names nothing that exists.
    """
    path = find_config(path)
    try:
        cfg = Config.fromfile(path)
    except FileNotFoundError as error:
        raise InputError(f'config {path} cannot be read: {error}') from None
    except Exception as error:  # a config is a program: anything may be raised in it
        # mmcv's temporary copy of the file complains when it is closed now
        with contextlib.redirect_stderr(io.StringIO()):
            traceback.clear_frames(error.__traceback__)
        reason = f'{type(error).__name__}: {error}'
        if isinstance(error, ImportError) and not str(error):  # mmcv keeps the reason to itself
            cause = error.__cause__ or error.__context__
            reason = f'custom_imports: {cause}; is the folder of the module on the PYTHONPATH?'
        raise InputError(f'config {path} cannot be read: {reason}') from None
    options = options if isinstance(options, dict) else _read_options(options or ())
    for key, value in options.items():
        _check_option(cfg, key, value)
    try:
        cfg.merge_from_dict(options)
    except (TypeError, KeyError, IndexError, AssertionError) as error:
        raise InputError(f'--cfg-options {options} do not fit the config {path}: {error}') from None
    _check_sections(cfg, path)
    return cfg


def _read_options(texts: Sequence[str]) -> Dict[str, Any]:
    """Keys and values of texts KEY=VALUE, read by mmcv's rules."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument('--options', nargs='*', action=DictAction)
    return parser.parse_args(['--options', *texts]).options


SECTIONS = (
    'model',
    'data',
    'runner',
    'optimizer',
    'optimizer_config',
    'lr_config',
    'checkpoint_config',
    'log_config',
    'evaluation',
)


def _check_sections(cfg: Config, path: str) -> None:
    """Raise InputError where a part of a config is no dict, or its log level is unknown."""
    sections = {name: cfg[name] for name in SECTIONS if name in cfg}
    data = sections.get('data')
    if isinstance(data, dict):
        sections.update({f'data.{part}': data[part] for part in PARTS if part in data})
    for name, value in sections.items():
        if not isinstance(value, dict):
            raise InputError(f'{name} of the config {path} must be a dict, got {value!r}')
    for name in ('model', 'data'):
        if name not in sections:
            raise InputError(f'the config {path} has no {name} (see configs/det)')
    level = cfg.get('log_level', 'INFO')
    if level not in LEVELS:
        raise InputError(f'log_level must be one of {", ".join(LEVELS)}, got {level!r}')


LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')
PARTS = ('train', 'val', 'test')
OPTIONAL_KEYS = (
    'fp16',
    'bf16',
    'model.roi_head.kernel_link',
    'model.roi_head.track_link',
    'data.train.flip_ratio',
    'data.train.ref_offsets',
    'data.train.with_depth',
    'data.train.clip_depth',
    *(f'data.{part}.root' for part in PARTS),
)
"""Keys that configs need not have, with all that is below them."""


def _check_option(cfg: Config, key: str, value: Any) -> None:
    """Raise InputError unless the dotted `key` is in the config, or is an argument of the class its
    dict configures, and numbers stay numbers."""
    node, parts = cfg._cfg_dict, key.split('.')
    if any(key == optional or key.startswith(f'{optional}.') for optional in OPTIONAL_KEYS):
        return
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, dict) and depth == len(parts) - 1 and _takes(node, part, parts[0]):
            return
        else:
            known = [str(name) for name in node] if isinstance(node, dict) else []
            close = difflib.get_close_matches(part, known, n=1)
            place = '.'.join(parts[:depth]) or 'the config'
            hint = (
                f'; did you mean {".".join(parts[:depth] + close)}?'
                if close
                else f' (it has: {", ".join(sorted(known)) or "no keys"})'
            )
            raise InputError(f'--cfg-options {key}: {place} has no key {part!r}{hint}')
    is_number = isinstance(node, (int, float)) and not isinstance(node, bool)
    if is_number and not isinstance(value, (int, float, type(None))):
        raise InputError(f'--cfg-options {key}: must be a number, as {node} is, got {value!r}')


def _takes(config: Dict, argument: str, section: str) -> bool:
    """Whether the class that `config` builds has a constructor argument of that name."""
    found = find_class(config.get('type'))
    if found is None and section == 'lr_config':
        found = find_class(f'{config.get("policy")}LrUpdaterHook')
    if found is None:
        found = UNNAMED.get(section)
    bases = [base for base in found.__mro__ if '__init__' in vars(base)] if found else []
    return any(argument in inspect.signature(vars(base)['__init__']).parameters for base in bases)


def find_class(name: Optional[str]) -> Optional[Type]:
    """The registered class of a config's `type`, None if there is none."""
    return (
        next(filter(None, (registry.get(name) for registry in REGISTRIES)), None) if name else None
    )
