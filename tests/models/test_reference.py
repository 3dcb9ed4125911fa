"""The published numbers: names, forward pass, losses, gradients, merge and tracker."""
import numpy as np
import pytest
import torch

from knet.models.panoptic_fusion import KernelMasks, merge_joint, rescale_masks, select_kernels
from knet.models.quasi_dense_tracker import QuasiDenseTracker
from tests import reference

VIDEO = 'video_knet_kitti_step/video_knet_s3_%s_kitti_step_sigmoid_stride2_mask_embed_link_ffn_joint_%s.py'
R50 = VIDEO % ('r50_rpn_1x', 'train')
MODELS = {
    'knet_cityscapes_step_r50': 'knet_cityscapes_step/knet_s3_r50_fpn.py',
    'knet_cityscapes_step_r50_fpn8': 'knet_cityscapes_step/knet_s3_r50_fpn8.py',
    'knet_cityscapes_step_swin_b': 'knet_cityscapes_step/knet_s3_swin_b_fpn.py',
    'knet_cityscapes_step_swin_l': 'knet_cityscapes_step/knet_s3_swin_l_fpn.py',
    'video_knet_kitti_step_r50': R50,
    'video_knet_kitti_step_r50_fpn8': VIDEO % ('r50_fpn8_rpn_1x', 'train'),
    'video_knet_kitti_step_swin_b_joint_update': VIDEO % ('swinb_rpn_1x', 'update'),
    'video_knet_kitti_step_swin_l_update_conv_short_track_fc': VIDEO % ('swinl_rpn_1x', 'train_update_conv_short_track_fc'),
}


@pytest.fixture(scope='module')
def video_r50():
    return reference.with_reference_weights(reference.build(R50))


def run_frames(model, expected):
    """Outputs of the hooked submodules over the frames: name → call → list of arrays."""
    calls = {name: [] for name in expected['modules']}
    handles = []
    for name in calls:
        def keep(module, inputs, output, name=name):
            outputs = output if isinstance(output, (tuple, list)) else [output]
            calls[name].append([tensor.detach().numpy() for tensor in outputs])
        handles.append(model.get_submodule(name).register_forward_hook(keep))
    model.eval()
    for t, frame in enumerate(reference.frames(expected['seed'], expected['frames'])):
        model.simple_test(frame[None], [dict(img_shape=reference.IMG_SHAPE, ori_shape=reference.IMG_SHAPE, sequence=0, frame=t)])
    for handle in handles:
        handle.remove()
    return calls


def assert_outputs_match(calls, expected):
    for name, want in expected['modules'].items():
        got = calls[name]
        if name.endswith('feat_transform') and len(want) > len(got):
            want = want[:2] + want[3::2]  # the published code runs this layer once more per frame and does not use the result
        assert len(got) == len(want), name
        for call, (outputs, references) in enumerate(zip(got, want)):
            for output, numbers in zip(outputs, references):
                assert list(output.shape) == numbers['shape'], name
                deviation = np.abs(reference.sample(output) - np.array(numbers['at'], np.float32)).max() / numbers['std']
                assert deviation < 1e-3, (name, call, deviation)


@pytest.mark.parametrize('name', MODELS)
def test_parameter_names_and_shapes(name):
    manifest = reference.expected(f'manifests/{name}')
    unused_links = {key for key in manifest if key.startswith(('roi_head.mask_head.0.', 'roi_head.mask_head.1.'))
                    and key.split('.')[3].startswith(('attention_previous', 'link_ffn'))}
    shapes = {key: list(value.shape) for key, value in reference.build(MODELS[name]).state_dict().items()}
    if 'swin' in name:  # mmdet names the backbone's parameters differently, see test_checkpoint.py
        shapes = {key: value for key, value in shapes.items() if not key.startswith('backbone.')}
        manifest = {key: value for key, value in manifest.items() if not key.startswith('backbone.')}
    assert shapes == {key: value for key, value in manifest.items() if key not in unused_links}


def test_forward_pass_of_r50(video_r50):
    expected = reference.expected('video_forward_r50')
    assert_outputs_match(run_frames(video_r50, expected), expected)


def test_forward_pass_of_8_level_fpn():
    expected = reference.expected('video_forward_r50_fpn8')
    model = reference.with_reference_weights(reference.build(MODELS['video_knet_kitti_step_r50_fpn8']))
    assert_outputs_match(run_frames(model, expected), expected)


def test_forward_pass_with_update_obj_and_link_atten():
    expected = reference.expected('video_forward_r50_update_obj_link_atten')
    options = {'model.roi_head.mask_head.previous_type': 'update_obj', 'model.roi_head.mask_head.previous_link': 'link_atten'}
    model = reference.with_reference_weights(reference.build(R50, **options))
    assert_outputs_match(run_frames(model, expected), expected)


def assert_training_step_matches(model, losses, expected):
    for name, value in expected['losses'].items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name
    assert set(losses) == set(expected['losses'])
    total = sum(value for name, value in losses.items() if 'loss' in name)
    assert total.item() == pytest.approx(expected['total'], rel=1e-4)
    model.zero_grad()
    total.backward()
    for name, value in expected['grad_norms'].items():
        assert model.get_parameter(name).grad.norm().item() == pytest.approx(value, rel=1e-3), name
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None] == []


def test_training_step_of_video_knet(video_r50):
    expected = reference.expected('video_train_r50')
    images = reference.frames(expected['seed'], 2)
    losses = video_r50.train().forward_train(img=images[:1], ref_img=images[None, 1:], **reference.pair_targets())
    assert_training_step_matches(video_r50, losses, expected)


def test_training_step_of_knet():
    expected = reference.expected('image_train_r50')
    model = reference.with_reference_weights(reference.build(MODELS['knet_cityscapes_step_r50'])).train()
    key, ref = reference.targets('key'), reference.targets('ref')
    losses = model.forward_train(reference.frames(expected['seed'], 2), [{}, {}], [key['masks'], ref['masks']],
                                 [key['labels'], ref['labels']], torch.stack([key['semantic'], ref['semantic']]))
    assert_training_step_matches(model, losses, expected)


def test_panoptic_merge():
    data, expected = np.load(reference.FOLDER / 'panoptic_merge.npz'), reference.expected('panoptic_merge')
    mask_logits = torch.nn.functional.interpolate(torch.from_numpy(data['masks']).float()[None], scale_factor=expected['upsample'],
                                                  mode='bilinear', align_corners=False)[0]
    kernels, labels, scores = select_kernels(torch.from_numpy(data['cls']).float().sigmoid(), 100, 2, 100)
    masks = rescale_masks(mask_logits[kernels], expected['batch_input_shape'], expected['ori_shape'], expected['ori_shape'])
    segments = merge_joint(KernelMasks(masks, scores, labels, kernels, 100), instance_score_thr=0.3, overlap_thr=0.6)
    np.testing.assert_array_equal(segments.map.numpy(), data['panoptic'])
    assert segments.kernels[segments.is_thing].tolist() == expected['thing_kernels']
    assert len(segments.labels) == len(expected['segments'])
    for i, want in enumerate(expected['segments']):
        assert segments.is_thing[i].item() == want['isthing']
        if want['isthing']:
            assert segments.labels[i].item() == want['category_id']
            assert segments.candidates[i].item() == want['instance_id']
            assert segments.scores[i].item() == pytest.approx(want['score'], abs=1e-5)
        else:  # published ids of stuff segments count the things as one class
            assert segments.labels[i].item() - 1 == want['category_id']
            assert segments.areas[i].item() == want['area']


def test_tracker():
    expected = reference.expected('tracker')
    options = {key: value for key, value in expected['config'].items() if key not in ('with_cats', 'match_metric', 'nms_conf_thr')}
    tracker = QuasiDenseTracker(**options)
    for frame in expected['frames']:
        boxes = torch.tensor(frame['bboxes'])
        ids = tracker.track(boxes[:, :4], boxes[:, 4], torch.tensor(frame['labels']), torch.tensor(frame['embeds']), frame['frame_id'])
        assert ids.tolist() == frame['ids']
