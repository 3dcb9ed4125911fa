# The R-50 model with 8 FPN levels that the localization FPN reads all (the published 8-level model
# reads four).
_base_ = (
    './video_knet_s3_r50_fpn8_rpn_1x_kitti_step_sigmoid_stride2_mask_embed_link_ffn_'
    'joint_train.py')
model = dict(rpn_head=dict(localization_fpn=dict(end_level=7, upsample_times=6)))
