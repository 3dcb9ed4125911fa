# PolyphonicFormer for videos as published: the image model, and tracking by regions of the image.
_base_ = './polyphonic_r50_fpn.py'
task = 'video_depth'
model = dict(
    type='RegionKNet',
    track_head=dict(
        type='RegionEmbedHead',
        num_convs=4,
        num_fcs=1,
        hidden_channels=1024,
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
        nms_class_iou_thr=0.7))
