"""MKIR: the multi-kernel inverted residual block of UltraLightUNet / MK-UNet.

Rahman and Marculescu, "MK-UNet: Multi-kernel Lightweight CNN for Medical Image Segmentation", ICCV Workshops 2025,
arXiv 2509.18493. The published code is 2D; the 3D form replaces each operator by its 3D counterpart.
"""

from collections.abc import Sequence
from math import gcd

from torch import Tensor, nn

from medseg.networks.blocks.layers import BATCH_NORM, conv
from medseg.networks.ops.multi_kernel import branches_in_one_pass


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave ``groups`` groups of channels; ``(B, C, ...)`` -> ``(B, C, ...)``."""
    if groups in (1, x.shape[1]):  # one group, or groups of one channel: nothing moves
        return x
    batch, channels, *size = x.shape
    return x.reshape(batch, groups, channels // groups, *size).transpose(1, 2).flatten(1, 2)


class MKIR(nn.Module):
    """Widen, filter with several depthwise kernels side by side, shuffle, narrow, add the input.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> ``(B, out_channels, [I,] J, K)``

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output; if they differ the shortcut is a 1x1 convolution without bias.
        expansion: the depthwise kernels see ``expansion * in_channels`` channels.
        kernels: odd sizes of the depthwise kernels, whose outputs are added.

    Example:
        >>> import torch
        >>> MKIR(2, 4, 8)(torch.zeros(2, 4, 5, 6)).shape
        torch.Size([2, 8, 5, 6])
        >>> MKIR(3, 4, 8)(torch.zeros(2, 4, 5, 6, 7)).shape
        torch.Size([2, 8, 5, 6, 7])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int = 2,
        kernels: Sequence[int] = (1, 3, 5),
    ) -> None:
        super().__init__()
        width = expansion * in_channels
        norm = BATCH_NORM[spatial_dims]
        self.expand = nn.Sequential(conv(spatial_dims, in_channels, width), norm(width), nn.ReLU6(inplace=True))
        self.depthwise = nn.ModuleList(
            nn.Sequential(conv(spatial_dims, width, width, kernel, groups=width), norm(width), nn.ReLU6(inplace=True))
            for kernel in kernels
        )
        self.shuffle_groups = gcd(width, out_channels)
        self.project = nn.Sequential(conv(spatial_dims, width, out_channels), norm(out_channels))
        self.shortcut = nn.Identity() if in_channels == out_channels else conv(spatial_dims, in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        wide = self.expand(x)
        filtered = branches_in_one_pass(wide, self.depthwise)
        if filtered is None:
            filtered = self.depthwise[0](wide)
            for branch in self.depthwise[1:]:
                filtered = filtered + branch(wide)
        result: Tensor = self.project(channel_shuffle(filtered, self.shuffle_groups)) + self.shortcut(x)
        return result
