"""Residual block of two 3^3 convolutions, as in UNETR, UNETR++ and D-LKA Net (arXiv 2309.00121)."""

import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.layers import conv
from medseg.networks.blocks.norms import Norm

_SLOPE = 0.01


class ResidualBlock(nn.Module):
    """Convolution, norm, LeakyReLU, convolution, norm; the input is added before the last LeakyReLU.

    Where the channel count changes, the input passes a 1^3 convolution and a norm first.

    Shape:
        ``(B, in_channels, I, J, K)`` -> ``(B, out_channels, I, J, K)``

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: "batch" (with weights and running statistics) or "instance" (with neither).

    Example:
        >>> import torch
        >>> ResidualBlock(2, 4, norm="batch")(torch.zeros(1, 2, 5, 6, 7)).shape
        torch.Size([1, 4, 5, 6, 7])
    """

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm) -> None:
        super().__init__()
        layer = {"batch": nn.BatchNorm3d, "instance": nn.InstanceNorm3d}[norm]
        self.conv1 = conv(3, in_channels, out_channels, 3)
        self.norm1 = layer(out_channels)
        self.conv2 = conv(3, out_channels, out_channels, 3)
        self.norm2 = layer(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        self.shortcut_norm: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = conv(3, in_channels, out_channels)
            self.shortcut_norm = layer(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        hidden = F.leaky_relu(self.norm1(self.conv1(x)), _SLOPE)
        hidden = self.norm2(self.conv2(hidden))
        return F.leaky_relu(hidden + self.shortcut_norm(self.shortcut(x)), _SLOPE)
