"""Regions of masks and their embeddings."""

import torch

from knet.models.tracking.embedding import RegionEmbedHead, mask_regions

LOSSES = dict(
    loss_track=dict(type='MultiPosCrossEntropyLoss'), loss_track_aux=dict(type='CosineMarginLoss')
)


def test_regions_of_masks():
    masks = torch.zeros(3, 20, 30, dtype=torch.bool)
    masks[0, 10:14, 8:16] = True  # mean distances 1 and 2, centre 11.5, 11.5
    masks[1, 0, 0] = True  # at least two pixels to each side, but not out of the image
    want = [[11.5 - 4, 11.5 - 2, 11.5 + 4, 11.5 + 2], [0, 0, 2, 2], [0, 0, 0, 0]]
    assert mask_regions(masks).tolist() == want


def head_and_levels():
    torch.manual_seed(0)
    head = RegionEmbedHead(32, num_convs=1, hidden_channels=16, **LOSSES).eval()
    return head, [torch.randn(2, 32, 256 // stride, 256 // stride) for stride in (4, 8, 16, 32)]


def test_regions_are_read_at_the_level_of_their_size():
    """A change of a level changes the embeddings of regions of its size alone."""
    head, levels = head_and_levels()
    sizes = (20, 100, 120, 240)  # sides: two for stride 4 and 8 each, see equation 1 of FPN
    regions = torch.tensor([[4.0, 4.0, 4 + side, 4 + side] for side in sizes])
    before = head(levels, [regions, regions[:1]])
    assert before.shape == (5, 32)
    for level, changed in ((0, [0, 1, 4]), (1, [2]), (2, [3]), (3, [])):
        others = [feats + (number == level) for number, feats in enumerate(levels)]
        differs = (head(others, [regions, regions[:1]]) - before).abs().amax(1) > 1e-3
        # a constant is all that a norm takes away: what is left is the border
        assert set(differs.nonzero()[:, 0].tolist()) <= set(changed)
    # the same region of another image is another one
    assert not torch.allclose(before[0], before[4], atol=1e-3)


def test_no_regions():
    head, levels = head_and_levels()
    assert head(levels, [torch.zeros(0, 4), torch.zeros(0, 4)]).shape == (0, 32)
