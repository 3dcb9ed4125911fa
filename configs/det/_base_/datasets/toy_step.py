# The made-up videos of datasets/make_toy_step.py, 96x320; pairs of 96x224.
_base_ = './kitti_step.py'
data_root = 'data/toy_step'
train_pipeline = [
    dict(type='LoadFrames'),
    dict(type='ResizeFrames', img_scale=(320, 96), ratio_range=(0.8, 1.25)),
    dict(type='FlipFrames', flip_ratio=0.5),
    dict(type='CropFrames', crop_size=(96, 224)),
    {{_base_.normalize}},
    {{_base_.pad}},
    dict(type='PackFrames')
]
data = dict(
    train=dict(times=1, dataset=dict(data_root=data_root, pipeline=train_pipeline)),
    val=dict(data_root=data_root),
    test=dict(data_root=data_root))
