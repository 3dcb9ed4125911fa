# Cityscapes-STEP (DATASET.md); crops of 1024x2048.
data_root = 'data/cityscapes'
crop_size = (1024, 2048)
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
pad = dict(type='EachFrame', transform=dict(type='Pad', size_divisor=32, pad_val=dict(img=0, masks=0, seg=255)))
train_pipeline = [
    dict(type='LoadFrames'),
    dict(type='ResizeFrames', img_scale=(2048, 1024), ratio_range=(0.5, 2.0)),
    dict(type='FlipFrames', flip_ratio=0.5),
    dict(type='CropFrames', crop_size=crop_size),
    dict(type='EachFrame', transform=dict(type='Normalize', **img_norm_cfg)),
    pad,
    dict(type='PackFrames')
]
test_pipeline = [
    dict(type='LoadFrames'),
    dict(type='EachFrame', transform=dict(type='Normalize', **img_norm_cfg)),
    pad,
    dict(type='PackFrames')
]
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=2,
    train=dict(
        type='RepeatDataset',
        times=8,
        dataset=dict(type='CityscapesSTEPDataset', data_root=data_root, split='train', pipeline=train_pipeline)),
    val=dict(type='CityscapesSTEPDataset', data_root=data_root, split='val', pipeline=test_pipeline),
    test=dict(type='CityscapesSTEPDataset', data_root=data_root, split='val', pipeline=test_pipeline))
