"""The networks: K-Net for images, Video K-Net for videos. Importing this package registers them with mmdet."""
from knet.models.focal_loss import SigmoidFocalLoss
from knet.models.kernel_head import ConvKernelHead
from knet.models.kernel_iter_head import KernelIterHead
from knet.models.kernel_update_head import KernelUpdateHead
from knet.models.knet import KNet
from knet.models.mask_matching import KernelHungarianAssigner
from knet.models.quasi_dense_tracker import QuasiDenseTracker
from knet.models.track_head import QuasiDenseEmbedHead
from knet.models.track_losses import CosineMarginLoss, MultiPosCrossEntropyLoss
from knet.models.video_knet import VideoKNet

__all__ = ['ConvKernelHead', 'CosineMarginLoss', 'KNet', 'KernelHungarianAssigner', 'KernelIterHead', 'KernelUpdateHead',
           'MultiPosCrossEntropyLoss', 'QuasiDenseEmbedHead', 'QuasiDenseTracker',
           'SigmoidFocalLoss', 'VideoKNet']
