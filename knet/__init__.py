"""Video K-Net: video panoptic segmentation."""
