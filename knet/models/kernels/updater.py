"""Adaptive kernel update: mixes a kernel with the image content under its mask (K-Net, section 3.2,
equations 4 to 6)."""

import torch
import torch.nn as nn
from torch import Tensor


class KernelUpdater(nn.Module):
    """Gated mix of a kernel and an update feature.

    Both are projected to a gate part and a value part; the product of the gate parts decides, per
    channel, how much of either value goes into the new kernel.

    Args:
        channels: Number of channels C of kernels and features.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.dynamic_layer = nn.Linear(channels, 2 * channels)
        self.input_layer = nn.Linear(channels, 2 * channels)
        self.input_gate = nn.Linear(channels, channels)
        self.update_gate = nn.Linear(channels, channels)
        self.norm_in = nn.LayerNorm(channels)
        self.norm_out = nn.LayerNorm(channels)
        self.input_norm_in = nn.LayerNorm(channels)
        self.input_norm_out = nn.LayerNorm(channels)
        self.fc_layer = nn.Linear(channels, channels)
        self.fc_norm = nn.LayerNorm(channels)

    def forward(self, update_feats: Tensor, kernels: Tensor) -> Tensor:
        """
        Args:
            update_feats: What the kernels learn from, (..., C).
            kernels: (..., C).

        Returns:
            Updated kernels, (..., C).
        """
        update_gates, update_values = self.dynamic_layer(update_feats).split(self.channels, dim=-1)
        kernel_gates, kernel_values = self.input_layer(kernels).split(self.channels, dim=-1)
        gates = kernel_gates * update_gates
        input_gate = torch.sigmoid(self.input_norm_in(self.input_gate(gates)))
        update_gate = torch.sigmoid(self.norm_in(self.update_gate(gates)))
        updated = update_gate * self.norm_out(update_values) + input_gate * self.input_norm_out(
            kernel_values
        )
        return torch.relu(self.fc_norm(self.fc_layer(updated)))
