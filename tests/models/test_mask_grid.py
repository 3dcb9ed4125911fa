"""Masks read window by window are the same as all pixels of all masks."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from knet.models.mask_grid import MaskGrid, extremes


def plain(grid):
    """All probabilities, (M, H, W), by the published steps."""
    values = grid.logits[None]
    if grid.upsample_stride > 1:
        values = F.interpolate(values, scale_factor=grid.upsample_stride, mode='bilinear')
    values = F.interpolate(values.sigmoid(), grid.padded_size, mode='bilinear')
    values = values[..., : grid.size[0], : grid.size[1]]
    if grid.size != grid.original_size:
        values = F.interpolate(values, grid.original_size, mode='bilinear')
    return values[0]


def make(kind, size=(90, 150), original=None, steps=(12, 20), padded=(96, 160), stride=2):
    """A grid and weights: blobs as a network gives them, or noise, which has no empty place."""
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(12, *steps, generator=generator)
    if kind == 'blobs':
        logits = logits / 4 - 6
        for i in range(12):
            top, left = i % 9, i
            logits[i, top : top + 1 + i % 5, left : left + 3] += 9
    weights = torch.rand(12, generator=generator)
    return MaskGrid(logits, stride, padded, size, original or size), weights


CASES = {
    'blobs': {},
    'noise': {},
    'resized': dict(original=(61, 100)),
    'whole': dict(size=(96, 160)),
    'one step a pixel': dict(padded=(12, 20), size=(11, 19), stride=1),
    'not upsampled': dict(stride=1),
    'upsampled four times': dict(stride=4),
    'odd grid': dict(steps=(13, 21), padded=(104, 168)),
    'no power of two': dict(padded=(72, 120), size=(70, 120)),
}


@pytest.mark.parametrize('case', CASES)
def test_the_same_as_all_pixels(case):
    grid, weights = make('noise' if case == 'noise' else 'blobs', **CASES[case])
    masks, chosen = plain(grid), [0, 3, 4, 7, 8, 11]
    read = torch.stack([grid.read(index) for index in range(12)])
    # torch computes the sigmoid of a number in more than one way, by its place
    assert (read - masks).abs().max() < 1e-6
    masks = read
    scored = weights[:, None, None] * masks
    assert torch.equal(grid.owners(weights, range(12)), scored.argmax(0))
    some = torch.tensor(chosen)[scored[chosen].argmax(0)]
    assert torch.equal(grid.owners(weights, chosen), some)
    region = torch.zeros(grid.original_size, dtype=torch.bool)
    region[3:9, 4:11] = region[-1, -1] = True
    found = grid.owners(weights, chosen, region)
    assert torch.equal(found[region], some[region])
    for threshold in (0.5, 0.9):
        areas = (masks[chosen] >= threshold).flatten(1).sum(1)
        assert torch.equal(grid.areas(chosen, threshold), areas)
    assert len(grid.areas([], 0.5)) == 0


@pytest.mark.parametrize('size', [(720, 1270), (129, 160), (90, 100)])
def test_masks_of_the_padding(size):
    """A mask that is the strongest one in the padding alone, which is wider than a cell."""
    padded = tuple(32 * (side // 32 + 1) for side in size)
    logits = torch.full((3, padded[0] // 8, padded[1] // 8), -4.0)
    logits[0, : size[0] // 8] = 2
    logits[1, -(-size[0] // 8) + 1 :] = 5
    logits[2, :, -(-size[1] // 8) + 1 :] = 5
    grid, weights = MaskGrid(logits, 2, padded, size, size), torch.tensor([0.5, 0.9, 0.8])
    masks = torch.stack([grid.read(index) for index in range(3)])
    assert torch.equal(grid.owners(weights, range(3)), (weights[:, None, None] * masks).argmax(0))
    assert torch.equal(grid.areas(range(3), 0.5), (masks >= 0.5).flatten(1).sum(1))


@pytest.mark.parametrize('seed', range(60))
def test_any_grid(seed):
    """The same to the last bit, whatever the sizes, and where the masks lie."""
    generator = torch.Generator().manual_seed(seed)

    def draw(least, most):
        return int(torch.randint(least, most + 1, (), generator=generator))

    stride, steps = (1, 2, 2, 4)[draw(0, 3)], (draw(9, 30), draw(9, 40))
    scale = stride * (1, 2, 4)[draw(0, 2)]
    padded = tuple(scale * n for n in steps)
    size = tuple(side - draw(0, 3 * scale) for side in padded)
    logits = draw(1, 4) * torch.randn(12, *steps, generator=generator) - 5
    for mask in logits:
        top, left = draw(0, steps[0] - 1), draw(0, steps[1] - 1)
        mask[top : top + draw(1, 9), left : left + draw(1, 9)] += draw(2, 12)
    grid, weights = (
        MaskGrid(logits, stride, padded, size, size),
        torch.rand(12, generator=generator),
    )
    masks = torch.stack([grid.read(index) for index in range(12)])
    assert torch.equal(grid.owners(weights, range(12)), (weights[:, None, None] * masks).argmax(0))
    assert torch.equal(grid.areas(range(12), 0.5), (masks >= 0.5).flatten(1).sum(1))


def test_of_equal_masks_the_first_one_wins():
    grid = MaskGrid(torch.zeros(3, 8, 8), 2, *[(64, 64)] * 3)
    owner = grid.owners(torch.ones(3), [2, 1, 0])
    assert (owner == 2).all()


def test_few_windows_are_read(monkeypatch):
    """Masks that can win nowhere are not read, others near where they can."""
    grid, weights = make('blobs', steps=(48, 80), padded=(384, 640), size=(380, 600))
    grid.logits[0] = 0  # as stuff of the whole image
    grid = dataclasses.replace(grid)
    weights[0] = weights.max()
    pixels = []
    monkeypatch.setattr('knet.models.mask_grid.resize', count_pixels(pixels))
    grid.owners(weights, range(12))
    assert 0 < sum(pixels) < 3 * 384 * 640  # of 12


def count_pixels(pixels):
    def resize(values, size):
        pixels.append(size[0] * size[1])
        return F.interpolate(values[None, None], size, mode='bilinear')[0, 0]

    return resize


def test_extremes_bound_what_is_read():
    grid, _ = make('noise', size=(96, 160))
    masks, side = plain(grid), 8
    for extreme, pool in ((torch.maximum, 1), (torch.minimum, -1)):
        bounds = extremes(grid.logits, extreme).sigmoid()
        read = pool * F.max_pool2d(pool * masks[None], side)[0]
        assert (pool * (bounds - read) >= -1e-6).all()
