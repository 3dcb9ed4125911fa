# PolyphonicFormer as published, ResNet-50: K-Net with depth, and losses of labelled pixels alone.
# `scale_invariant`, `train_dense` and `last_kernel_everywhere` are what the published code does;
# their defaults are what it means to do.
_base_ = './knet_s3_r50_fpn.py'
task = 'image_depth'
loss_depth = dict(type='DepthLoss', loss_weight=5.0, scale_invariant=False)
model = dict(
    rpn_head=dict(paths=dict(depth=dict(type='DepthStart', loss=loss_depth, train_dense=False))),
    roi_head=dict(
        mask_head=dict(
            branches=dict(
                depth=dict(
                    type='DepthBranch', upsample_stride=2, loss=loss_depth,
                    last_kernel_everywhere=True)))),
    train_cfg=dict(only_labelled=True))
