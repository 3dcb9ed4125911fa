# AdamW with a rate for small models and a cosine; the whole network learns at it.
optimizer = dict(type='AdamW', lr=1.8e-3, weight_decay=0.05, fused=True)
optimizer_config = dict(grad_clip=dict(max_norm=1, norm_type=2))
lr_config = dict(
    policy='CosineAnnealing',
    by_epoch=False,
    min_lr_ratio=0.01,
    warmup='linear',
    warmup_iters=200,
    warmup_ratio=0.01)
