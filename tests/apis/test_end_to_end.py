"""From a checkpoint in the published layout to PNG files: what tools/test.py writes for a short
video.

`fixtures/end_to_end/checkpoint.pth` (float16) is a small Video K-Net of the KITTI-STEP config,
trained on toy videos for two minutes; `video.npz` holds four frames, and the maps for masks that
are upsampled by 2 and by 4. Classes and segments were computed a second time from the logits on, in
float64 with NumPy alone, by the steps of the published code: no pixel differed.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from knet.step_format import read_panoptic
from tests.conftest import ROOT, run_tool
from tests.models.test_reference import R50

FOLDER = ROOT / 'tests' / 'fixtures' / 'end_to_end'
CONFIG = """
_base_ = r'{root}/configs/det/{r50}'
model = dict(
    backbone=dict(depth=18, base_channels=8, norm_cfg=dict(type='BN'), init_cfg=None),
    num_proposals=16,
    channels=32,
    neck=dict(in_channels=[8, 16, 32, 64]),
    roi_head=dict(mask_head=dict(feedforward_channels=64)),
    test_cfg=dict(overlap_thr=0.3))
"""


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    """Config, checkpoint as the published code writes it, and data root, below one folder."""
    folder = tmp_path_factory.mktemp('end_to_end')
    (folder / 'config.py').write_text(CONFIG.format(root=ROOT, r50=R50))
    state = torch.load(FOLDER / 'checkpoint.pth', weights_only=True)
    # the published models carry the link layers in every stage and use those of the last one
    links = {
        name: value
        for name, value in state.items()
        if name.startswith(
            ('roi_head.mask_head.2.attention_previous', 'roi_head.mask_head.2.link_ffn')
        )
    }
    copies = {
        name.replace('mask_head.2', f'mask_head.{stage}'): torch.zeros_like(value)
        for name, value in links.items()
        for stage in (0, 1)
    }
    torch.save(
        dict(state_dict={**state, **copies}, meta=dict(CLASSES=('road',))),
        folder / 'checkpoint.pth',
    )
    split = folder / 'video_sequence' / 'val'
    split.mkdir(parents=True)
    for frame, image in enumerate(np.load(FOLDER / 'video.npz')['images']):
        Image.fromarray(image).save(split / f'000002_{frame:06d}_leftImg8bit.png')
    return folder


@pytest.mark.parametrize('factor', [2, 4])
def test_maps_of_a_published_checkpoint(inputs, tmp_path, factor):
    done = run_tool(
        'test',
        inputs / 'config.py',
        inputs / 'checkpoint.pth',
        '--out',
        tmp_path,
        '--cfg-options',
        f'data.root={inputs}',
        f'model.roi_head.mask_head.branches.masks.upsample_stride={factor}',
    )
    assert done.returncode == 0, done.stderr[-3000:]
    video, other = np.load(FOLDER / 'video.npz'), {2: 4, 4: 2}[factor]
    differs = 0
    for frame in range(len(video['images'])):
        semantic, instance = read_panoptic(tmp_path / 'panoptic' / '2' / f'000002_{frame:06d}.png')
        for got, name in ((semantic, 'semantic'), (instance, 'instance')):
            # a pixel whose two best masks are equal up to rounding may differ between processors
            assert (got != video[f'{name}_{factor}'][frame]).mean() < 5e-4, (name, frame)
            differs += (got != video[f'{name}_{other}'][frame]).sum()
        assert set(np.unique(instance)) == set(np.unique(video[f'instance_{factor}'][frame]))
    assert differs > 100  # the test would see it if the upsampling were left out
