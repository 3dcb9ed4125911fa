"""K-Net on images: the result's maps and segments agree, for both merges."""

import numpy as np
import pytest
import torch

from knet.apis import build_model, load_config
from knet.errors import InputError
from knet.models.panoptic_fusion import FusionOptions
from knet.structures import Frame
from tests import reference


@pytest.fixture(scope='module')
def model(tiny_config):
    cfg = load_config(tiny_config)
    cfg.model.type = 'KNet'
    for key in ('track_head', 'tracker'):
        cfg.model.pop(key)
    torch.manual_seed(0)
    return build_model(cfg).eval()


@pytest.mark.parametrize('size, original', [((64, 96), (64, 96)), ((40, 60), (80, 120))])
@pytest.mark.parametrize('merge_joint', [True, False])
def test_image(model, merge_joint, size, original):
    model.fusion = FusionOptions(
        merge_joint=merge_joint, instance_score_thr=0.0, overlap_thr=0.1, stuff_max_area=10
    )
    image = torch.randn(3, 64, 96, generator=torch.Generator().manual_seed(1))
    result, _ = model.step(Frame(image, size, original), model.new_state())
    assert result.semantic.shape == result.instance.shape == original and len(result.segments)
    rows, things = result.segments, 0
    for number, (label, score, area, instance_id) in enumerate(
        zip(rows.labels, rows.scores, rows.areas, rows.ids), 1
    ):
        if label in model.label_space.thing_ids:
            mask = result.instance == number
            assert instance_id == number and mask.sum() == area > 0
            assert (result.semantic[mask] == label).all() and 0 <= score <= 1
            things += 1
        else:
            assert instance_id == 0
        own = result.segment_map == number
        assert own.sum() == area and (result.semantic[own] == label).all()
        assert (result.instance[own] == instance_id).all()
    assert result.segment_map.dtype == np.int32 and result.segment_map.max() == len(rows)
    assert things == len(np.unique(result.instance[result.instance > 0]))
    assert set(np.unique(result.semantic)) <= set(range(19))


def test_paths_of_branches_must_start():
    config = 'toy_step/video_knet_depth_s3_r18_toy_step.py'
    with pytest.raises(InputError, match=r"read the paths \['depth'\], rpn_head.paths has \[\]"):
        reference.build(config, **{'model.rpn_head.paths': None})
    branches = 'model.roi_head.mask_head.branches'
    with pytest.raises(InputError, match=r"read the paths \['other'\], rpn_head.paths has"):
        reference.build(config, **{f'{branches}.depth.path': 'other'})


def test_options_of_depth_can_be_set():
    """Arguments that the config does not name are found in their classes, also those of paths."""
    config = 'toy_step/video_knet_depth_s3_r18_toy_step.py'
    options = {'model.rpn_head.paths.depth.train_dense': False}
    options['model.rpn_head.paths.depth.loss.scale_invariant'] = False
    depth = reference.build(config, **options).rpn_head.paths['depth']
    assert not depth.train_dense and not depth.loss_depth.scale_invariant
