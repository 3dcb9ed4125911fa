"""Video K-Net as a whole: batches of pairs, frames without things, gradients, sequences."""
import numpy as np
import pytest
import torch
from mmcv import Config
from mmcv.parallel import collate
from mmdet.core import BitmapMasks
from mmdet.models import build_detector

import knet.models  # noqa: F401

SIZE = (64, 96)


@pytest.fixture(scope='module')
def model(tiny_config):
    torch.manual_seed(0)
    built = build_detector(Config.fromfile(tiny_config).model)
    built.init_weights()
    return built


def pair(things, ref_things, seed=0):
    """Arguments of a pair; things: list of (class, instance id, column)."""
    generator = torch.Generator().manual_seed(seed)

    def truth(objects):
        masks = np.zeros((len(objects), *SIZE), np.uint8)
        semantic = torch.full((1, *SIZE), 4, dtype=torch.uint8)
        for mask, (label, _, column) in zip(masks, objects):
            mask[16:48, column:column + 20] = 1
            semantic[0, 16:48, column:column + 20] = label
        return BitmapMasks(masks, *SIZE), torch.tensor([o[0] for o in objects]).long(), torch.tensor([o[1] for o in objects]).long(), semantic

    masks, labels, ids, semantic = truth(things)
    ref_masks, ref_labels, ref_ids, ref_semantic = truth(ref_things)

    def with_index(values):
        return torch.stack([torch.zeros_like(values), values], 1)

    return dict(img=torch.randn(3, *SIZE, generator=generator), ref_img=torch.randn(1, 3, *SIZE, generator=generator), img_metas={},
                gt_masks=masks, gt_labels=labels, gt_instance_ids=ids, gt_semantic_seg=semantic, ref_gt_masks=[ref_masks],
                ref_gt_labels=with_index(ref_labels), ref_gt_instance_ids=with_index(ref_ids), ref_gt_semantic_seg=ref_semantic[None])


def batch(*pairs):
    stacked = ('img', 'ref_img', 'gt_semantic_seg', 'ref_gt_semantic_seg')
    return {name: collate([p[name] for p in pairs]) if name in stacked else [p[name] for p in pairs] for name in pairs[0]}


SHARED = pair([(0, 5, 10), (1, 6, 50)], [(1, 6, 55), (0, 5, 12)])
NO_THINGS = pair([], [], seed=1)
NOTHING_IN_COMMON = pair([(1, 1, 10)], [(1, 2, 40)], seed=2)


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)


@pytest.mark.parametrize('pairs', [[SHARED], [NO_THINGS], [NOTHING_IN_COMMON], [SHARED, NO_THINGS, NOTHING_IN_COMMON]])
def test_every_parameter_gets_a_gradient(model, pairs):
    """So that distributed training needs no search for unused parameters, whatever a rank's frames hold."""
    model.train().zero_grad()
    losses = model.forward_train(**batch(*pairs))
    total(losses).backward()
    assert torch.isfinite(total(losses))
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_fpn_levels_that_nothing_reads_are_frozen(tiny_config):
    config = Config.fromfile(tiny_config).model
    config.neck.update(num_outs=6, add_extra_convs='on_output')
    wide = build_detector(config).train()
    total(wide.forward_train(**batch(SHARED))).backward()
    frozen = {name for name, parameter in wide.named_parameters() if not parameter.requires_grad}
    assert frozen == {f'neck.fpn_convs.{i}.conv.{kind}' for i in (4, 5) for kind in ('weight', 'bias')}
    assert all(parameter.grad is not None for parameter in wide.parameters() if parameter.requires_grad)


def test_log_keys_do_not_depend_on_the_frames(model):
    keys = [set(model.train().forward_train(**batch(p))) for p in (SHARED, NO_THINGS, NOTHING_IN_COMMON)]
    assert keys[0] == keys[1] == keys[2] and {'loss_track', 'loss_rpn_seg_ref_rpn', 's2_loss_dice_ref'} <= keys[0]


def test_frames_without_things_have_a_semantic_but_no_tracking_loss(model):
    losses = model.train().forward_train(**batch(NO_THINGS))
    assert losses['loss_track'] == losses['loss_track_aux'] == losses['loss_rpn_mask'] == 0
    assert losses['loss_rpn_seg'] > 0 and losses['s0_loss_mask'] > 0


def test_pairs_of_a_batch_are_independent(model):
    """Tracking losses are the mean of those of the single pairs: no pair sees another one's objects."""
    model.train()
    model.backbone.eval()  # batch norm would couple the pairs
    one, two = (model.forward_train(**batch(p)) for p in (SHARED, pair([(0, 1, 30)], [(0, 1, 31)], seed=3)))
    both = model.forward_train(**batch(SHARED, pair([(0, 1, 30)], [(0, 1, 31)], seed=3)))
    for name in ('loss_track', 'loss_track_aux', 'loss_rpn_seg', 'loss_rpn_rank'):
        assert both[name].item() == pytest.approx((one[name].item() + two[name].item()) / 2, rel=1e-4), name


def meta(sequence, frame):
    return [dict(img_shape=(60, 90, 3), ori_shape=(30, 45, 3), sequence=sequence, frame=frame)]


def run(model, *positions):
    return [model.eval().simple_test(torch.full((1, 3, *SIZE), float(position[1])), meta(*position))[0] for position in positions]


def test_result_has_the_size_of_the_image(model):
    result, = run(model, (0, 0))
    assert result['semantic'].shape == result['instance'].shape == (30, 45)
    assert result['semantic'].dtype == np.uint8 and result['semantic'].max() < 19


@pytest.mark.parametrize('positions', [[(3, 0), (3, 1), (7, 5)], [(3, 8), (3, 9), (3, 5)]])
def test_state_ends_with_the_sequence_whatever_the_frame_number(model, positions):
    """The last frame of either list starts anew: another sequence, or a frame number that does not rise."""
    model.reset()
    run(model, *positions[:2])
    assert model._previous is not None
    continued, = run(model, positions[2])
    model.reset()
    fresh, = run(model, positions[2])
    assert np.array_equal(continued['instance'], fresh['instance']) and continued['segments'] == fresh['segments']


def test_augmented_test_is_refused(model):
    with pytest.raises(TypeError, match='no test-time augmentation'):
        model.aug_test([], [])
