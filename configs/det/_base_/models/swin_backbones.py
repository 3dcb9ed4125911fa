# Swin backbones as variables: `_base_` this file and a model with ResNet-50, then
# `backbone={{_base_.swin_b}}`.
_source = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/'
swin_b = dict(
    _delete_=True,
    type='SwinTransformer',
    embed_dims=128,
    depths=[2, 2, 18, 2],
    num_heads=[4, 8, 16, 32],
    window_size=7,
    drop_path_rate=0.3,
    convert_weights=True,
    init_cfg=dict(type='Pretrained', checkpoint=_source + 'swin_base_patch4_window7_224_22k.pth'))
swin_l = dict(
    _delete_=True,
    type='SwinTransformer',
    embed_dims=192,
    depths=[2, 2, 18, 2],
    num_heads=[6, 12, 24, 48],
    window_size=7,
    drop_path_rate=0.2,
    convert_weights=True,
    init_cfg=dict(type='Pretrained', checkpoint=_source + 'swin_large_patch4_window7_224_22k.pth'))
