"""Video K-Net: video panoptic segmentation."""

__version__ = '0.1.0'
