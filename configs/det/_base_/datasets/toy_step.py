# The made-up videos of datasets/make_toy_step.py, 96x320; pairs of 96x224.
data = dict(
    name='toy_step',
    root=None,
    samples_per_gpu=2,
    workers_per_gpu=0,
    train=dict(
        split='train',
        repeat=1,
        scale=(320, 96),
        ratio_range=(0.8, 1.25),
        crop_size=(96, 224)),
    val=dict(split='val'),
    test=dict(split='val'))
