# The made-up videos of datasets/make_toy_step.py, 96x320; pairs of 96x224.
_base_ = './kitti_step.py'
data_root = 'data/toy_step'
crop_size = (96, 224)
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadFrames'),
    dict(type='ResizeFrames', img_scale=(320, 96), ratio_range=(0.8, 1.25)),
    dict(type='FlipFrames', flip_ratio=0.5),
    dict(type='CropFrames', crop_size=crop_size),
    dict(type='EachFrame', transform=dict(type='Normalize', **img_norm_cfg)),
    dict(type='EachFrame', transform=dict(type='Pad', size_divisor=32, pad_val=dict(img=0, masks=0, seg=255))),
    dict(type='PackFrames')
]
data = dict(
    train=dict(times=1, dataset=dict(data_root=data_root, pipeline=train_pipeline)),
    val=dict(data_root=data_root),
    test=dict(data_root=data_root))
