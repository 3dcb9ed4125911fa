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
from mmcv.parallel import collate
from mmdet.models import build_detector
from PIL import Image

import knet.models  # noqa: F401
from knet.apis.distributed import unpack_batch
from knet.data import STEPDataset
from knet.step_format import write_panoptic

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
    """`model` with the weights that its own parameter names give; the index buffers of Swin stay."""
    shapes = {name: value.shape for name, value in model.state_dict().items() if not name.endswith('relative_position_index')}
    model.load_state_dict(state_dict(shapes), strict=False)
    return model


def training_batch(root, seed, device='cpu'):
    """What the loader gives of a key and a reference frame (and of the two in reverse), with the reference images in it.

    The ground truth is written as files and comes back through the data set and the transforms; `root` is an empty folder.

    Returns:
        Keyword arguments of `VideoKNet.forward_train` for two pairs: (key, reference) and (reference, key).
    """
    data = np.load(FOLDER / 'train_targets.npz')
    folder = root / 'video_sequence' / 'train'
    for frame, which in enumerate(('key', 'ref')):
        semantic, ids = data[f'{which}_sem'], np.zeros(INPUT_SHAPE, np.uint16)
        for mask, number in zip(data[f'{which}_masks'], data[f'{which}_inst']):
            ids[mask > 0] = number % 1000
        write_panoptic(folder / f'000000_{frame:06d}_panoptic.png', semantic, ids)
        Image.new('RGB', INPUT_SHAPE[::-1]).save(folder / f'000000_{frame:06d}_leftImg8bit.png')
    # two frames: each is the other's only possible reference
    dataset = STEPDataset(str(root), 'train', [dict(type='LoadFrames'), dict(type='PackFrames')])
    _, batch = unpack_batch((), collate([dataset[0], dataset[1]], samples_per_gpu=2), torch.device(device))
    key, reference = images = frames(seed, 2).to(device)
    return {**batch, 'img': images, 'ref_img': torch.stack([reference, key])[:, None]}


def first_pair(batch):
    """The first pair of a batch alone."""
    return {name: values[:1] for name, values in batch.items()}


def key_frames(batch):
    """Keyword arguments of `KNet.forward_train`: the key frames of the pairs as images."""
    return {name: values for name, values in batch.items() if not name.startswith('ref_') and name != 'gt_instance_ids'}
