runner = dict(type='KNetRunner', max_epochs=12)
checkpoint_config = dict(interval=1)
log_config = dict(
    interval=50, hooks=[dict(type='TextLoggerHook'), dict(type='KNetTensorboardLoggerHook')])
custom_hooks = [dict(type='ProgressBarHook')]
evaluation = dict(interval=1)
log_level = 'INFO'
load_from = None
resume_from = None
