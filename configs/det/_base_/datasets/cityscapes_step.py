# Cityscapes-STEP (DATASET.md); crops of 1024x2048.
data = dict(
    name='cityscapes_step',
    root=None,
    samples_per_gpu=2,
    workers_per_gpu=2,
    train=dict(
        split='train',
        repeat=8,
        scale=(2048, 1024),
        ratio_range=(0.5, 2.0),
        crop_size=(1024, 2048)),
    val=dict(split='val'),
    test=dict(split='val'))
