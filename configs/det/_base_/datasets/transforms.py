# What the transforms of all data sets have in common.
normalize = dict(
    type='EachFrame', transform=dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True))
pad = dict(type='EachFrame', transform=dict(type='Pad', size_divisor=32, pad_val=dict(img=0, masks=0, seg=255)))
test_pipeline = [dict(type='LoadFrames'), normalize, pad, dict(type='PackFrames')]
