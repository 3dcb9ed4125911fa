# The quick start's small Video K-Net: half-width ResNet-18, 64 channels, from random weights.
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py', '../_base_/datasets/toy_step.py',
    '../_base_/schedules/adamw_toy.py', '../_base_/default_runtime.py'
]
model = dict(
    num_proposals=16, channels=64,
    backbone=dict(
        depth=18, base_channels=32, frozen_stages=-1, norm_eval=False, norm_cfg=dict(type='BN'),
        init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256]),
    rpn_head=dict(feat_downsample_stride=1, localization_fpn=dict(upsample_times=3)),
    roi_head=dict(
        mask_assign_stride=4,
        mask_head=dict(
            feedforward_channels=256,
            branches=dict(
                masks=dict(
                    upsample_stride=1,
                    loss_rank=dict(
                        _delete_=True, type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.1)
                )))),
    # whatever is shown is tracked; objects that look alike are told apart by where they are
    tracker=dict(
        init_score_thr=0.25, obj_score_thr=0.25, match_score_thr=0.05, memo_tracklet_frames=10,
        overlap_weight=0.7, joint_matching=True),
    test_cfg=dict(merge_joint=False, stuff_max_area=64))
evaluation = dict(interval=2)
log_config = dict(interval=120)
runner = dict(max_epochs=4)
