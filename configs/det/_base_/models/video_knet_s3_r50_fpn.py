# Video K-Net with ResNet-50: K-Net plus link, tracking embedding and tracker; masks are trained at
# stride 2.
_base_ = ['./knet_s3_r50_fpn.py', './quasi_dense_tracking.py']
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
        loss_track={{_base_.loss_track}},
        loss_track_aux={{_base_.loss_track_aux}}),
    tracker={{_base_.tracker}},
    test_cfg=dict(instance_score_thr=0.25))
