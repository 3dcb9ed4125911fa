# PolyphonicFormer for videos, ResNet-50, 12 epochs on Cityscapes-DVPS, from the image model
# (--load-from).
_base_ = [
    '../_base_/models/polyphonic_video_r50_fpn.py', '../_base_/datasets/cityscapes_dvps.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/default_runtime.py'
]
model = dict(rpn_head=dict(paths=dict(depth=dict(loss=dict(loss_weight=1.0)))))
data = dict(samples_per_gpu=2, train=dict(repeat=4))
optimizer = dict(lr=2e-4)
lr_config = dict(step=[8, 11])
