# The same for SemKITTI-DVPS, whose labels and depth are points of a laser scanner. No published
# config is known; depth is trained as the paper means it, not as its code does.
_base_ = [
    '../_base_/models/polyphonic_video_r50_fpn.py', '../_base_/datasets/semkitti_dvps.py',
    '../_base_/schedules/adamw_12e.py', '../_base_/default_runtime.py'
]
_loss = dict(scale_invariant=True)
model = dict(
    rpn_head=dict(paths=dict(depth=dict(train_dense=True, loss=_loss))),
    roi_head=dict(
        mask_head=dict(
            branches=dict(depth=dict(last_kernel_everywhere=False, loss=_loss)))),
    train_cfg=dict(sparse_labels=True))
optimizer = dict(lr=2e-4)
lr_config = dict(step=[8, 11])
