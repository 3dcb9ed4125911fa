"""Matching of kernels with the ground truth in training."""
