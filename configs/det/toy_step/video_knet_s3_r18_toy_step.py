# The quick start's small Video K-Net: half-width ResNet-18 and 64 channels, from random weights, minutes on a CPU.
_base_ = [
    '../_base_/models/video_knet_s3_r50_fpn.py', '../_base_/datasets/toy_step.py', '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py'
]
model = dict(
    backbone=dict(depth=18, base_channels=32, frozen_stages=-1, norm_eval=False, norm_cfg=dict(type='BN'), init_cfg=None),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    rpn_head=dict(
        num_proposals=16, in_channels=64, out_channels=64, feat_downsample_stride=1,
        localization_fpn=dict(feat_channels=64, upsample_times=3, positional_encoding=dict(num_feats=32))),
    roi_head=dict(
        mask_assign_stride=4,
        mask_head=dict(
            num_proposals=16,
            in_channels=64,
            feedforward_channels=256,
            mask_upsample_stride=1,
            loss_rank=dict(_delete_=True, type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.1))),
    track_head=dict(in_channels=64, fc_out_channels=64, embed_channels=64),
    # whatever is shown is tracked; objects that look alike are told apart by where they are
    tracker=dict(init_score_thr=0.25, obj_score_thr=0.25, match_score_thr=0.1, overlap_weight=0.7),
    test_cfg=dict(merge_joint=False, stuff_max_area=64))
data = dict(samples_per_gpu=4, workers_per_gpu=0)
optimizer = dict(_delete_=True, type='AdamW', lr=2.5e-3, weight_decay=0.05, fused=True)
lr_config = dict(
    _delete_=True, policy='CosineAnnealing', by_epoch=False, min_lr_ratio=0.01, warmup='linear', warmup_iters=100, warmup_ratio=0.01)
runner = dict(max_epochs=4)
evaluation = dict(interval=2)
log_config = dict(interval=60)
