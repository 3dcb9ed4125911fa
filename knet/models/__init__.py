"""The networks: K-Net for images, Video K-Net for videos. Importing it registers them with
mmdet."""

from knet.models.focal_loss import SigmoidFocalLoss
from knet.models.kernels.branches import Branch, ClassBranch, MaskBranch
from knet.models.kernels.depth import DepthBranch, DepthLoss, DepthStart
from knet.models.kernels.kernel_head import ConvKernelHead
from knet.models.kernels.links import AttentionLink, Link, UpdatedLink
from knet.models.kernels.stage import KernelUpdateHead
from knet.models.kernels.stages import KernelIterHead
from knet.models.knet import KNet
from knet.models.matching.assigner import KernelHungarianAssigner
from knet.models.region_knet import RegionKNet
from knet.models.tracking.embedding import QuasiDenseEmbedHead, RegionEmbedHead
from knet.models.tracking.losses import CosineMarginLoss, MultiPosCrossEntropyLoss
from knet.models.tracking.tracker import QuasiDenseTracker
from knet.models.video_knet import VideoKNet

__all__ = [
    'AttentionLink',
    'Branch',
    'ClassBranch',
    'ConvKernelHead',
    'CosineMarginLoss',
    'DepthBranch',
    'DepthLoss',
    'DepthStart',
    'KNet',
    'KernelHungarianAssigner',
    'KernelIterHead',
    'KernelUpdateHead',
    'Link',
    'MaskBranch',
    'MultiPosCrossEntropyLoss',
    'QuasiDenseEmbedHead',
    'QuasiDenseTracker',
    'RegionEmbedHead',
    'RegionKNet',
    'SigmoidFocalLoss',
    'UpdatedLink',
    'VideoKNet',
]
