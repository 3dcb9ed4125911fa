"""Depth from training to figures, through the programs, on small videos."""

import json

import numpy as np
import pytest

from knet.step_format import read_depth, read_panoptic, read_png
from tests.conftest import ROOT, run_tool

CONFIG = """
_base_ = r'{root}/configs/det/toy_step/{name}.py'
model = dict(
    num_proposals=10, channels=32, roi_head=dict(mask_head=dict(feedforward_channels=64)),
    backbone=dict(base_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
data = dict(root=r'{data}', samples_per_gpu=4, workers_per_gpu=0)
log_config = dict(interval=1)
lr_config = dict(warmup_iters=2)
runner = dict(max_epochs=1)
evaluation = dict(interval=1)
"""


@pytest.mark.parametrize('name', ['video_knet_depth_s3_r18_toy_step', 'polyphonic_s3_r18_toy_step'])
def test_from_training_to_figures(toy_root, tmp_path, name):
    config, work_dir = tmp_path / 'config.py', tmp_path / 'w'
    config.write_text(CONFIG.format(root=ROOT, name=name, data=toy_root))
    done = run_tool('train', config, '--work-dir', work_dir, '--seed', 3)
    assert done.returncode == 0, done.stderr[-3000:]
    for word in ('loss_rpn_depth_dense: ', 's2_loss_depth: ', 'DSTQ: ', 'DVPQ: ', 'abs_rel: '):
        assert word in done.stderr + done.stdout
    out, show = tmp_path / 'out', tmp_path / 'show'
    options = ('--out', out, '--show-dir', show, '--eval')
    done = run_tool('test', config, work_dir / 'latest.pth', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert all(table in done.stdout for table in ('\nDSTQ\n', '\nDVPQ\n', '\nDepth (metres'))
    for path in out.glob('panoptic/*/*.png'):
        depth = read_depth(out / 'depth' / path.parent.name / path.name)
        assert depth.shape == read_panoptic(path)[0].shape == (64, 128)
        assert 0 < depth.min() and depth.max() <= 80 and len(np.unique(depth)) > 100
        assert read_png(show / 'depth' / path.parent.name / path.name).shape == (64, 128, 3)
    figures = json.loads((out / 'metrics.json').read_text())
    assert 0 < figures['depth']['abs_rel'] < 5 and figures['depth']['num_images'] == 8
    # the commands for folders say the same
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith('next: ')]
    for metric in ('dstq', 'dvpq'):
        (command,) = (line[2:] for line in lines if f'tools/eval_{metric}_step.py' in line)
        tool = command[0].removeprefix('tools/').removesuffix('.py')
        again = run_tool(tool, *command[1:], '--json', tmp_path / 'again.json')
        assert again.returncode == 0, again.stderr
        assert all(line in done.stdout for line in again.stdout.splitlines())
        assert json.loads((tmp_path / 'again.json').read_text())['depth'] == figures['depth']
    # and a video of one's own has the same depth
    args = (config, work_dir, show / 'videos/2.mp4', '--out', tmp_path / 'demo', '--write', 'maps')
    done = run_tool('video_demo', *args, '--end', '1')
    assert done.returncode == 0 and f'{tmp_path}/demo/depth' in done.stdout, done.stderr
    assert read_depth(tmp_path / 'demo/depth/0/000000_000000.png').max() <= 80


def test_depth_changes_no_mask(toy_root, tmp_path):
    """The model without depth, with the same weights, segments and tracks the same."""
    from knet.apis import build_model, load_config, segment_image
    from knet.models.checkpoint import published_name

    models = []
    for name in ('video_knet_depth_s3_r18_toy_step', 'video_knet_s3_r18_toy_step'):
        path = tmp_path / 'config.py'
        path.write_text(CONFIG.format(root=ROOT, name=name, data=toy_root))
        models.append(build_model(load_config(str(path))).eval())
    values = {published_name(k): v for k, v in models[0].state_dict().items()}
    own = {k: values[published_name(k)] for k in models[1].state_dict()}
    models[1].load_state_dict(own)
    for model in models:  # so that there are segments
        model.roi_head.mask_head[-1].branches['classes'].fc_out.bias.data[:] += 4
    image = read_png(next(toy_root.glob('video_sequence/val/*_leftImg8bit.png')))
    with_depth, without = (segment_image(model, image) for model in models)
    np.testing.assert_array_equal(with_depth.semantic, without.semantic)
    np.testing.assert_array_equal(with_depth.segment_map, without.segment_map)
    assert len(without.segments) and list(with_depth.outputs) == ['depth'] and not without.outputs
