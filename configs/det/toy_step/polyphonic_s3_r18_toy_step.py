# The quick start's model with depth for every kernel, frame by frame as PolyphonicFormer: what is
# tracked are regions of the image, not kernels.
_base_ = './video_knet_depth_s3_r18_toy_step.py'
model = dict(
    type='RegionKNet',
    roi_head=dict(track_link=None),
    track_head=dict(type='RegionEmbedHead', num_convs=1, num_fcs=1, hidden_channels=128))
