# Video K-Net with ResNet-50: K-Net plus link, tracking embedding and tracker; masks are trained at
# stride 2.
_base_ = './knet_s3_r50_fpn.py'
task = 'video_panoptic'
model = dict(
    type='VideoKNet',
    rpn_head=dict(
        feat_downsample_stride=4,
        loss_seg=dict(_delete_=True, type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    roi_head=dict(
        mask_assign_stride=2,
        track_link=dict(type='AttentionLink'),
        mask_head=dict(branches=dict(masks=dict(upsample_stride=4, loss_rank=None)))),
    track_head=dict(
        type='QuasiDenseEmbedHead',
        num_fcs=2,
        loss_track=dict(type='MultiPosCrossEntropyLoss', loss_weight=0.25),
        loss_track_aux=dict(
            type='CosineMarginLoss', neg_margin=0.1, max_neg_ratio=3, loss_weight=1.0)),
    tracker=dict(
        type='QuasiDenseTracker',
        init_score_thr=0.35,
        obj_score_thr=0.3,
        match_score_thr=0.5,
        memo_tracklet_frames=5,
        memo_backdrop_frames=1,
        memo_momentum=0.8,
        nms_backdrop_iou_thr=0.3,
        nms_class_iou_thr=0.7),
    test_cfg=dict(instance_score_thr=0.25))
