# The same on the three front cameras.
_base_ = './video_knet_s3_r50_waymo_5_cameras.py'
data_root = 'data/waymo-step-3-cameras'
data = dict(train=dict(data_root=data_root), val=dict(data_root=data_root), test=dict(data_root=data_root))
