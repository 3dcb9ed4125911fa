"""K-Net on images: the result's maps and segments agree, for both merges."""
import numpy as np
import pytest
import torch
from mmcv import Config
from mmdet.models import build_detector


@pytest.fixture(scope='module')
def config(tiny_config):
    model = Config.fromfile(tiny_config).model
    model.type = 'KNet'
    for key in ('track_head', 'tracker'):
        model.pop(key)
    return model


@pytest.mark.parametrize('merge_joint', [True, False])
def test_batch_of_images(config, merge_joint):
    torch.manual_seed(0)
    config.test_cfg.update(merge_joint=merge_joint, instance_score_thr=0.0, overlap_thr=0.1, stuff_max_area=10)
    model = build_detector(config).eval()
    metas = [dict(img_shape=(64, 96, 3), ori_shape=(64, 96, 3)), dict(img_shape=(40, 60, 3), ori_shape=(80, 120, 3))]
    results = model(img=torch.randn(2, 3, 64, 96), img_metas=metas, return_loss=False)
    assert [result['semantic'].shape for result in results] == [(64, 96), (80, 120)]
    for result in results:
        assert result['segments']
        for number, segment in enumerate(result['segments'], 1):
            if segment['label'] < 2:
                mask = result['instance'] == number
                assert segment['instance_id'] == number and mask.sum() == segment['area'] > 0
                assert (result['semantic'][mask] == segment['label']).all() and 0 <= segment['score'] <= 1
            else:
                assert segment['instance_id'] == 0
        assert set(np.unique(result['semantic'])) <= set(range(19))
