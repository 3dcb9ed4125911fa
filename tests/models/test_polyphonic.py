"""The published numbers of PolyphonicFormer: names, forward pass, losses, gradients, depth of the
result."""

import numpy as np
import pytest
import torch

from knet.models.checkpoint import published_state_dict
from knet.models.kernels.depth import DepthLoss
from knet.models.kernels.path import PathState
from knet.models.kernels.stage import StageOutput
from knet.models.tracking.embedding import mask_regions
from knet.structures import Frame
from tests import reference

CONFIGS = {
    'image': 'polyphonic/polyphonic_r50_cityscapes_dvps.py',
    'video': 'polyphonic/polyphonic_video_r50_cityscapes_dvps.py',
}
NAMES = {'loss_depth': 'loss_rpn_depth', 'depth_dense': 'rpn_depth_dense'} | {
    f's{stage}_loss_rpn_{name}': f's{stage}_loss_{name}'
    for stage in range(3)
    for name in ('mask', 'dice')
}
"""Names of losses that differ: published → ours."""


@pytest.fixture(scope='module')
def video():
    return reference.with_reference_weights(reference.build(CONFIGS['video']))


@pytest.mark.parametrize('kind', CONFIGS)
def test_parameter_names_and_shapes(kind):
    model = reference.build(CONFIGS[kind])
    entries = {
        name: [list(value.shape), str(value.dtype).split('.')[1]]
        for name, value in published_state_dict(model).items()
    }
    assert entries == reference.expected(f'manifests/polyphonic_{kind}_r50')


def test_forward_pass(video):
    expected = reference.expected('polyphonic_forward_r50')
    outputs = []
    handles = [
        stage.register_forward_hook(lambda module, inputs, output: outputs.append(output))
        for stage in video.roi_head.mask_head
    ]
    results = []
    reference.assert_outputs_match(reference.run_frames(video, expected, results), expected)
    for handle in handles:
        handle.remove()
    for number, output in enumerate(outputs):
        want = expected['stages'][f'roi_head.mask_head.{number % 3}'][number // 3]
        for name, key in (('masks', 'mask_logits'), ('depth', 'depth_logits')):
            assert_close(output.predictions[name].detach(), want[key], 1e-3 * want[key]['std'])
    for result, want in zip(results, expected['results']):
        assert_close(result.outputs['depth'], want['depth'], 1e-3 * want['depth']['std'])
        labels = video.label_space.model_to_train[[s['category_id'] for s in want['segments']]]
        assert result.segments.labels.tolist() == labels.tolist()
        assert result.segments.areas == pytest.approx([s['area'] for s in want['segments']], abs=3)


def assert_close(values, want, tolerance):
    assert list(values.shape) == want['shape']
    count = len(want['at'])
    assert np.abs(reference.sample(values, count) - np.array(want['at'])).max() < tolerance


def test_embeddings_of_regions(video):
    expected = reference.expected('polyphonic_forward_r50')
    masks = np.load(reference.FOLDER / 'train_targets.npz')
    for image, want in zip(reference.frames(expected['seed'], 2), expected['track']):
        regions = mask_regions(torch.from_numpy(masks[want['masks']]) > 0)
        assert torch.allclose(regions, torch.tensor(want['boxes']).clamp(min=0), atol=1e-4)
        with torch.no_grad():
            embeds = video.eval().track_head(video.extract_feat(image[None]), [regions])
        assert_close(embeds, want['embeddings'], 1e-3 * want['embeddings']['std'])


def losses_of(kind, soft, tmp_path):
    """Model, losses under their published names and what is expected."""
    expected = reference.expected('polyphonic_train_r50')
    model = reference.with_reference_weights(reference.build(CONFIGS[kind])).train()
    if soft:  # no matching is a near-tie that rounding decides
        for stage in model.roi_head.mask_head:
            for name in ('masks', 'depth'):
                stage.branches[name].fc_out.weight.data.mul_(expected['soft_factor'])
    key, ref = reference.training_batch(
        tmp_path, expected['seed'], data_set='cityscapes_dvps', with_depth=True
    )
    if kind == 'image':
        losses = model(key)
    else:
        losses = model(reference.first(key), reference.first(ref))
    ours = {value: key for key, value in NAMES.items()}
    losses = {ours.get(name, name): value for name, value in losses.items()}
    return model, losses, expected[f'{kind}_soft' if soft else kind]


@pytest.mark.parametrize('kind', CONFIGS)
def test_training_step(kind, tmp_path):
    reference.assert_training_step_matches(*losses_of(kind, True, tmp_path))


@pytest.mark.parametrize('kind', CONFIGS)
def test_losses_before_the_first_tie(kind, tmp_path):
    """With unscaled weights the last stage is matched by masks that rounding decides on."""
    _, losses, expected = losses_of(kind, False, tmp_path)
    for name, value in expected['losses'].items():
        if not name.startswith('s2_'):
            assert losses[name].item() == pytest.approx(value, rel=1e-4), name


def test_depth_loss():
    expected = reference.expected('polyphonic_train_r50')
    want, shape = expected['depth_loss_alone'], (3, 12, 20)
    rng = np.random.default_rng(expected['seed'])
    logits = torch.from_numpy(rng.standard_normal(shape).astype(np.float32)).requires_grad_()
    weights = torch.from_numpy(rng.integers(0, 5, shape) / 4).float()
    depth = torch.from_numpy(
        np.stack([reference.depth_target(f, expected['seed'])[:12, :20] for f in range(3)])
    )
    loss = DepthLoss(want['loss_weight'], scale_invariant=False)(logits, depth, weights)
    loss.backward()
    assert loss.item() == pytest.approx(want['value'], rel=1e-5)
    assert logits.grad.norm().item() == pytest.approx(want['grad_norm'], rel=1e-4)


@pytest.mark.parametrize('key, size', [('depth', (90, 150)), ('depth_at_180x300', (180, 300))])
def test_depth_of_the_segments(key, size, monkeypatch):
    """Of given logits, through `step`; only the network before the result is replaced."""
    data = np.load(reference.FOLDER / 'panoptic_merge.npz')
    expected = reference.expected('polyphonic_depth_merge')
    branches = 'model.roi_head.mask_head.branches'
    model = reference.build(
        CONFIGS['image'],
        **{
            'data.name': 'kitti_step',
            f'{branches}.masks.upsample_stride': expected['upsample'],
            f'{branches}.depth.upsample_stride': expected['upsample'],
        },
    ).eval()
    rng = np.random.default_rng(expected['seed'])
    depth, dense = (
        torch.from_numpy((2 * rng.standard_normal((count, 24, 40))).astype(np.float32))[None]
        for count in (117, 1)
    )
    predictions = {
        name: torch.from_numpy(data[file]).float()[None]
        for name, file in (('classes', 'cls'), ('masks', 'masks'))
    }
    output = StageOutput(
        torch.zeros(1), torch.zeros(1), dict(predictions, depth=depth),
        dict(depth=PathState(dense, dense, dense)),
    )  # fmt: skip
    for part in (model.backbone, model.neck, model.rpn_head):
        monkeypatch.setattr(part, 'forward', lambda feats: feats)
    monkeypatch.setattr(model.roi_head, 'before_last_stage', lambda feats: feats)
    monkeypatch.setattr(model.roi_head, 'last_stage', lambda inputs, previous: output)
    image = torch.zeros(3, *expected['batch_input_shape'])
    result, _ = model.step(Frame(image, (90, 150), size), model.new_state())
    assert_close(result.outputs['depth'], expected[key], 1e-4)
    if key == 'depth':
        for number, want in enumerate(expected['segments']):
            own = result.outputs['depth'][result.segment_map == number + 1]
            if want['id']:
                assert own.mean() == pytest.approx(want['mean_depth'], abs=1e-3)
