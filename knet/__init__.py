"""Video K-Net: video panoptic segmentation."""

__version__ = '0.2.0'
