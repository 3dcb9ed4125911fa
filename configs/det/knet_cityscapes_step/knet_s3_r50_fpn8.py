# K-Net with 8 FPN levels, as published: the localization FPN reads the first four, the others feed
# nothing.
_base_ = './knet_s3_r50_fpn.py'
model = dict(neck=dict(num_outs=8, add_extra_convs='on_output'))
