"""Stages, branches and links on few small kernels."""

import pytest
import torch

from knet.errors import InputError
from knet.models.kernels.branches import ClassBranch, StageTargets
from knet.models.kernels.kernel_set import KernelSet
from knet.models.kernels.links import build_link
from knet.models.kernels.mask_ops import group_features
from knet.models.kernels.stage import KernelUpdateHead
from knet.models.matching.assigner import Match
from knet.models.matching.targets import ImageTargets, MaskTargets

KERNELS = KernelSet(num_proposals=3, num_thing_classes=2, num_stuff_classes=2, channels=8)
FOCAL = dict(type='SigmoidFocalLoss', gamma=2.0, alpha=0.25, loss_weight=1.0)
MASKS = dict(
    type='MaskBranch',
    upsample_stride=1,
    loss_mask=dict(type='CrossEntropyLoss', use_sigmoid=True),
    loss_dice=dict(type='DiceLoss'),
)


def targets():
    """A thing of class 1 on kernel 2; stuff class 3 on its own kernel, 4; no stuff class 2."""
    masks = torch.zeros(2, 4, 4)
    masks[0, :2], masks[1, 2:] = 1, 1
    image = ImageTargets(MaskTargets(masks, torch.tensor([1, 3])), num_things=1)
    match = Match(torch.tensor([2, 4]), torch.tensor([0, 1]))
    return StageTargets([match], [image], torch.tensor(2.0))


def test_kernels_answer_for_their_own_classes_alone():
    branch = ClassBranch(KERNELS, FOCAL)
    logits = torch.full((1, 5, 4), -20.0)
    logits[0, 2, 1], logits[0, 4, 3] = 20, 20
    # neither counts: a thing kernel's stuff, a stuff kernel's things and other stuff
    logits[0, 0, 2:], logits[0, 3, :2], logits[0, 3, 3] = 20, 20, 20
    losses = branch.loss(logits, targets())
    assert losses['loss_cls'].item() < 1e-6 and losses['pos_acc'].item() == 100
    logits[0, 0, 1] = 20  # a thing where there is none
    assert branch.loss(logits, targets())['loss_cls'].item() > 1


def test_branches_must_not_share_the_name_of_a_loss():
    branches = dict(classes=dict(type='ClassBranch', loss=FOCAL), masks=MASKS, edges=MASKS)
    head = KernelUpdateHead(KERNELS, branches, 2, 16)
    logits = torch.zeros(1, 5, 4, 4)
    with pytest.raises(InputError, match='branch edges: another one has a loss loss_mask too'):
        head.loss(dict(classes=torch.zeros(1, 5, 4), masks=logits, edges=logits), targets())


@pytest.mark.parametrize('config', [dict(type='AttentionLink'), dict(type='UpdatedLink')])
def test_links_read_the_previous_kernels(config):
    torch.manual_seed(0)
    link = build_link(config, 8, 2, 16).eval()
    query, previous, group = torch.randn(3, 2, 5, 8)
    linked = link(query, previous, group)
    assert linked.shape == query.shape
    # the kernels of its own frame, in any order, and of no other one
    shuffled = link(query, previous.flip(1), group.flip(1))
    assert torch.allclose(shuffled, linked, atol=1e-5)
    changed = torch.stack([previous[0], torch.randn(5, 8)])
    assert torch.equal(link(query, changed, group)[0], linked[0])
    assert not torch.allclose(link(query, changed, group)[1], linked[1])


def test_unknown_way_to_update():
    with pytest.raises(ValueError, match="by must be 'group' or 'query', got 'object'"):
        build_link(dict(type='UpdatedLink', by='object'), 8, 2, 16)


def test_group_features_are_sums_under_binary_masks():
    feats = torch.arange(4.0).reshape(1, 1, 2, 2)
    logits = torch.tensor([[[[-1.0, 1.0], [0.0, 2.0]], [[-1.0, -1.0], [-1.0, -1.0]]]])
    assert group_features(feats, logits)[0, :, 0].tolist() == [1 + 3, 0]
