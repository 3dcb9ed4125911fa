# Video K-Net, Swin-B, 12 epochs on KITTI-STEP.
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py',
    '../_base_/models/swin_backbones.py',
    '../_base_/datasets/kitti_step.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/default_runtime.py'
]
model = dict(backbone={{_base_.swin_b}}, neck=dict(in_channels=[128, 256, 512, 1024]))
