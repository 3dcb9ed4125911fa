"""What is wrong with a config, in one line that names the key: mmcv's errors name classes alone,
those of a class in a class several times over."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import os
import re
import sys
import traceback
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Type

from mmcv import Config
from mmcv.runner import HOOKS, OPTIMIZERS, RUNNERS
from mmcv.utils import build_from_cfg
from mmdet.core.bbox.builder import BBOX_ASSIGNERS
from mmdet.models.builder import MODELS

import knet.models  # noqa: F401  (registers models)
from knet.errors import InputError
from knet.models.kernels.branches import BRANCHES
from knet.models.kernels.links import LINKS
from knet.models.kernels.path import PATHS
from knet.models.tracking.tracker import TRACKERS

MODEL_PARTS = (MODELS, BRANCHES, PATHS, LINKS, TRACKERS, BBOX_ASSIGNERS)
REGISTRIES = (*MODEL_PARTS, HOOKS, OPTIMIZERS, RUNNERS)


def find_class(name: Any) -> Optional[Type]:
    """The registered class of a config's `type`, None if there is none."""
    for registry in REGISTRIES if isinstance(name, str) else ():
        with contextlib.suppress(AttributeError):  # mmcv's, of a scope that a registry cannot know
            found = registry.get(name)
            if inspect.isclass(found):
                return found
    return None


def arguments_of(found: Optional[Type]) -> Dict[str, inspect.Parameter]:
    """The constructor arguments of a class, with those that it hands on to its bases."""
    bases = [base for base in found.__mro__ if '__init__' in vars(base)] if found else []
    signatures = [inspect.signature(vars(base)['__init__']) for base in reversed(bases)]
    own = [value for signature in signatures for value in list(signature.parameters.values())[1:]]
    return {one.name: one for one in own if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}


def did_you_mean(name: str, known: List[str], before: str = '') -> str:
    """The end of a message about a name that is not known; empty where no other is like it."""
    close = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean {before}{close[0]}?' if close else ''


def require(cfg: Config, *keys: str) -> None:
    """Raise InputError unless a config has all of the dotted keys."""
    for key in keys:
        node = cfg._cfg_dict
        for part in key.split('.'):
            if not isinstance(node, dict) or part not in node:
                what = f'the config {cfg.filename}' if cfg.filename else 'the config'
                raise InputError(f'{what} has no {key} (see configs/det)')
            node = node[part]


def check_dicts(config: Dict, key: str) -> None:
    """Raise InputError where a class, at `config` or below it, would get something else for an
    argument that must be a dict, or a dict of dicts."""
    for place, node in _walk(config, key):
        for name, argument in arguments_of(find_class(node.get('type'))).items():
            kind = str(argument.annotation).replace('typing.', '')
            if name not in node or not re.match(r'((Optional|Union)\[)?Dict', kind):
                continue
            value, may_lack = node[name], argument.default is None or 'None' in kind
            may_lack = may_lack or kind.startswith('Optional')
            if value is None and may_lack or 'Union' in kind and value is not None:
                continue
            if not isinstance(value, dict):
                hint = ' or None' * may_lack
                raise InputError(f'{place}.{name} must be a dict{hint}, got {value!r}')
            for part, own in dict(value).items() if 'Dict[str, Dict' in kind else ():
                if not isinstance(own, dict):
                    raise InputError(
                        f'{place}.{name}.{part} must be a dict with type, got {own!r}; to take it '
                        f'out of an inherited config write {name}=dict(_delete_=True, ...) with '
                        'the others'
                    )


@contextlib.contextmanager
def blame(config: Any, key: str) -> Iterator[None]:
    """Raise what a part of a config raises when it is built as an InputError, which names the key.

    Args:
        config: The part; what is in it is found again by what is built.
        key: Its key.
    """
    try:
        yield
    except Exception as error:  # anything may be wrong with the arguments of any class
        own = unwrap(error)
        if isinstance(own, InputError):
            raise own from None
        raise InputError(_reason(own, config, key)) from None


def unwrap(error: BaseException) -> BaseException:
    """The error that a class raised, under those that mmcv makes of it on the way: one with the
    name of the class before the message for each class around it."""
    inner = error.__context__
    while type(inner) is type(error) and _text(error).endswith(f': {inner}'):
        error, inner = inner, inner.__context__
    return error


def _text(error: BaseException) -> str:
    """The message of an error; that of a KeyError would be in quotes."""
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)


def _reason(error: BaseException, config: Any, key: str) -> str:
    """What is wrong with `config`, by what was raised when it was built."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    builds = [frame.f_locals for frame in frames if frame.f_code is build_from_cfg.__code__]
    if builds:  # the innermost one knows which part it was, and what there is
        node, registry = builds[-1]['cfg'], builds[-1]['registry']
        key = _find(node, config, key)
        if isinstance(node, dict) and 'type' not in node:
            return f"{key} has no type; it needs type='...' of a registered class"
        name = node.get('type') if isinstance(node, dict) else None
        if isinstance(name, str) and registry.get(name) is None:
            return _no_such_type(name, sorted(registry.module_dict), key)
    reason = _text(error) if isinstance(error, ValueError) else describe(error, with_place=False)
    return f'{key} of the config cannot be built: {" ".join(reason.split())}'


def _no_such_type(name: str, known: List[str], key: str) -> str:
    """That no class has a name."""
    ending = 'LrUpdaterHook'
    if key == 'lr_config' and name.endswith(ending):
        name, key = name.removesuffix(ending), 'lr_config.policy'
        known = [one.removesuffix(ending) for one in known if one.endswith(ending)]
    else:
        key = f'{key}.type'
    hint = did_you_mean(name, known)
    others = f'there are {", ".join(filter(None, known))}' if len(known) <= 20 else ''
    hint = hint or f'; {others or "is the module that registers it in custom_imports?"}'
    return f'{key}: there is no {name!r}{hint}'


def _find(node: Any, config: Any, key: str) -> str:
    """Key of a dict in a config, or of the one that it was most likely made of."""
    nodes = list(_walk(config, key))
    same = [place for place, own in nodes if own is node]
    if same or not isinstance(node, dict):
        return same[0] if same else key

    def likeness(item: Tuple[str, Any]) -> int:
        own = item[1]
        return sum(1 if name in node and node[name] is own[name] else -1 for name in own)

    alike = [item for item in nodes if item[1].get('type') == node.get('type')]
    return max(alike, key=likeness, default=(key, None))[0]


def _walk(config: Any, key: str) -> Iterator[Tuple[str, Dict]]:
    """All dicts of a config with their keys."""
    items: Iterable = enumerate(config) if isinstance(config, (list, tuple)) else ()
    if isinstance(config, dict):
        yield key, config
        items = config.items()
    for name, value in items:
        yield from _walk(value, f'{key}.{name}')


def describe(
    error: BaseException,
    without: Sequence[str] = (),
    copies: Optional[Dict[str, str]] = None,
    with_place: bool = True,
) -> str:
    """Type, message, file and line of an error, in a line.

    Args:
        error: The error.
        without: Packages that are passed over in the search for the place.
        copies: Files that are copies of others, which are named instead.
        with_place: False: file and line only where there is no message.
    """
    text = ' '.join(_text(error).split())[:200]
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get('__name__', '').split('.')[0] not in without
    ]
    where = ''
    if places and (with_place or not text):
        file, line = places[-1]
        file = (copies or {}).get(file, file)
        # as the interpreter finds it, without the folder that is searched
        folders = [os.path.join(os.path.abspath(folder), '') for folder in sys.path]
        folder = max(filter(file.startswith, folders), key=len, default='')
        where = f' ({file.removeprefix(folder)}:{line})'
    return ': '.join(filter(None, [type(error).__name__, text])) + where
