# The same model, tracked also by where objects are: for tests of a checkpoint that the config
# without `_overlap` trained.
_base_ = './video_knet_s3_r50_rpn_1x_kitti_step_sigmoid_stride2_mask_embed_link_ffn_joint_train.py'
model = dict(tracker=dict(overlap_weight=0.5, joint_matching=True, match_score_thr=0.25))
