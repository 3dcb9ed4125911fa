# The R-50 model, 8 epochs.
_base_ = './video_knet_s3_r50_rpn_1x_kitti_step_sigmoid_stride2_mask_embed_link_ffn_joint_train.py'
lr_config = dict(step=[7])
runner = dict(max_epochs=8)
