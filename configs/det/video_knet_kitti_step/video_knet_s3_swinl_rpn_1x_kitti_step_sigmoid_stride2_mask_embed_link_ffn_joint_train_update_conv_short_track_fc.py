# Video K-Net, Swin-L: linked kernels, a shorter track head.
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py',
    '../_base_/models/swin_backbones.py',
    '../_base_/datasets/kitti_step.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/default_runtime.py'
]
model = dict(
    backbone={{_base_.swin_l}},
    neck=dict(in_channels=[192, 384, 768, 1536]),
    roi_head=dict(kernel_link=dict(type='UpdatedLink')),
    track_head=dict(num_fcs=1))
