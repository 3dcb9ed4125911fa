"""Reading of configs, with the check that settings on the command line exist."""

import argparse
import contextlib
import io
import os
import traceback
from typing import Any, Dict, List, Optional, Sequence, Union

import yaml
from mmcv import Config, DictAction
from mmcv.fileio.handlers import yaml_handler

from knet.apis.explain import arguments_of, describe, did_you_mean, find_class, require
from knet.apis.hooks import SavingHook, StepHook
from knet.errors import InputError
from knet.files import find_config
from knet.options import key_value

yaml_handler.Loader = yaml.SafeLoader  # mmcv's would run what a YAML config names
UNNAMED = dict(checkpoint_config=SavingHook, optimizer_config=StepHook)
"""Parts of a config that name no class."""


def load_config(path: str, options: Optional[Union[Dict, Sequence[str]]] = None) -> Config:
    """Read a config file and set options in it.

    Args:
        path: Config file (.py), see `knet.files.find_config`.
        options: Dotted keys and values, or texts KEY=VALUE as those of `--cfg-options`.

    Raises:
        InputError: the file cannot be read, or an option names nothing that exists.
    """
    path = find_config(str(path))
    if os.path.isdir(path):
        raise InputError(f'config {path} is a folder; name a .py file in it')
    if not path.endswith(('.py', '.yml', '.yaml', '.json')):
        raise InputError(f'config {path}: a config is a .py, .yml or .json file')
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is a program: anything may be raised in it
        reason = _reading_fault(error, path)
        # mmcv's temporary copy of the file complains when it is closed now
        with contextlib.redirect_stderr(io.StringIO()):
            traceback.clear_frames(error.__traceback__)
            for frame, _ in traceback.walk_tb(error.__traceback__):
                frame.f_locals  # noqa: B018  (reading them empties the copy read before)
        raise InputError(f'config {path} {reason}') from None
    options = options if isinstance(options, dict) else _read_options(options or ())
    for key, value in options.items():
        _check_option(cfg, key, value)
    try:
        cfg.merge_from_dict(options)
    except (TypeError, KeyError, IndexError, AssertionError) as error:
        raise InputError(f'--cfg-options {options} do not fit the config {path}: {error}') from None
    _check_sections(cfg, path)
    return cfg


def _reading_fault(error: Exception, path: str) -> str:
    """Why a config cannot be read, with file and line: it may be of a file that it inherits."""
    calls = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    read = [call.f_locals for call in calls if call.f_code is Config._file2dict.__code__]
    source = read[-1]['filename'] if read else ''
    copy = read[-1]['temp_config_file'].name if read and 'temp_config_file' in read[-1] else ''
    if source and not os.path.exists(source):
        same = source == os.path.abspath(path)
        if same:
            return 'does not exist'
        ours = find_config(''.join(source.rpartition('configs/')[1:]))
        hint = f'; the one that was installed is {ours}' if os.path.isfile(ours) else ''
        return f'cannot be read: its _base_ {source} does not exist{hint}'
    if isinstance(error, ImportError) and not str(error):  # mmcv keeps the reason to itself
        cause = f'custom_imports: {error.__cause__ or error.__context__}'
        return f'cannot be read: {cause}; is the folder of the module on the PYTHONPATH?'
    is_program = not source or source.endswith('.py')
    reason = describe(error, ('knet', 'mmcv', 'importlib'), {copy: source}, is_program)
    return f'cannot be read: {reason}'


def _read_options(texts: Sequence[str]) -> Dict[str, Any]:
    """Keys and values of texts KEY=VALUE, read by mmcv's rules."""
    try:
        texts = [key_value(text) for text in texts]
    except argparse.ArgumentTypeError as error:
        raise InputError(f'--cfg-options {error}') from None
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
    require(cfg, 'model', 'data')
    if cfg.setdefault('log_level', 'INFO') not in LEVELS:
        raise InputError(f'log_level must be one of {", ".join(LEVELS)}, got {cfg.log_level!r}')


LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')
PARTS = ('train', 'val', 'test')
OPTIONAL_KEYS = (
    'fp16',
    'bf16',
    'model.roi_head.kernel_link',
    'model.roi_head.track_link',
    'model.roi_head.mask_head.branches.*',
    'model.rpn_head.paths',
    'model.rpn_head.paths.*',
    'model.train_cfg.only_labelled',
    'model.train_cfg.sparse_labels',
    'data.train.flip_ratio',
    'data.train.ref_offsets',
    'data.train.with_depth',
    'data.train.clip_depth',
    *(f'data.{part}.root' for part in PARTS),
)
"""Keys that configs need not have, with all that is below them; * is any name."""


def _check_option(cfg: Config, key: str, value: Any) -> None:
    """Raise InputError unless the dotted `key` is in the config, or is an argument of the class its
    dict configures, and numbers stay numbers."""
    node, parts = cfg._cfg_dict, key.split('.')
    for depth, part in enumerate(parts):
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        elif _is_optional(parts[: depth + (node is not None)]):
            return
        elif depth == len(parts) - 1 and part in _arguments(node, parts[0]):
            return
        else:
            place = '.'.join(parts[:depth]) or 'the config'
            what = _what_is_there(node, part, parts[:depth])
            raise InputError(f'--cfg-options {key}: {place} has {what}')
    is_number = isinstance(node, (int, float)) and not isinstance(node, bool)
    if is_number and not isinstance(value, (int, float, type(None))):
        raise InputError(f'--cfg-options {key}: must be a number, as {node} is, got {value!r}')


def _is_optional(parts: Sequence[str]) -> bool:
    """Whether a key is one of `OPTIONAL_KEYS`."""
    known = [key.split('.') for key in OPTIONAL_KEYS]
    return any(
        len(names) == len(parts) and all(name in ('*', part) for name, part in zip(names, parts))
        for names in known
    )


def _what_is_there(node: Any, part: str, before: List[str]) -> str:
    """That `part` is not in a node of a config, and what is there instead."""
    if isinstance(node, (list, tuple)):
        return f'{len(node)} entries, no {part!r}; the first one is {".".join([*before, "0"])}'
    names = [str(name) for name in node] if isinstance(node, dict) else []
    hint = did_you_mean(
        part, [*names, *_arguments(node, before[0] if before else '')], '.'.join([*before, ''])
    )
    return f'no key {part!r}' + (hint or f' (it has: {", ".join(sorted(names)) or "no keys"})')


def _arguments(config: Any, section: str) -> List[str]:
    """The constructor arguments of the class that a dict of a section configures."""
    if not isinstance(config, dict):
        return []
    found = find_class(config.get('type'))
    if found is None and section == 'lr_config':
        found = find_class(f'{config.get("policy")}LrUpdaterHook')
    return list(arguments_of(found or UNNAMED.get(section)))
