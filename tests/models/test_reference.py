"""The published numbers: names, forward pass, losses, gradients, merge and tracker."""

import numpy as np
import pytest
import torch

from knet.apis import build_model, load_config
from knet.models.checkpoint import published_name, published_state_dict
from knet.models.kernels.stage import StageOutput
from knet.models.tracking.tracker import QuasiDenseTracker
from knet.structures import Frame, TrackerState
from tests import reference

VIDEO = (
    'video_knet_kitti_step/'
    'video_knet_s3_%s_kitti_step_sigmoid_stride2_mask_embed_link_ffn_joint_%s.py'
)
R50 = VIDEO % ('r50_rpn_1x', 'train')
MODELS = {
    'knet_cityscapes_step_r50': 'knet_cityscapes_step/knet_s3_r50_fpn.py',
    'knet_cityscapes_step_r50_fpn8': 'knet_cityscapes_step/knet_s3_r50_fpn8.py',
    'knet_cityscapes_step_swin_b': 'knet_cityscapes_step/knet_s3_swin_b_fpn.py',
    'knet_cityscapes_step_swin_l': 'knet_cityscapes_step/knet_s3_swin_l_fpn.py',
    'video_knet_kitti_step_r50': R50,
    'video_knet_kitti_step_r50_fpn8': VIDEO % ('r50_fpn8_rpn_1x', 'train'),
    'video_knet_kitti_step_swin_b_joint_update': VIDEO % ('swinb_rpn_1x', 'update'),
    'video_knet_kitti_step_swin_l_update_conv_short_track_fc': VIDEO
    % ('swinl_rpn_1x', 'train_update_conv_short_track_fc'),
}


@pytest.fixture(scope='module')
def video_r50():
    return reference.with_reference_weights(reference.build(R50))


def is_unused_link(name):
    """Whether a parameter is one of those that the published models carry in their first two stages
    and never use."""
    return name.startswith(('roi_head.mask_head.0.', 'roi_head.mask_head.1.')) and name.split('.')[
        3
    ].startswith(('attention_previous', 'link_ffn'))


@pytest.mark.parametrize('name', MODELS)
def test_parameter_names_and_shapes(name):
    manifest = reference.expected(f'manifests/{name}')
    shapes = {
        key: list(value.shape)
        for key, value in published_state_dict(reference.build(MODELS[name])).items()
    }
    if 'swin' in name:  # mmdet names the backbone's parameters differently, see test_checkpoint.py
        shapes = {key: value for key, value in shapes.items() if not key.startswith('backbone.')}
        manifest = {
            key: value for key, value in manifest.items() if not key.startswith('backbone.')
        }
    assert shapes == {key: value for key, value in manifest.items() if not is_unused_link(key)}


def test_forward_pass_of_r50(video_r50):
    expected = reference.expected('video_forward_r50')
    reference.assert_outputs_match(reference.run_frames(video_r50, expected), expected)


def test_forward_pass_of_8_level_fpn():
    expected = reference.expected('video_forward_r50_fpn8')
    model = reference.with_reference_weights(
        reference.build(MODELS['video_knet_kitti_step_r50_fpn8'])
    )
    reference.assert_outputs_match(reference.run_frames(model, expected), expected)


def test_forward_pass_with_update_obj_and_link_atten():
    expected = reference.expected('video_forward_r50_update_obj_link_atten')
    options = {
        'model.roi_head.track_link': dict(type='UpdatedLink', by='query'),
        'model.roi_head.kernel_link': dict(type='AttentionLink'),
    }
    model = reference.with_reference_weights(reference.build(R50, **options))
    reference.assert_outputs_match(reference.run_frames(model, expected), expected)


def soften(model, factor):
    """Scale the mask kernels as the clear reference step does, so that no matching is a near-tie
    that rounding decides."""
    for stage in model.roi_head.mask_head:
        stage.branches['masks'].fc_out.weight.data.mul_(factor)
    return model.train()


def test_training_step_of_video_knet(tmp_path):
    expected = reference.expected('video_train_clear_r50')
    model = soften(
        reference.with_reference_weights(reference.build(R50)), expected['fc_mask_weight_factor']
    )
    key, ref = reference.training_batch(tmp_path, expected['seed'])
    reference.assert_training_step_matches(
        model, model(reference.first(key), reference.first(ref)), expected
    )


def test_training_step_of_knet(tmp_path):
    expected = reference.expected('image_train_clear_r50')
    model = soften(
        reference.with_reference_weights(reference.build(MODELS['knet_cityscapes_step_r50'])),
        expected['fc_mask_weight_factor'],
    )
    key, _ = reference.training_batch(tmp_path, expected['seed'])
    reference.assert_training_step_matches(model, model(key), expected)


def test_first_weights():
    """Mean and deviation of every first weight of a model that is built and initialized as training
    does it."""
    for kind, config in (('image', MODELS['knet_cityscapes_step_r50']), ('video', R50)):
        torch.manual_seed(0)
        model = build_model(
            load_config(str(reference.CONFIGS / config), {'model.backbone.init_cfg': None})
        )
        weights = {
            published_name(name): value
            for name, value in model.named_parameters()
            if not name.startswith('backbone.')
        }
        expected = {
            name: value
            for name, value in reference.expected('initial_weights_r50')[kind].items()
            if not is_unused_link(name)
        }
        assert set(weights) == set(expected)
        for name, (shape, mean, std) in expected.items():
            value, number = weights[name].detach().double(), weights[name].numel()
            assert list(value.shape) == shape, name
            # two draws: both figures scatter
            assert value.std(correction=0).item() == pytest.approx(
                std, rel=max(0.03, 5 / number**0.5), abs=1e-7
            ), name
            assert value.mean().item() == pytest.approx(
                mean, abs=6 * std * (2 / number) ** 0.5 + 1e-6
            ), name


def test_panoptic_merge(monkeypatch):
    """Of given mask and class logits, through `step`; only the network before the merge is
    replaced."""
    data, expected = (
        np.load(reference.FOLDER / 'panoptic_merge.npz'),
        reference.expected('panoptic_merge'),
    )
    model = reference.build(
        MODELS['knet_cityscapes_step_r50'],
        **{'model.roi_head.mask_head.branches.masks.upsample_stride': expected['upsample']},
    ).eval()
    predictions = {
        name: torch.from_numpy(data[key]).float()[None]
        for name, key in (('classes', 'cls'), ('masks', 'masks'))
    }
    output = StageOutput(None, None, predictions)
    for part in (model.backbone, model.neck, model.rpn_head):
        monkeypatch.setattr(part, 'forward', lambda feats: feats)
    monkeypatch.setattr(model.roi_head, 'before_last_stage', lambda feats: (feats,) * 3)
    monkeypatch.setattr(model.roi_head, 'last_stage', lambda inputs, previous: output)
    size = tuple(expected['ori_shape'])
    result, _ = model.step(
        Frame(torch.zeros(3, *expected['batch_input_shape']), size, size), model.new_state()
    )

    panoptic, segments, to_train = (
        data['panoptic'],
        result.segments,
        model.label_space.model_to_train,
    )
    assert len(segments) == len(expected['segments']) == panoptic.max()
    for number, want in enumerate(expected['segments'], 1):
        # published ids of stuff classes count the things as one class
        label = to_train[want['category_id'] if want['isthing'] else want['category_id'] + 1]
        mask = panoptic == number
        assert segments.labels[number - 1] == label and segments.areas[number - 1] == mask.sum()
        assert (result.semantic[mask] == label).all()
        np.testing.assert_array_equal(result.instance == number, mask & want['isthing'])
        if want['isthing']:
            assert segments.ids[number - 1] == number and segments.scores[
                number - 1
            ] == pytest.approx(want['score'], abs=1e-5)


def test_tracker():
    expected = reference.expected('tracker')
    options = {
        key: value
        for key, value in expected['config'].items()
        if key not in ('with_cats', 'match_metric', 'nms_conf_thr')
    }
    tracker = QuasiDenseTracker(**options)
    state = TrackerState()
    for frame in expected['frames']:
        assert state.frame == frame['frame_id']
        boxes = torch.tensor(frame['bboxes'])
        ids, state = tracker.track(
            boxes[:, :4],
            boxes[:, 4],
            torch.tensor(frame['labels']),
            torch.tensor(frame['embeds']),
            state,
        )
        assert ids.tolist() == frame['ids']
