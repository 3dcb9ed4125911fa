# K-Net, ResNet-50, 8 epochs on Cityscapes-STEP (each goes through the set 8 times).
_base_ = [
    '../_base_/models/knet_s3_r50_fpn.py',
    '../_base_/datasets/cityscapes_step.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py'
]
lr_config = dict(step=[7])
runner = dict(max_epochs=8)
