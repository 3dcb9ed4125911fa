# The same on the three front cameras.
_base_ = './video_knet_s3_r50_waymo_5_cameras.py'
data = dict(root='data/waymo-step-3-cameras')
