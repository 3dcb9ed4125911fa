# Cityscapes-DVPS in STEP layout with depth (DATASET.md); crops of 1024x2048.
data = dict(
    name='cityscapes_dvps',
    root=None,
    samples_per_gpu=1,
    workers_per_gpu=2,
    train=dict(
        split='train',
        repeat=8,
        scale=(2048, 1024),
        ratio_range=(1.0, 2.0),
        crop_size=(1024, 2048),
        with_depth=True,
        clip_depth=80),
    val=dict(split='val'),
    test=dict(split='val'))
