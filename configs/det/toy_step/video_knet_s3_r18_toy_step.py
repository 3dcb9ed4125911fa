# The quick start's small Video K-Net: ResNet-18 and 128 channels, from random weights, minutes on a CPU.
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py', '../_base_/datasets/toy_step.py', '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    backbone=dict(depth=18, frozen_stages=-1, norm_eval=False, norm_cfg=dict(type='BN'), init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=128),
    rpn_head=dict(
        num_proposals=50,
        in_channels=128,
        out_channels=128,
        localization_fpn=dict(feat_channels=128, positional_encoding=dict(num_feats=64))),
    roi_head=dict(mask_head=dict(num_proposals=50, in_channels=128, feedforward_channels=512)),
    track_head=dict(in_channels=128, fc_out_channels=128, embed_channels=128))
data = dict(samples_per_gpu=2, workers_per_gpu=1)
optimizer = dict(lr=5e-4, paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.0))))
lr_config = dict(step=[6, 7], warmup_iters=100)
runner = dict(max_epochs=8)
evaluation = dict(interval=4)
