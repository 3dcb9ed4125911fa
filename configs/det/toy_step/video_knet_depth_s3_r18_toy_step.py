# The quick start's model with depth for every kernel: kernel embedding and link of Video K-Net,
# depth of PolyphonicFormer.
_base_ = './video_knet_s3_r18_toy_step.py'
task = 'video_depth'
loss_depth = dict(type='DepthLoss', loss_weight=1.0)
model = dict(
    rpn_head=dict(paths=dict(depth=dict(type='DepthStart', loss=loss_depth))),
    roi_head=dict(
        mask_head=dict(
            branches=dict(
                depth=dict(type='DepthBranch', upsample_stride=1, loss=loss_depth)))))
data = dict(train=dict(with_depth=True))
