"""The model of a config, with its first weights."""

from __future__ import annotations

import contextlib
import logging
from typing import Iterator, Optional

import torch
from mmcv import Config
from mmcv.utils import get_logger
from mmdet.models import build_detector

from knet.apis.explain import blame, check_dicts, describe, require
from knet.data import find_dataset
from knet.errors import InputError, Stopped
from knet.models.checkpoint import load_weights
from knet.models.knet import KNet


@contextlib.contextmanager
def blame_config(what: str, logger: logging.Logger) -> Iterator[None]:
    """Say in one line that a first step fails, which after all checks of a config's parts means
    that they do not fit together. The traceback is logged at level DEBUG."""
    try:
        yield
    except (InputError, Stopped):
        raise
    except torch.OutOfMemoryError as error:
        raise InputError(out_of_memory(what, error)) from None
    except Exception as error:
        logger.debug('%s fails', what, exc_info=True)
        raise InputError(
            f'{what} fails: {describe(error, ["torch"])}; the parts of the config do not fit '
            'together: compare it with one in configs/det (channels of backbone and neck, strides '
            'of the heads, None for a number); for the traceback add --cfg-options log_level=DEBUG'
        ) from None


def out_of_memory(what: str, error: Exception) -> str:
    """A message about memory that is not there."""
    return (
        f'{what} needs more memory than there is ({str(error).splitlines()[0]}); try a smaller '
        'data.samples_per_gpu, model.backbone.with_cp=True, or bf16=True'
    )


def build_model(
    cfg: Config,
    load_from: Optional[str] = None,
    allow_pickle: bool = False,
    logger: Optional[logging.Logger] = None,
    complete: bool = False,
    ignore_mismatched: bool = False,
    pretrained: bool = True,
) -> KNet:
    """Model of a config for the classes of its data set.

    Args:
        cfg: Config with `model`, and the data set's name in `data`.
        load_from: Checkpoint with its weights; by default those that `init_cfg` names.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.
        logger: Gets the report of what was loaded.
        complete: The checkpoint must hold all parameters.
        ignore_mismatched: See `knet.models.checkpoint.load_weights`.
        pretrained: Fetch the backbone's weights where there is no checkpoint.

    Raises:
        InputError: the config has no such model, a checkpoint cannot be used, or a pretrained
            backbone cannot be fetched.
    """
    get_logger('mmcv').setLevel('WARNING')  # mmcv would log each parameter that it initializes
    require(cfg, 'model.backbone', 'data.name')
    check_dicts({**cfg.model}, 'model')
    config = cfg.model.copy()
    config.label_space = find_dataset(cfg.data.name).label_space
    if (
        load_from or not pretrained
    ):  # the backbone's weights would be overwritten; do not fetch them
        config.backbone = {**config.backbone, 'init_cfg': None}
    with blame(config, 'model'):
        model = build_detector(config)
    try:
        model.init_weights()
    except Exception as error:  # of the network, of the file, or of init_cfg
        init = config.backbone.get('init_cfg')
        source = init.get('checkpoint') if isinstance(init, dict) else init
        reason = ' '.join(str(error).split())
        raise InputError(
            f'the pretrained backbone {source} cannot be loaded ({reason}); give a checkpoint with '
            '--load-from, or start from random weights with --cfg-options '
            'model.backbone.init_cfg=None'
            if source
            else f'the first weights cannot be set ({reason}); look at init_cfg in model of the '
            'config'
        ) from None
    if load_from:
        load_weights(model, load_from, complete, allow_pickle, logger, ignore_mismatched)
    return model
