"""Checkpoints: parameter names in files are the published ones; reading is safe.

What is converted on the way into a model:
    - wrappers (`state_dict`, `model`, `module.`), half precision;
    - official Swin names and patch-merging order to mmdet's;
    - ImageNet weights (torchvision ResNet, official Swin) into the backbone;
    - link layers of the stages that do not use them are dropped (the published models carry them in
      every stage).
"""

import hashlib
import logging
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
import torch.nn as nn
from mmdet.models.utils.ckpt_convert import swin_converter
from torch import Tensor

from knet.errors import InputError

_NUMPY_TYPES = 'float16 float32 float64 bool uint8 uint16 uint32 int32 int64'.split()
_LINK_LAYERS = {
    'attention.': 'attention_previous',
    'attention_norm.': 'attention_previous_norm',
    'ffn.': 'link_ffn',
    'ffn_norm.': 'link_ffn_norm',
}
_LINKS = {
    'track_link.': '',
    'track_link.attend.': '_track',
    'kernel_link.': '_link',
    'kernel_link.attend.': '_link',
}
_PATH_LAYERS = ('kernel_update_conv', 'attention', 'attention_norm', 'ffn', 'ffn_norm')
PUBLISHED_NAMES = {
    'main.': '',
    'paths.depth.feat_transform.': 'feat_depth_transform.',
    **{f'paths.depth.{layer}.': f'{layer}_depth.' for layer in _PATH_LAYERS},
    'branches.depth.fcs.': 'depth_regs.',
    'branches.depth.fc_out.': 'fc_depth.',
    'branches.classes.fcs.': 'cls_fcs.',
    'branches.classes.fc_out.': 'fc_cls.',
    'branches.masks.fcs.': 'mask_fcs.',
    'branches.masks.fc_out.': 'fc_mask.',
    'track_link.update.': 'attention_previous_update_track.',
    'kernel_link.update.': 'attention_previous_update_link.',
    **{
        link + layer: f'{published}{suffix}.'
        for link, suffix in _LINKS.items()
        for layer, published in _LINK_LAYERS.items()
    },
}
"""Names below a stage that differ: ours → the published one."""
PUBLISHED_HEAD_NAMES = {
    'paths.depth.convs.': 'depth_convs.',
    'paths.depth.conv_out.': 'conv_direct_depth.',
}
"""Names below the kernel head that differ."""
PART = re.compile(r'(roi_head\.mask_head\.\d+\.|rpn_head\.)(.*)')
LINK_LAYERS = r'roi_head\.mask_head\.\d+\.(attention_previous|link_ffn)'
OWN_PARTS = r'(roi_head\.mask_head\.\d+|rpn_head)\.(branches|paths|track_link|kernel_link)\.'
DEPTH = (
    r'roi_head\.mask_head\.\d+\.(feat_depth_transform|depth_regs|fc_depth|\w+_depth)\.'
    r'|rpn_head\.(depth_convs|conv_direct_depth|localization_fpn\.aux_convs\.[1-9])\.'
)
OPTIONAL = re.compile(
    rf'({LINK_LAYERS}|{OWN_PARTS}|{DEPTH}|track_head\.|embed_fcs\.|fc_embed\.|neck\.fpn_convs\.[4-9]\.)'
)
"""Parameters that only some of the models have: links, paths and branches that are not published,
depth, tracking and the extra FPN levels."""
CLASSIFIER = re.compile(r'backbone\.(fc|head|norm)\.')
"""Parameters of an ImageNet classifier behind the backbone."""
FORBIDDEN = re.compile(r'(?:GLOBAL|Unsupported class) ([\w.]+)')
"""In torch's message about a file that asks for more than is harmless."""
COMPUTED = re.compile(r'.*\.(relative_position_index|attn_mask)')
"""Buffers that the modules compute themselves."""


def published_name(name: str) -> str:
    """Name that a parameter of ours has in files."""
    match = PART.fullmatch(name)
    if match:
        names = PUBLISHED_HEAD_NAMES if match[1] == 'rpn_head.' else PUBLISHED_NAMES
        for ours, published in names.items():
            if match[2].startswith(ours):
                return match[1] + published + match[2][len(ours) :]
    return name


def published_state_dict(model: nn.Module) -> Dict[str, Tensor]:
    """State dict of a model under the published names, for files."""
    return {published_name(name): value for name, value in model.state_dict().items()}


@dataclass
class LoadReport:
    """What became of the entries of a checkpoint and of the model's parameters.

    Attributes:
        loaded: Entries that are in the model now.
        converted: What was renamed or reordered on the way, in words.
        dropped: Entries that the model has no use for.
        initial: Parameters and buffers of the model that keep their initial value.
        mismatched: Those of them that the checkpoint has in another shape, with both shapes.
    """

    loaded: List[str] = field(default_factory=list)
    converted: List[str] = field(default_factory=list)
    dropped: List[str] = field(default_factory=list)
    initial: List[str] = field(default_factory=list)
    mismatched: List[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f'loaded {len(self.loaded)} entries'] + [
            f'converted: {what}' for what in self.converted
        ]
        lines += [
            f'{what} {len(names)} entries: {summarize(names)}'
            for what, names in (
                ('dropped', self.dropped),
                ('left at their initial value', self.initial),
            )
            if names
        ]
        if self.mismatched:
            lines.append(
                f'left at their initial value, of another shape: {", ".join(self.mismatched)}'
            )
        return '; '.join(lines)


def summarize(names: List[str]) -> str:
    """Names cut to the module they belong to, with counts, in order of appearance."""
    groups: Dict[str, int] = {}
    for name in names:
        match = re.match(r'roi_head\.mask_head\.\d+\.\w+|[a-z_]+\.\w+|\w+', name)
        group = match[0] if match else name
        groups[group] = groups.get(group, 0) + 1
    return ', '.join(f'{name} ({count})' for name, count in groups.items())


def _harmless_types() -> List[Any]:
    """What a checkpoint may hold beside tensors and containers: numpy scalars and small arrays
    (logs of training)."""
    core = np._core if hasattr(np, '_core') else np.core
    multiarray = core.multiarray
    types: List[Any] = [np.dtype, np.ndarray] + [type(np.dtype(name)) for name in _NUMPY_TYPES]
    for function in (
        multiarray.scalar,
        multiarray._reconstruct,
    ):  # numpy 1 and 2 pickle them under different names
        types += [
            (function, f'{module}.multiarray.{function.__name__}')
            for module in ('numpy.core', 'numpy._core')
        ]
    return types


def check_archive(path: Union[str, Path]) -> None:
    """Raise InputError where the bytes of a checkpoint file are not those that were written.

    Each part of a torch archive has a checksum; a published name ends in one of the whole file
    (`model-<first 8 digits of its sha256>.pth`). Files of torch before 1.6 have none.
    """
    reason = _archive_fault(Path(path))
    if reason:
        raise InputError(
            f'checkpoint {path} is damaged: {reason}; copy or download it again, or take another'
        )


def _archive_fault(path: Path) -> Optional[str]:
    try:
        match = re.search(r'-([0-9a-f]{8})\.pth$', path.name)
        if match and not _is_date(match[1]) and file_hash(path)[:8] != match[1]:
            return 'its content is not what its name says'
        with open(path, 'rb') as file:
            if file.read(4) != b'PK\3\4':
                return None
            with zipfile.ZipFile(file) as archive:
                part = archive.testzip()
        return part and f'the checksum of its part {part} does not agree'
    except OSError:
        return None  # whoever reads it will say it
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        return str(error) or type(error).__name__


def _is_date(text: str) -> bool:
    """Whether a name ends in a date like 20240131."""
    try:
        return datetime.strptime(text, '%Y%m%d').year >= 2000
    except ValueError:
        return False


def file_hash(path: Union[str, Path]) -> str:
    """sha256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_meta(path: Union[str, Path]) -> Optional[Dict]:
    """What a checkpoint says of its run, without reading the weights; empty where it says nothing,
    None where the file cannot be read."""
    try:
        is_archive = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(_harmless_types()):
            content = torch.load(path, map_location='cpu', weights_only=True, mmap=is_archive)
    except Exception as error:  # torch raises many types, by what is wrong with the bytes
        return {} if FORBIDDEN.search(str(error)) else None
    meta = content.get('meta') if isinstance(content, dict) else None
    return meta if isinstance(meta, dict) else {}


def read_checkpoint(path: str, allow_pickle: bool = False) -> Dict:
    """Read a checkpoint file to the CPU.

    Args:
        path: File in torch's format.
        allow_pickle: Also run what an archive asks for beside tensors, containers and numpy
            scalars. A checkpoint from a stranger can then do anything that a program can do.

    Raises:
        InputError: missing, damaged, or asks for more than is harmless; the message names what.
    """
    check_archive(path)
    try:
        if allow_pickle:
            return torch.load(path, map_location='cpu', weights_only=False)
        with torch.serialization.safe_globals(_harmless_types()):
            return torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise InputError(f'checkpoint {path} does not exist') from None
    except IsADirectoryError:
        raise InputError(f'checkpoint {path} is a folder; name a .pth file in it') from None
    except Exception as error:  # torch raises many types, by what is wrong with the bytes
        match = FORBIDDEN.search(str(error))
        if match:
            raise InputError(
                f'checkpoint {path} asks for {match[1]}, which could run code of its author; '
                'if you trust its source, allow it with --allow-pickle'
            ) from None
        reason = ': '.join([type(error).__name__, *str(error).strip().splitlines()[:1]])
        raise InputError(
            f'checkpoint {path} cannot be read: it is damaged, or not a file of torch.save '
            f'({reason[:200]}); copy or download it again'
        ) from None


def extract_state_dict(checkpoint: Dict, path: str) -> Dict[str, Tensor]:
    """The parameters of a checkpoint without wrappers and prefixes."""
    state = checkpoint
    for key in ('state_dict', 'model'):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, Tensor) for value in state.values())
    ):
        raise InputError(
            f'checkpoint {path} holds no parameters (expected names with tensors, or those under '
            '"state_dict")'
        )
    return {re.sub(r'^(module\.)+', '', name): value for name, value in state.items()}


def convert(state: Dict[str, Tensor], model: nn.Module, report: LoadReport) -> Dict[str, Tensor]:
    """Bring the names and values of a state dict to those of `model`; `report` says what was
    done."""
    if not any(re.match(r'(backbone|neck|rpn_head|roi_head)\.', name) for name in state):
        report.converted.append('weights of a classifier go into the backbone')
        state = {f'backbone.{name}': value for name, value in state.items()}
    if any(name.startswith('backbone.layers.') for name in state):
        report.converted.append('official Swin names and patch-merging order')
        backbone = {
            name[len('backbone.') :]: value
            for name, value in state.items()
            if name.startswith('backbone.')
        }
        # the converter drops names that begin with "head", the classifier's
        rest = {name: value for name, value in state.items() if not name.startswith('backbone.')}
        state = {**swin_converter(backbone), **rest}
    own = published_state_dict(model)
    if any(
        value.dtype == torch.float16 and own[name].dtype == torch.float32
        for name, value in state.items()
        if name in own
    ):
        report.converted.append('half to single precision')
    return state


def load_weights(
    model: nn.Module,
    path: str,
    complete: bool,
    allow_pickle: bool = False,
    logger: Optional[logging.Logger] = None,
    ignore_mismatched: bool = False,
) -> Tuple[Dict, LoadReport]:
    """Load a checkpoint into a model; nothing is changed when an error is raised.

    Args:
        model: The detector, without a parallel wrapper.
        path: Checkpoint file.
        complete: Every parameter of the model must be in the checkpoint (testing, resuming).
            Otherwise a K-Net goes into a Video K-Net and ImageNet weights into a backbone; the
            report says what keeps its initial value.
        allow_pickle: See `read_checkpoint`.
        logger: Gets the report.
        ignore_mismatched: Parameters that the checkpoint has in another shape (those of other
            classes) keep their initial value instead of being an error.

    Returns:
        the checkpoint as read, and the report.

    Raises:
        InputError: the file cannot be read or belongs to another model.
    """
    checkpoint = read_checkpoint(path, allow_pickle)
    report = LoadReport()
    state = convert(extract_state_dict(checkpoint, path), model, report)
    own = published_state_dict(model)
    if not set(state) <= set(own) and set(state) <= set(model.state_dict()):
        state = {published_name(name): value for name, value in state.items()}
        report.converted.append('names of the modules, as model.state_dict() has them')
    extra = [name for name in state if name not in own]
    report.dropped = [name for name in extra if _is_known_extra(name)]
    report.initial = [name for name in own if name not in state]

    what = f'checkpoint {path} is of another model than {type(model).__name__}'
    hint = '; give the config that it was trained with (a work dir holds it)'
    for name in [name for name in state if name in own and state[name].shape != own[name].shape]:
        shapes = f'{tuple(state[name].shape)} there and {tuple(own[name].shape)} in the model'
        if not ignore_mismatched:
            option = ', or, where the classes differ on purpose, add --ignore-mismatched'
            raise InputError(
                f'{what}: {name} has the shape {shapes}{hint}{"" if complete else option}'
            )
        report.mismatched.append(f'{name} ({shapes})')
        del state[name]
    report.loaded = [name for name in state if name in own]
    check_finite({name: state[name] for name in report.loaded}, f'checkpoint {path}')
    if not report.loaded:
        raise InputError(f'{what}: they have no parameter in common')
    unknown = [name for name in extra if name not in set(report.dropped)]
    if unknown:
        raise InputError(
            f'{what}: it holds {len(unknown)} parameters that the model does not have: '
            f'{summarize(unknown)[:300]}{hint}'
        )
    missing = _missing(report.initial, state, complete)
    if missing:
        raise InputError(
            f'{what}: it lacks {len(missing)} of its parameters: {summarize(missing)[:300]}{hint}'
        )

    ours = {published_name(name): name for name in model.state_dict()}
    model.load_state_dict({ours[name]: state[name] for name in report.loaded}, strict=False)
    if logger:
        logger.info('checkpoint %s: %s', path, report)
    return checkpoint, report


def check_finite(state: Dict[str, Tensor], what: str) -> None:
    """Raise InputError unless all parameters and statistics are numbers."""
    bad = [
        name
        for name, value in state.items()
        if value.is_floating_point() and not bool(value.isfinite().all())
    ]
    if bad:
        raise InputError(
            f'{what} is of a training that has diverged: {len(bad)} of its entries, such as '
            f'{bad[0]}, hold values that are not finite; take an earlier one'
        )


def _is_known_extra(name: str) -> bool:
    """Whether a model can do without a parameter of a checkpoint."""
    return any(pattern.match(name) for pattern in (OPTIONAL, CLASSIFIER, COMPUTED))


def _missing(initial: List[str], state: Dict[str, Tensor], complete: bool) -> List[str]:
    """Names of `initial` that the checkpoint ought to hold."""
    missing = [name for name in initial if not COMPUTED.match(name)]
    if complete:
        return missing
    if all(name.startswith('backbone.') for name in state):
        missing = [name for name in missing if name.startswith('backbone.')]
    return [name for name in missing if not OPTIONAL.match(name)]
