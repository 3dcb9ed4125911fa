"""What must hold on a GPU; skipped without one. `sh tools/run_tests.sh -m cuda` runs these tests
alone."""

import gc
import json
import re
import sys

import pytest
import torch
from mmcv.runner import build_optimizer

from knet.apis import build_model, load_config
from knet.apis.runner import wrap_model
from knet.data import build_train_dataset, build_train_loader
from knet.models.precision import PRECISIONS
from knet.structures import Frame
from tests import reference
from tests.conftest import run, run_tool
from tests.models.test_polyphonic import CONFIGS as POLYPHONIC
from tests.models.test_reference import MODELS, R50, soften

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'),
]
SWIN_B = MODELS['video_knet_kitti_step_swin_b_joint_update']
GPU_MEMORY = 16e9  # bytes of the smallest V100


@pytest.fixture(autouse=True)
def exact_float32(monkeypatch):
    """GPUs round the factors of float32 products to 10 bits where they may (TF32); comparisons need
    all of them."""
    monkeypatch.setattr(torch.backends.cuda.matmul, 'allow_tf32', False)
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


def test_forward_pass_of_r50():
    expected = reference.expected('video_forward_r50')
    model = reference.with_reference_weights(reference.build(R50)).cuda()
    reference.assert_outputs_match(reference.run_frames(model, expected), expected)


def test_forward_pass_of_polyphonicformer():
    expected = reference.expected('polyphonic_forward_r50')
    model = reference.with_reference_weights(reference.build(POLYPHONIC['video'])).cuda()
    results = []
    reference.assert_outputs_match(reference.run_frames(model, expected, results), expected)
    for result, want in zip(results, expected['results']):
        depth = reference.sample(result.outputs['depth'], len(want['depth']['at']))
        assert abs(depth - want['depth']['at']).max() < 1e-3 * want['depth']['std']


def run_network(model, image, previous=None):
    """Output of the last stage."""
    with torch.no_grad():
        return model.roi_head(model.rpn_head(model.extract_feat(image)), previous)[-1]


@pytest.mark.parametrize('config', [R50, SWIN_B])
def test_outputs_are_those_of_the_cpu(config):
    first, second = reference.frames(7, 2)[:, None]
    outputs = []
    for device in ('cpu', 'cuda'):
        model = reference.with_reference_weights(reference.build(config)).eval().to(device)
        outputs.append(
            run_network(model, second.to(device), run_network(model, first.to(device)).kernels)
        )
    cpu_tensors, cuda_tensors = (
        [out.kernels, out.track_feats, *out.predictions.values()] for out in outputs
    )
    for cpu, cuda in zip(cpu_tensors, cuda_tensors):
        assert ((cuda.cpu() - cpu).abs().max() / cpu.std()).item() < 1e-3


def test_training_step_of_video_knet(tmp_path):
    expected = reference.expected('video_train_clear_r50')
    model = soften(
        reference.with_reference_weights(reference.build(R50)), expected['fc_mask_weight_factor']
    ).cuda()
    key, ref = reference.training_batch(tmp_path, expected['seed'], 'cuda')
    losses = model(reference.first(key), reference.first(ref))
    reference.assert_training_step_matches(model, losses, expected)


def test_training_step_of_knet(tmp_path):
    expected = reference.expected('image_train_clear_r50')
    model = soften(
        reference.with_reference_weights(reference.build(MODELS['knet_cityscapes_step_r50'])),
        expected['fc_mask_weight_factor'],
    ).cuda()
    key, _ = reference.training_batch(tmp_path, expected['seed'], 'cuda')
    reference.assert_training_step_matches(model, model(key), expected)


@pytest.mark.parametrize(
    'precision',
    [[], ['fp16.loss_scale=dynamic'], ['bf16=True']],
    ids=['float32', 'float16', 'bfloat16'],
)
def test_training_and_testing_in_each_precision(precision, tiny_config, tmp_path):
    if precision == ['bf16=True'] and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip('this GPU has no bfloat16')
    done = run_tool(
        'train',
        tiny_config,
        '--work-dir',
        tmp_path,
        '--seed',
        3,
        '--cfg-options',
        'runner.max_epochs=1',
        *precision,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (log,) = tmp_path.glob('*.log.json')
    losses = [
        row['loss']
        for row in map(json.loads, log.read_text().splitlines())
        if row.get('mode') == 'train'
    ]
    assert len(losses) == 2 and all(0 < loss < 1000 for loss in losses)
    assert re.search(r'STQ: \d', done.stderr + done.stdout)


def test_distributed_training_with_nccl(tiny_config, tmp_path):
    done = run(
        'sh',
        'tools/dist_train.sh',
        'toy',
        tiny_config,
        torch.cuda.device_count(),
        tmp_path,
        '--seed',
        3,
        PYTHON=sys.executable,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    state = torch.load(tmp_path / 'latest.pth', weights_only=True)['state_dict']
    assert all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize('config', [R50, SWIN_B])
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_clips_give_what_single_frames_give(config, precision):
    """All frames but one pixel in fifty, in half precision one in ten: networks with random weights
    are never sure."""
    model = reference.with_reference_weights(reference.build(config)).eval().cuda()
    model.precision = PRECISIONS[precision]
    frames = [Frame(image, image.shape[1:], image.shape[1:]) for image in reference.frames(7, 4)]
    together, _ = model.step_clip(frames, model.new_state())
    state, differ = model.new_state(), []
    for frame, found in zip(frames, together):
        alone, state = model.step(frame, state)
        differ.append((alone.semantic != found.semantic).mean())
    assert max(differ) < (0.02 if precision == 'fp32' else 0.1)


@pytest.mark.parametrize('config', [R50, SWIN_B])
def test_network_does_not_wait_for_the_gpu(config):
    """In testing, from the image to the logits of the last stage."""
    model = reference.build(config).eval().cuda()
    image = reference.frames(0, 1).cuda()
    previous = run_network(model, image).kernels
    torch.cuda.set_sync_debug_mode('error')
    try:
        run_network(model, image, previous)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.fixture(scope='module')
def large_frames(tmp_path_factory):
    """Toy videos in the size of KITTI-STEP."""
    from make_toy_step import make_toy_step

    root = tmp_path_factory.mktemp('large')
    make_toy_step(root, train_sequences=1, val_sequences=0, frames=3, size=(384, 1248))
    return root


@pytest.mark.parametrize('config', [R50, SWIN_B])
def test_training_step_fits_a_v100_of_16_gb(config, large_frames):
    cfg = load_config(
        str(reference.CONFIGS / config),
        {'model.backbone.init_cfg': None, 'data.root': str(large_frames)},
    )
    if 'norm_cfg' in cfg.model.backbone:
        cfg.model.backbone.norm_cfg.type = 'BN'
    model = wrap_model(build_model(cfg), distributed=False).train()
    optimizer = build_optimizer(model, cfg.optimizer)
    gc.collect()  # what earlier tests left behind does not count
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    for _, batch in zip(range(2), build_train_loader(build_train_dataset(cfg.data, 1), 1, 0)):
        loss = model.train_step(batch, optimizer)['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.cuda.max_memory_reserved() < GPU_MEMORY
