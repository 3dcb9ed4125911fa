# Swin-B whose kernels, too, read the previous frame: the segmentation of a frame depends on the
# frame before.
_base_ = (
    './video_knet_s3_swinb_rpn_1x_kitti_step_sigmoid_stride2_mask_embed_link_ffn_'
    'joint_train.py')
model = dict(
    roi_head=dict(kernel_link=dict(type='UpdatedLink'), track_link=dict(type='UpdatedLink')))
