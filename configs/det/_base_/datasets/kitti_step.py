# KITTI-STEP in STEP layout (DATASET.md); pairs of 384x1248.
data = dict(
    name='kitti_step',  # a record of knet/data/catalogue.py
    root=None,  # None: that of the record
    samples_per_gpu=1,
    workers_per_gpu=2,
    train=dict(
        split='train',
        repeat=2,
        scale=(1248, 384),
        ratio_range=(0.5, 2.0),
        crop_size=(384, 1248)),
    val=dict(split='val'),
    test=dict(split='val'))
