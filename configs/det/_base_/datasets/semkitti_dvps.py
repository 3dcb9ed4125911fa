# SemKITTI-DVPS in STEP layout with depth (DATASET.md); pairs of 384x1248.
data = dict(
    name='semkitti_dvps',
    root=None,
    samples_per_gpu=1,
    workers_per_gpu=2,
    train=dict(
        split='train',
        repeat=1,
        scale=(1248, 384),
        ratio_range=(1.0, 2.0),
        crop_size=(384, 1248),
        with_depth=True),
    val=dict(split='val'),
    test=dict(split='val'))
