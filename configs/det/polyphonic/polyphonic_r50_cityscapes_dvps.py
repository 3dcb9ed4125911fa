# PolyphonicFormer for images, ResNet-50, 24 epochs on Cityscapes-DVPS, from a K-Net checkpoint
# (--load-from).
_base_ = [
    '../_base_/models/polyphonic_r50_fpn.py', '../_base_/datasets/cityscapes_dvps.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/default_runtime.py'
]
lr_config = dict(step=[16, 22])
runner = dict(max_epochs=24)
