# Waymo in STEP layout (DATASET.md), images of 1920x1280 and 1920x886; pairs of 640x960.
_base_ = './transforms.py'
data_root = 'data/waymo-step-5-cameras'
train_pipeline = [
    dict(type='LoadFrames'),
    dict(type='ResizeFrames', img_scale=(1920, 1280), ratio_range=(0.5, 1.5)),
    dict(type='FlipFrames', flip_ratio=0.5),
    dict(type='CropFrames', crop_size=(640, 960)),
    {{_base_.normalize}},
    {{_base_.pad}},
    dict(type='PackFrames')
]
data = dict(
    samples_per_gpu=1,
    workers_per_gpu=2,
    train=dict(type='STEPDataset', data_root=data_root, split='train', pipeline=train_pipeline),
    val=dict(type='STEPDataset', data_root=data_root, split='val', pipeline={{_base_.test_pipeline}}),
    test=dict(type='STEPDataset', data_root=data_root, split='val', pipeline={{_base_.test_pipeline}}))
