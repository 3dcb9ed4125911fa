"""Weights, inputs and expected numbers of the published implementation.

Weights and inputs follow from names and seeds, so that no weight file is needed; the numbers in `data/reference` are what
the published Video K-Net computes with them (mmcv-full 1.7.2, CPU, float32).
"""
import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from mmcv import Config
from mmdet.core import BitmapMasks
from mmdet.models import build_detector

import knet.models  # noqa: F401
from knet.label_space import STEP

FOLDER = Path(__file__).parent / 'data' / 'reference'
CONFIGS = Path(__file__).parents[1] / 'configs' / 'det'
INPUT_SHAPE, IMG_SHAPE = (96, 160), (90, 150, 3)


def expected(name):
    """Content of one of the json files."""
    return json.loads((FOLDER / f'{name}.json').read_text())


def parameter_value(name, shape):
    """Value of the parameter or buffer `name`."""
    leaf = name.rsplit('.', 1)[-1]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if leaf == 'num_batches_tracked':
        return np.zeros(shape, np.int64)
    x = rng.standard_normal(shape).astype(np.float32)
    if leaf == 'running_mean':
        return .1 * x
    if leaf == 'running_var':
        return 1 + .1 * np.abs(x)
    if len(shape) <= 1:
        return (1 + .05 * x) if leaf == 'weight' else .02 * x
    return x / np.float32(math.sqrt(np.prod(shape[1:])))


def state_dict(shapes):
    """Values for a dict name → shape."""
    return {name: torch.from_numpy(np.asarray(parameter_value(name, tuple(shape)))) for name, shape in shapes.items()}


def frames(seed, count):
    """Network inputs, (count, 3, 96, 160)."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 3, *INPUT_SHAPE)).astype(np.float32))


def sample(array, count=64):
    """The values that the json files list under 'at'."""
    flat = np.asarray(array, np.float32).reshape(-1)
    return flat[np.linspace(0, flat.size - 1, min(count, flat.size)).astype(np.int64)]


def build(config, **options):
    """Model of a config file below configs/det, without pretrained weights, with BN in place of SyncBN."""
    cfg = Config.fromfile(str(CONFIGS / config))
    cfg.merge_from_dict({'model.backbone.init_cfg': None, **options})
    if cfg.model.backbone.type == 'ResNet':
        cfg.model.backbone.norm_cfg.type = 'BN'
    return build_detector(cfg.model)


def with_reference_weights(model):
    """`model` with the weights that its own parameter names give."""
    model.load_state_dict(state_dict({name: value.shape for name, value in model.state_dict().items()}))
    return model


def targets(which):
    """Ground truth of the 'key' or 'ref' frame: masks, labels (n,), instance ids (n,), semantic map (1, H, W) in model classes."""
    data = np.load(FOLDER / 'train_targets.npz')
    return dict(masks=BitmapMasks(data[f'{which}_masks'].astype(np.uint8), *INPUT_SHAPE),
                labels=torch.from_numpy(data[f'{which}_labels']).long(),
                instance_ids=torch.from_numpy(data[f'{which}_inst']).long(),
                semantic=torch.from_numpy(STEP.train_to_model[data[f'{which}_sem']])[None])


def pair_targets():
    """Keyword arguments of `VideoKNet.forward_train` for one pair, without images."""
    key, ref = targets('key'), targets('ref')

    def with_index(values):
        return torch.stack([torch.zeros_like(values), values], 1)

    return dict(img_metas=[{}], gt_masks=[key['masks']], gt_labels=[key['labels']], gt_semantic_seg=key['semantic'][None],
                gt_instance_ids=[key['instance_ids']], ref_gt_masks=[[ref['masks']]], ref_gt_labels=[with_index(ref['labels'])],
                ref_gt_semantic_seg=ref['semantic'][None, None], ref_gt_instance_ids=[with_index(ref['instance_ids'])])
