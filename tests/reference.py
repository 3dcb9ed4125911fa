"""Weights, inputs and expected numbers of the published implementation.

Weights and inputs follow from names and seeds, so that no weight file is needed; the numbers in
`data/reference` are what the published Video K-Net computes with them (mmcv-full 1.7.2, CPU,
float32).
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from knet.apis import build_model, load_config
from knet.data import SegmentationDataset, find_dataset
from knet.data.loaders import collate
from knet.data.transforms import TestTransform
from knet.models.checkpoint import published_name, published_state_dict
from knet.step_format import write_depth, write_panoptic
from knet.structures import Frame, to_device

FOLDER = Path(__file__).parent / 'fixtures' / 'reference'
CONFIGS = Path(__file__).parents[1] / 'configs' / 'det'
INPUT_SHAPE, IMG_SIZE = (96, 160), (90, 150)


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
        return 0.1 * x
    if leaf == 'running_var':
        return 1 + 0.1 * np.abs(x)
    if len(shape) <= 1:
        return (1 + 0.05 * x) if leaf == 'weight' else 0.02 * x
    return x / np.float32(math.sqrt(np.prod(shape[1:])))


def state_dict(shapes):
    """Values for a dict name → shape."""
    return {
        name: torch.from_numpy(np.asarray(parameter_value(name, tuple(shape))))
        for name, shape in shapes.items()
    }


def frames(seed, count):
    """Network inputs, (count, 3, 96, 160)."""
    return torch.from_numpy(
        np.random.default_rng(seed).standard_normal((count, 3, *INPUT_SHAPE)).astype(np.float32)
    )


def sample(array, count=64):
    """The values that the json files list under 'at'."""
    flat = np.asarray(array, np.float32).reshape(-1)
    return flat[np.linspace(0, flat.size - 1, min(count, flat.size)).astype(np.int64)]


def build(config, **options):
    """Model of a config file below configs/det, without pretrained weights, with BN in place of
    SyncBN."""
    cfg = load_config(str(CONFIGS / config), {'model.backbone.init_cfg': None, **options})
    if cfg.model.backbone.type == 'ResNet':
        cfg.model.backbone.norm_cfg.type = 'BN'
    return build_model(cfg)


def with_reference_weights(model):
    """`model` with the weights that its published parameter names give; the index buffers of Swin
    stay."""
    shapes = {
        name: value.shape
        for name, value in published_state_dict(model).items()
        if not name.endswith('relative_position_index')
    }
    values = state_dict(shapes)
    ours = {published_name(name): name for name in model.state_dict()}
    model.load_state_dict({ours[name]: value for name, value in values.items()}, strict=False)
    return model


def published_module(model, name):
    """Submodule that the published code calls `name`."""
    leaf = name + '.'
    for own, _ in model.named_modules():
        if published_name(f'{own}.') == leaf:
            return model.get_submodule(own)
    raise KeyError(name)


def depth_target(frame, seed, shape=INPUT_SHAPE):
    """Depth of the key frame (0) or the reference frame (1), metres, 0 = no label."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    depth = np.minimum(2 + (3 * x + 5 * y + 11 * frame + seed) % 160 / 2, 80)
    return np.where((x + 2 * y + frame + seed) % 7 == 0, 0, depth).astype(np.float32)


def training_batch(root, seed, device='cpu', data_set='kitti_step', with_depth=False):
    """What the loader gives of a key and a reference frame (and of the two in reverse), with the
    reference images in it.

    The ground truth is written as files and comes back through the data set and the transforms;
    `root` is an empty folder.

    Returns:
        Key frames and reference frames of two pairs: (key, reference) and (reference, key).
    """
    data = np.load(FOLDER / 'train_targets.npz')
    folder = root / 'video_sequence' / 'train'
    for frame, which in enumerate(('key', 'ref')):
        semantic, ids = data[f'{which}_sem'], np.zeros(INPUT_SHAPE, np.uint16)
        for mask, number in zip(data[f'{which}_masks'], data[f'{which}_inst']):
            ids[mask > 0] = number % 1000
        write_panoptic(folder / f'000000_{frame:06d}_panoptic.png', semantic, ids)
        Image.new('RGB', INPUT_SHAPE[::-1]).save(folder / f'000000_{frame:06d}_leftImg8bit.png')
        if with_depth:
            write_depth(folder / f'000000_{frame:06d}_depth.png', depth_target(frame, seed))
    # two frames: each is the other's only possible reference
    info = find_dataset(data_set)
    dataset = SegmentationDataset(
        info,
        'train',
        TestTransform(len(info.label_space.thing_ids)),
        root,
        num_references=1,
        with_truth=True,
        with_depth=with_depth,
    )
    key_frames, references = to_device(collate([dataset[0], dataset[1]]), device)
    key_frames.images = frames(seed, 2).to(device)
    references.images = key_frames.images.flip(0)
    return key_frames, references


def first(batch):
    """The first frame of a batch alone."""
    return type(batch)(batch.images[:1], batch.targets[:1])


def run_frames(model, expected, results=None):
    """Outputs of the hooked submodules over the frames: name → call → list of arrays; `results`
    gets the results of the frames."""
    results = [] if results is None else results
    calls = {name: [] for name in expected['modules']}
    handles = []
    for name in calls:

        def keep(module, inputs, output, name=name):
            outputs = output if isinstance(output, (tuple, list)) else [output]
            calls[name].append([tensor.detach().cpu().numpy() for tensor in outputs])

        handles.append(published_module(model, name).register_forward_hook(keep))
    model.eval()
    device, state = next(model.parameters()).device, model.new_state()
    for image in frames(expected['seed'], expected['frames']).to(device):
        result, state = model.step(Frame(image, IMG_SIZE, IMG_SIZE), state)
        results.append(result)
    for handle in handles:
        handle.remove()
    return calls


def assert_outputs_match(calls, expected):
    for name, want in expected['modules'].items():
        got = calls[name]
        if name.endswith('feat_transform') and len(want) > len(got):
            want = (
                want[:2] + want[3::2]
            )  # the published code runs this layer once more per frame and does not use the result
        assert len(got) == len(want), name
        for call, (outputs, references) in enumerate(zip(got, want)):
            for output, numbers in zip(outputs, references):
                # the published kernels have an axis for the pixels of a kernel, of length one
                assert [n for n in output.shape if n > 1] == [
                    n for n in numbers['shape'] if n > 1
                ], name
                deviation = (
                    np.abs(sample(output) - np.array(numbers['at'], np.float32)).max()
                    / numbers['std']
                )
                assert deviation < 1e-3, (name, call, deviation)


def assert_training_step_matches(model, losses, expected):
    for name, value in expected['losses'].items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name
    assert set(losses) == set(expected['losses'])
    total = sum(value for name, value in losses.items() if 'loss' in name)
    assert total.item() == pytest.approx(expected['total'], rel=1e-4)
    model.zero_grad()
    total.backward()
    gradients = {published_name(name): parameter for name, parameter in model.named_parameters()}
    for name, value in expected['grad_norms'].items():
        assert gradients[name].grad.norm().item() == pytest.approx(value, rel=1e-3), name
    assert [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ] == []
