# Losses of tracking embeddings and the tracker, as variables: `_base_` this file and a model, then
# `tracker={{_base_.tracker}}`.
loss_track = dict(type='MultiPosCrossEntropyLoss', loss_weight=0.25)
loss_track_aux = dict(type='CosineMarginLoss', neg_margin=0.1, max_neg_ratio=3, loss_weight=1.0)
tracker = dict(
    type='QuasiDenseTracker',
    init_score_thr=0.35,
    obj_score_thr=0.3,
    match_score_thr=0.5,
    memo_tracklet_frames=5,
    memo_backdrop_frames=1,
    memo_momentum=0.8,
    nms_backdrop_iou_thr=0.3,
    nms_class_iou_thr=0.7)
