# Video K-Net, ResNet-50, 12 epochs on the five cameras of Waymo.
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py',
    '../_base_/datasets/waymo_step.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py'
]
