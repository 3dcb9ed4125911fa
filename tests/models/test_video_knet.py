"""Video K-Net as a whole: batches of pairs, frames without things, gradients, sequences."""

import numpy as np
import pytest
import torch

from knet.apis import build_model, load_config
from knet.apis.clips import segment_clips
from knet.errors import InputError
from knet.structures import Frame, FrameBatch, FrameTargets, Objects
from tests.reference import with_reference_weights

SIZE = (64, 96)


@pytest.fixture(scope='module')
def model(tiny_config):
    torch.manual_seed(0)
    return build_model(load_config(tiny_config))


def frame(things, generator):
    """A frame of sky with rectangles; things: list of (class, instance id, column)."""
    masks = torch.zeros(len(things), *SIZE, dtype=torch.bool)
    semantic = torch.full(SIZE, 4, dtype=torch.uint8)
    for mask, (label, _, column) in zip(masks, things):
        mask[16:48, column : column + 20] = True
        semantic[16:48, column : column + 20] = label
    labels, ids = (torch.tensor([thing[i] for thing in things]).long() for i in (0, 1))
    return Frame(
        torch.randn(3, *SIZE, generator=generator),
        SIZE,
        SIZE,
        FrameTargets(Objects(masks, labels, ids), semantic),
    )


def pair(things, ref_things, seed=0):
    """Key frame and reference frame."""
    generator = torch.Generator().manual_seed(seed)
    return frame(things, generator), frame(ref_things, generator)


def batch(*pairs):
    return tuple(FrameBatch.of(frames) for frames in zip(*pairs))


SHARED = pair([(0, 5, 10), (1, 6, 50)], [(1, 6, 55), (0, 5, 12)])
NO_THINGS = pair([], [], seed=1)
NOTHING_IN_COMMON = pair([(1, 1, 10)], [(1, 2, 40)], seed=2)


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)


@pytest.mark.parametrize(
    'pairs', [[SHARED], [NO_THINGS], [NOTHING_IN_COMMON], [SHARED, NO_THINGS, NOTHING_IN_COMMON]]
)
def test_every_parameter_gets_a_gradient(model, pairs):
    """So that distributed training needs no search for unused parameters, whatever a rank's frames
    hold."""
    model.train().zero_grad()
    losses = model.forward(*batch(*pairs))
    total(losses).backward()
    assert torch.isfinite(total(losses))
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_fpn_levels_that_nothing_reads_are_frozen(tiny_config):
    cfg = load_config(tiny_config)
    cfg.model.neck.update(num_outs=6, add_extra_convs='on_output')
    wide = build_model(cfg).train()
    total(wide.forward(*batch(SHARED))).backward()
    frozen = {name for name, parameter in wide.named_parameters() if not parameter.requires_grad}
    assert frozen == {
        f'neck.fpn_convs.{i}.conv.{kind}' for i in (4, 5) for kind in ('weight', 'bias')
    }
    assert all(
        parameter.grad is not None for parameter in wide.parameters() if parameter.requires_grad
    )


def test_log_keys_do_not_depend_on_the_frames(model):
    keys = [set(model.train().forward(*batch(p))) for p in (SHARED, NO_THINGS, NOTHING_IN_COMMON)]
    assert (
        keys[0] == keys[1] == keys[2]
        and {'loss_track', 'loss_rpn_seg_ref_rpn', 's2_loss_dice_ref'} <= keys[0]
    )


def test_frames_without_things_have_a_semantic_but_no_tracking_loss(model):
    losses = model.train().forward(*batch(NO_THINGS))
    assert losses['loss_track'] == losses['loss_track_aux'] == losses['loss_rpn_mask'] == 0
    assert losses['loss_rpn_seg'] > 0 and losses['s0_loss_mask'] > 0


def test_pairs_of_a_batch_are_independent(model):
    """Tracking losses are the mean of those of the single pairs: no pair sees another one's
    objects."""
    model.train()
    model.backbone.eval()  # batch norm would couple the pairs
    one, two = (
        model.forward(*batch(p)) for p in (SHARED, pair([(0, 1, 30)], [(0, 1, 31)], seed=3))
    )
    both = model.forward(*batch(SHARED, pair([(0, 1, 30)], [(0, 1, 31)], seed=3)))
    for name in ('loss_track', 'loss_track_aux', 'loss_rpn_seg', 'loss_rpn_rank'):
        assert both[name].item() == pytest.approx(
            (one[name].item() + two[name].item()) / 2, rel=1e-4
        ), name


def video(seed, count=4):
    """Frames of 30x45 pixels that were enlarged and padded."""
    images = torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(seed))
    return [Frame(image, (60, 90), (30, 45)) for image in images]


def segment(model, frames):
    state, results = model.new_state(), []
    for item in frames:
        result, state = model.eval().step(item, state)
        results.append(result)
    return results


def equal(one, two):
    return (
        np.array_equal(one.semantic, two.semantic)
        and np.array_equal(one.instance, two.instance)
        and np.array_equal(one.segments.ids, two.segments.ids)
    )


def test_result_has_the_size_of_the_image(model):
    (result,) = segment(model, video(0, 1))
    assert result.semantic.shape == result.instance.shape == (30, 45)
    assert result.semantic.dtype == np.uint8 and result.semantic.max() < 19
    assert result.segments.areas.sum() <= 30 * 45 and len(result.segments.labels) == len(
        result.segments
    )


@pytest.fixture(scope='module')
def tracking_model(tiny_config):
    """Sure of many things, and all of them are tracked, so that ids tell the history of a video."""
    options = {f'model.tracker.{name}': 0.0 for name in ('init_score_thr', 'obj_score_thr')}
    options['model.tracker.match_score_thr'] = 0.9  # new ids in every frame
    options |= {
        'model.test_cfg.merge_joint': True,
        'model.test_cfg.instance_score_thr': 0.0,
        'model.test_cfg.overlap_thr': 0.05,
    }
    built = with_reference_weights(build_model(load_config(tiny_config, options)))
    built.roi_head.mask_head[-1].branches['classes'].fc_out.bias.data[:2] += 4
    return built


def test_two_videos_in_turns_give_what_each_gives_alone(tracking_model):
    model = tracking_model
    videos = [video(1), video(2)]
    alone = [segment(model, frames) for frames in videos]
    assert max(result.instance.max() for result in alone[0]) > 1
    states, in_turns = [model.new_state(), model.new_state()], [[], []]
    for number in range(4):
        for which in (0, 1):
            result, states[which] = model.step(videos[which][number], states[which])
            in_turns[which].append(result)
    assert all(equal(one, two) for results in zip(alone, in_turns) for one, two in zip(*results))


@pytest.mark.parametrize('clip_len', [2, 3, 4])
def test_clips_give_what_single_frames_give(tracking_model, clip_len):
    """Frames that are computed together: link and tracker still go frame by frame."""
    frames, alone = video(1), segment(tracking_model, video(1))
    results = [result for *_, result in segment_clips(tracking_model, enumerate(frames), clip_len)]
    assert len(results) == 4 and max(result.instance.max() for result in results) > 1
    # of another number of images a library may take another way, which moves last bits
    for one, two in zip(alone, results):
        assert (one.semantic != two.semantic).mean() < 0.01
        assert (one.instance != two.instance).mean() < 0.01
        assert one.segments.labels.tolist() == two.segments.labels.tolist()
        assert np.allclose(one.segments.scores, two.segments.scores, atol=1e-4)


def test_frames_of_another_size_begin_a_clip(tracking_model):
    """... and one that cannot be read ends the clip before it, whose results come first."""
    small = torch.zeros(3, 32, 64)

    def frames():
        yield from enumerate(video(1)[:3])
        yield 3, Frame(small, (32, 64), (32, 64))
        raise InputError('damaged')

    seen = []
    with pytest.raises(InputError, match='damaged'):
        for number, frame, result in segment_clips(tracking_model, frames(), 8):
            seen.append((number, result.semantic.shape == frame.original_size))
    assert seen == [(0, True), (1, True), (2, True), (3, True)]


def test_a_state_can_be_kept_and_used_again(tracking_model):
    first, second, other, _ = video(3)
    _, state = tracking_model.step(first, tracking_model.new_state())
    results = [tracking_model.step(second, state)[0]]
    tracking_model.step(other, state)
    results.append(tracking_model.step(second, state)[0])
    assert equal(*results)


def test_training_without_reference_frames_is_refused(model):
    with pytest.raises(ValueError, match='pairs of frames'):
        model(batch(SHARED)[0])
