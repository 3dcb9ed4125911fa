# 12 epochs of AdamW; the backbone learns at a quarter of the rate.
optimizer = dict(
    type='AdamW',
    lr=1e-4,
    weight_decay=0.05,
    fused=True,
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.25))))
optimizer_config = dict(grad_clip=dict(max_norm=1, norm_type=2))
lr_config = dict(
    policy='step', step=[9, 11], warmup='linear', warmup_iters=1000, warmup_ratio=0.001)
