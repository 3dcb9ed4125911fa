# K-Net, Swin-B, 8 epochs on Cityscapes-STEP.
_base_ = [
    '../_base_/models/knet_s3_r50_fpn.py',
    '../_base_/models/swin_backbones.py',
    '../_base_/datasets/cityscapes_step.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/default_runtime.py'
]
model = dict(backbone={{_base_.swin_b}}, neck=dict(in_channels=[128, 256, 512, 1024]))
data = dict(samples_per_gpu=1)
lr_config = dict(step=[7])
runner = dict(max_epochs=8)
