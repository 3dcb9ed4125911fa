# PolyphonicFormer for videos as published: the image model, and tracking by regions of the image.
_base_ = ['./polyphonic_r50_fpn.py', './quasi_dense_tracking.py']
task = 'video_depth'
model = dict(
    type='RegionKNet',
    track_head=dict(
        type='RegionEmbedHead',
        num_convs=4,
        num_fcs=1,
        hidden_channels=1024,
        loss_track={{_base_.loss_track}},
        loss_track_aux={{_base_.loss_track_aux}}),
    tracker={{_base_.tracker}})
