"""Tracking: embeddings of kernels, their losses, and the tracker that compares them."""
