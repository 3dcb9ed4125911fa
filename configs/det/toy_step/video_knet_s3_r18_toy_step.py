# The quick start's small Video K-Net: ResNet-18 from random weights on the toy videos, minutes on a CPU.
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py', '../_base_/datasets/toy_step.py', '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    backbone=dict(depth=18, frozen_stages=-1, norm_eval=False, norm_cfg=dict(type='BN'), init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512]))
data = dict(samples_per_gpu=1, workers_per_gpu=1)
optimizer = dict(lr=2e-4, paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=1.0))))
lr_config = dict(step=[5], warmup_iters=100)
runner = dict(max_epochs=6)
evaluation = dict(interval=6)
