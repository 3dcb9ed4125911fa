"""Checkpoints in the published layouts, of other models, damaged, and unsafe."""

import numpy as np
import pytest
import torch
from mmdet.models.backbones.swin import SwinTransformer, WindowMSA
from mmdet.models.utils.ckpt_convert import swin_converter

from knet.errors import InputError
from knet.models.checkpoint import load_weights, published_state_dict, read_checkpoint
from tests import reference
from tests.models.test_polyphonic import CONFIGS as POLYPHONIC
from tests.models.test_reference import MODELS, R50

KNET = MODELS['knet_cityscapes_step_r50']


@pytest.fixture(scope='module')
def video():
    return reference.build(R50)


@pytest.fixture(scope='module')
def published():
    """State dict of the published R-50 Video K-Net, link layers of all stages included."""
    return reference.state_dict(reference.expected('manifests/video_knet_kitti_step_r50'))


def save(tmp_path, content):
    path = str(tmp_path / 'model.pth')
    torch.save(content, path)
    return path


def test_published_video_knet_is_complete(video, published, tmp_path):
    path = save(tmp_path, dict(meta=dict(epoch=12), state_dict=published))
    _, report = load_weights(video, path, complete=True)
    assert report.initial == []
    assert len(report.dropped) == 24 and all(
        name.startswith(('roi_head.mask_head.0.', 'roi_head.mask_head.1.'))
        for name in report.dropped
    )
    assert all(
        torch.equal(value, published[name]) for name, value in published_state_dict(video).items()
    )


def test_names_of_the_modules_load_too(video, tmp_path):
    """What `torch.save(model.state_dict(), path)` leaves."""
    path = save(tmp_path, video.state_dict())
    _, report = load_weights(video, path, complete=True)
    assert len(report.loaded) == len(video.state_dict()) and not report.initial
    assert 'names of the modules' in report.converted[0]


def test_prefixes_and_half_precision(video, published, tmp_path):
    content = {
        f'module.{name}': value.half() if value.is_floating_point() else value
        for name, value in published.items()
    }
    _, report = load_weights(video, save(tmp_path, content), complete=True)
    assert report.converted == ['half to single precision']
    weight = video.fc_embed.weight
    assert weight.dtype == torch.float32 and torch.equal(
        weight, published['fc_embed.weight'].half().float()
    )


def test_knet_into_video_knet_keeps_initial_tracking_parameters(video, published, tmp_path):
    image = {
        name: value
        for name, value in published.items()
        if name in reference.expected('manifests/knet_cityscapes_step_r50')
    }
    before = video.track_head.fc_embed.weight.clone().fill_(7)
    video.track_head.fc_embed.weight.data.copy_(before)
    _, report = load_weights(video, save(tmp_path, dict(state_dict=image)), complete=False)
    assert torch.equal(video.track_head.fc_embed.weight, before)
    assert {name.split('.')[0] for name in report.initial} == {
        'roi_head',
        'track_head',
        'embed_fcs',
        'fc_embed',
    }
    assert 'left at their initial value 23 entries: ' in str(
        report
    ) and 'track_head.fcs (4)' in str(report)


@pytest.mark.parametrize('kind', POLYPHONIC)
def test_models_of_polyphonicformer(kind, tmp_path):
    """Each loads its own, the image model's goes into the video model, and K-Net's into both."""
    model = reference.build(POLYPHONIC[kind])
    own = reference.state_dict(
        {k: v[0] for k, v in reference.expected(f'manifests/polyphonic_{kind}_r50').items()}
    )
    _, report = load_weights(model, save(tmp_path, dict(state_dict=own)), complete=True)
    assert report.initial == report.dropped == []
    image = {k: v for k, v in own.items() if not k.startswith('track_head.')}
    _, report = load_weights(model, save(tmp_path, dict(state_dict=image)), complete=False)
    assert {name.split('.')[0] for name in report.initial} <= {'track_head'}
    names = reference.expected('manifests/knet_cityscapes_step_r50')
    knet = {name: value for name, value in own.items() if name in names}
    _, report = load_weights(model, save(tmp_path, dict(state_dict=knet)), complete=False)
    assert len(report.loaded) == 502 and len(report.initial) == len(own) - 502
    for words in ('rpn_head.depth_convs (3)', 'rpn_head.localization_fpn (3)', 'fc_depth (2)'):
        assert words in str(report)
    with pytest.raises(InputError, match='lacks'):
        load_weights(model, save(tmp_path, dict(state_dict=knet)), complete=True)


def test_depth_is_dropped_where_a_model_has_none(tmp_path):
    """A checkpoint with depth goes into K-Net, as into a model to compare it with."""
    own = reference.state_dict(
        {k: v[0] for k, v in reference.expected('manifests/polyphonic_image_r50').items()}
    )
    model = reference.build('polyphonic/polyphonic_r50_cityscapes_dvps.py')
    del model.roi_head.mask_head[0].branches['depth']  # any one part of it
    _, report = load_weights(model, save(tmp_path, dict(state_dict=own)), complete=True)
    assert report.initial == [] and len(report.dropped) == 5


def test_testing_with_a_knet_checkpoint_in_video_knet_is_refused(video, published, tmp_path):
    image = {
        name: value
        for name, value in published.items()
        if name in reference.expected('manifests/knet_cityscapes_step_r50')
    }
    with pytest.raises(InputError, match='lacks 23 of its parameters: .*track_head'):
        load_weights(video, save(tmp_path, image), complete=True)


def test_torchvision_resnet_goes_into_the_backbone(video, published, tmp_path):
    resnet = {
        name[len('backbone.') :]: value
        for name, value in published.items()
        if name.startswith('backbone.')
    }
    _, report = load_weights(
        video,
        save(
            tmp_path, {**resnet, 'fc.weight': torch.zeros(1000, 2048), 'fc.bias': torch.zeros(1000)}
        ),
        complete=False,
    )
    assert len(report.loaded) == len(resnet) and report.dropped == [
        'backbone.fc.weight',
        'backbone.fc.bias',
    ]
    assert torch.equal(video.backbone.layer4[2].conv3.weight, resnet['layer4.2.conv3.weight'])


def test_published_swin_b_gives_the_published_numbers(tmp_path):
    """Official Swin names and patch-merging order are converted while loading."""
    name = 'video_knet_kitti_step_swin_b_joint_update'
    shapes = {
        key: shape
        for key, shape in reference.expected(f'manifests/{name}').items()
        if not key.endswith('relative_position_index')
    }
    model = reference.build(MODELS[name])
    _, report = load_weights(model, save(tmp_path, reference.state_dict(shapes)), complete=True)
    assert report.converted == ['official Swin names and patch-merging order']
    expected = reference.expected('video_forward_swin_b_joint_update')
    reference.assert_outputs_match(reference.run_frames(model, expected), expected)


def test_index_buffers_of_official_swin_equal_those_of_mmdet():
    """So it does not matter whether they come from the checkpoint or are computed."""
    coords = np.stack(np.meshgrid(np.arange(7), np.arange(7), indexing='ij')).reshape(2, -1)
    offset = coords[:, :, None] - coords[:, None] + 6
    assert np.array_equal(
        WindowMSA(8, 2, (7, 7)).relative_position_index.numpy(), offset[0] * 13 + offset[1]
    )


def test_official_imagenet_swin_goes_into_the_backbone(tmp_path):
    model = torch.nn.Module()
    model.backbone = SwinTransformer(
        embed_dims=32, depths=[2, 2], num_heads=[1, 2], strides=(4, 2), out_indices=(0, 1)
    )
    official = {
        name.replace('stages', 'layers')
        .replace('w_msa.', '')
        .replace('ffn.layers.0.0', 'mlp.fc1')
        .replace('ffn.layers.1', 'mlp.fc2')
        .replace('projection', 'proj'): torch.randn(value.shape)
        for name, value in model.backbone.state_dict().items()
        if 'index' not in name
    }
    load_weights(
        model,
        save(tmp_path, dict(model={**official, 'head.weight': torch.zeros(10, 64)})),
        complete=False,
    )
    expected = swin_converter(official)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in expected.items())
    assert not torch.equal(
        expected['backbone.stages.0.downsample.reduction.weight'],
        official['layers.0.downsample.reduction.weight'],
    )


@pytest.mark.parametrize(
    'content, message',
    [
        (dict(state_dict=dict(a=torch.zeros(2))), 'no parameter in common'),
        (
            dict(state_dict={'neck.lateral_convs.0.conv.weight': torch.zeros(256, 64, 1, 1)}),
            r'has the shape \(256, 64, 1, 1\) there and',
        ),
        (
            dict(
                state_dict={
                    'neck.lateral_convs.0.conv.bias': torch.zeros(256),
                    'rpn_head.rpn_cls.weight': torch.zeros(3),
                }
            ),
            r'holds 1 parameters that the model does not have: rpn_head.rpn_cls \(1\)',
        ),
        (
            dict(state_dict={'neck.lateral_convs.0.conv.bias': torch.zeros(256)}),
            'lacks .* of its parameters: backbone.conv1',
        ),
        (dict(meta=dict(epoch=1)), 'holds no parameters'),
    ],
)
def test_checkpoints_of_other_models_change_nothing(video, tmp_path, content, message):
    before = {name: value.clone() for name, value in video.state_dict().items()}
    with pytest.raises(InputError, match=message):
        load_weights(video, save(tmp_path, content), complete=False)
    assert all(torch.equal(value, before[name]) for name, value in video.state_dict().items())


def test_names_in_files_are_the_published_ones():
    """Two links in one stage keep their names apart, in the order that optimizers' states have."""
    model = reference.build(MODELS['video_knet_kitti_step_swin_b_joint_update'])
    names = list(published_state_dict(model))
    assert len(set(names)) == len(names) == len(model.state_dict())
    stage = [name.split('.')[3] for name in names if name.startswith('roi_head.mask_head.2.')]
    parts = list(dict.fromkeys(stage))
    assert parts[-14:] == [
        *('cls_fcs', 'fc_cls', 'mask_fcs', 'fc_mask'),
        *('attention_previous_update_track', 'attention_previous_track'),
        *('attention_previous_norm_track', 'link_ffn_track', 'link_ffn_norm_track'),
        *('attention_previous_update_link', 'attention_previous_link'),
        *('attention_previous_norm_link', 'link_ffn_link', 'link_ffn_norm_link'),
    ]


def test_links_and_branches_of_ones_own_start_from_a_published_checkpoint(published, tmp_path):
    model = reference.build(R50, **{'model.roi_head.track_link': dict(type='UpdatedLink')})
    path = save(tmp_path, published)
    _, report = load_weights(model, path, complete=False)
    assert (
        'roi_head.mask_head.2.attention_previous_update_track.dynamic_layer.weight'
        in report.initial
    )
    model.roi_head.mask_head[0].branches['areas'] = torch.nn.Linear(256, 1)
    _, report = load_weights(model, path, complete=False)
    assert 'roi_head.mask_head.0.branches.areas.weight' in report.initial
    with pytest.raises(InputError, match='lacks'):
        load_weights(model, path, complete=True)


def test_other_classes_need_an_option_and_are_reported(video, published, tmp_path):
    content = dict(published)
    for name in (
        'rpn_head.conv_seg.weight',
        'rpn_head.conv_seg.bias',
        'roi_head.mask_head.1.fc_cls.weight',
    ):
        content[name] = content[name].new_zeros((133, *content[name].shape[1:]))
    path = save(tmp_path, content)
    with pytest.raises(InputError, match='conv_seg.weight has the shape .*--ignore-mismatched'):
        load_weights(video, path, complete=False)
    before = video.rpn_head.conv_seg.weight.clone()
    _, report = load_weights(video, path, complete=False, ignore_mismatched=True)
    assert torch.equal(video.rpn_head.conv_seg.weight, before)
    assert torch.equal(
        video.rpn_head.init_kernels.weight, published['rpn_head.init_kernels.weight']
    )
    assert len(
        report.mismatched
    ) == 3 and 'of another shape: rpn_head.conv_seg.weight ((133, 256, 1, 1) there and (19,' in str(
        report
    )


class Dangerous:
    def __reduce__(self):
        return (print, ('code of the author',))


def test_unsafe_archives_are_refused_by_name_unless_allowed(tmp_path):
    path = save(tmp_path, dict(state_dict=dict(a=torch.zeros(1)), extra=Dangerous()))
    with pytest.raises(InputError, match='asks for .*print.*--allow-pickle'):
        read_checkpoint(path)
    assert set(read_checkpoint(path, allow_pickle=True)) == {'state_dict', 'extra'}


def test_numpy_scalars_are_harmless(tmp_path):
    meta = dict(best=np.float64(0.5), step=np.int64(3), values=np.arange(3.0))
    content = read_checkpoint(save(tmp_path, dict(meta=meta)))
    assert content['meta']['best'] == 0.5 and content['meta']['values'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('damage', ['missing', 'empty', 'text', 'truncated'])
def test_damaged_files(tmp_path, damage):
    path = tmp_path / 'model.pth'
    if damage == 'empty':
        path.touch()
    elif damage == 'text':
        path.write_text('hello')
    elif damage == 'truncated':
        save(tmp_path, dict(state_dict=dict(a=torch.zeros(1000))))
        path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(
        InputError, match='does not exist' if damage == 'missing' else 'cannot be read|is damaged'
    ):
        read_checkpoint(str(path))


def test_pickle_protocol_of_old_files(tmp_path):
    path = tmp_path / 'old.pth'
    torch.save(
        dict(a=torch.arange(3)), path, _use_new_zipfile_serialization=False, pickle_protocol=2
    )
    assert read_checkpoint(str(path))['a'].tolist() == [0, 1, 2]
