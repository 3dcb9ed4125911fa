# Waymo in STEP layout (DATASET.md), images of 1920x1280 and 1920x886; pairs of 640x960.
data = dict(
    name='waymo_step',
    root=None,
    samples_per_gpu=1,
    workers_per_gpu=2,
    train=dict(
        split='train',
        repeat=1,
        scale=(1920, 1280),
        ratio_range=(0.5, 1.5),
        crop_size=(640, 960)),
    val=dict(split='val'),
    test=dict(split='val'))
