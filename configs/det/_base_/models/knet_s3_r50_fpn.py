# K-Net with ResNet-50: the image model that everything else builds on. Its classes are those of the
# data set.
task = 'image_panoptic'
loss_mask = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
loss_dice = dict(type='DiceLoss', loss_weight=4.0)
loss_rank = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.1)

model = dict(
    type='KNet',
    num_proposals=100,
    channels=256,
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    neck=dict(type='FPN', in_channels=[256, 512, 1024, 2048], num_outs=4),
    rpn_head=dict(
        type='ConvKernelHead',
        feat_downsample_stride=2,
        localization_fpn=dict(
            positional_encoding=dict(type='SinePositionalEncoding', normalize=True)),
        loss_mask=loss_mask,
        loss_dice=loss_dice,
        loss_rank=loss_rank,
        loss_seg=dict(type='SigmoidFocalLoss', gamma=2.0, alpha=0.25, loss_weight=1.0)),
    roi_head=dict(
        type='KernelIterHead',
        num_stages=3,
        mask_assign_stride=4,
        mask_head=dict(
            type='KernelUpdateHead',
            branches=dict(
                classes=dict(
                    type='ClassBranch',
                    loss=dict(type='SigmoidFocalLoss', gamma=2.0, alpha=0.25, loss_weight=2.0)),
                masks=dict(
                    type='MaskBranch',
                    upsample_stride=2,
                    loss_mask=loss_mask,
                    loss_dice=loss_dice,
                    loss_rank=loss_rank)))),
    train_cfg=dict(
        assigner=dict(
            type='KernelHungarianAssigner', cls_weight=2.0, dice_weight=4.0, mask_weight=1.0)),
    test_cfg=dict(
        max_per_img=100,
        mask_thr=0.5,
        instance_score_thr=0.3,
        merge_joint=True,
        overlap_thr=0.6,
        iou_thr=0.5,
        stuff_max_area=4096))
