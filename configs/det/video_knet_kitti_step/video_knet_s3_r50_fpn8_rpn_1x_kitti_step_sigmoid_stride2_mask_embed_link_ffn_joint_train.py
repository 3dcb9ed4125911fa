# The R-50 model with 8 FPN levels, as published: the localization FPN reads the first four, the
# others feed nothing.
_base_ = './video_knet_s3_r50_rpn_1x_kitti_step_sigmoid_stride2_mask_embed_link_ffn_joint_train.py'
model = dict(neck=dict(num_outs=8, add_extra_convs='on_output'))
