# Cityscapes-STEP (DATASET.md); crops of 1024x2048.
_base_ = './transforms.py'
data_root = 'data/cityscapes'
train_pipeline = [
    dict(type='LoadFrames'),
    dict(type='ResizeFrames', img_scale=(2048, 1024), ratio_range=(0.5, 2.0)),
    dict(type='FlipFrames', flip_ratio=0.5),
    dict(type='CropFrames', crop_size=(1024, 2048)),
    {{_base_.normalize}},
    {{_base_.pad}},
    dict(type='PackFrames')
]
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=2,
    train=dict(
        type='RepeatDataset',
        times=8,
        dataset=dict(type='CityscapesSTEPDataset', data_root=data_root, split='train', pipeline=train_pipeline)),
    val=dict(type='CityscapesSTEPDataset', data_root=data_root, split='val', pipeline={{_base_.test_pipeline}}),
    test=dict(type='CityscapesSTEPDataset', data_root=data_root, split='val', pipeline={{_base_.test_pipeline}}))
