# K-Net with 8 FPN levels that the localization FPN reads all (the published 8-level model reads
# four).
_base_ = './knet_s3_r50_fpn8.py'
model = dict(rpn_head=dict(localization_fpn=dict(end_level=7, upsample_times=6)))
