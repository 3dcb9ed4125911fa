# Video K-Net, ResNet-50, 12 epochs on KITTI-STEP; start from a K-Net trained on Cityscapes-STEP
# (--load-from).
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py',
    '../_base_/datasets/kitti_step.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py'
]
