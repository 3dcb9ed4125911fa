"""Kernels: where they come from, how stages refine them, what is read off them."""
