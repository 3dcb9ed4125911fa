# KITTI-STEP in STEP layout (DATASET.md); pairs of 384x1248.
_base_ = './transforms.py'
data_root = 'data/kitti-step'
train_pipeline = [
    dict(type='LoadFrames'),
    dict(type='ResizeFrames', img_scale=(1248, 384), ratio_range=(0.5, 2.0)),
    dict(type='FlipFrames', flip_ratio=0.5),
    dict(type='CropFrames', crop_size=(384, 1248)),
    {{_base_.normalize}},
    {{_base_.pad}},
    dict(type='PackFrames')
]
data = dict(
    samples_per_gpu=1,
    workers_per_gpu=2,
    train=dict(
        type='RepeatDataset',
        times=2,
        dataset=dict(type='STEPDataset', data_root=data_root, split='train', pipeline=train_pipeline)),
    val=dict(type='STEPDataset', data_root=data_root, split='val', pipeline={{_base_.test_pipeline}}),
    test=dict(type='STEPDataset', data_root=data_root, split='val', pipeline={{_base_.test_pipeline}}))
