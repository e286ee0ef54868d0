"""CMFA: channel attention, then spatial attention, as in the decoder of UltraLightUNet / MK-UNet (arXiv 2509.18493).

The two parts are those of CBAM (Woo et al., ECCV 2018, arXiv 1807.06521).
"""

import torch
from torch import Tensor, nn

from medseg.networks.blocks.layers import Size, conv


class ChannelAttention(nn.Module):
    """Weight each channel by what its mean and its maximum say.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        spatial_dims: 2 or 3.
        channels: C.
        ratio: the hidden layer has ``C // min(ratio, C)`` channels.
    """

    def __init__(self, spatial_dims: int, channels: int, *, ratio: int = 16) -> None:
        super().__init__()
        hidden = channels // min(ratio, channels)
        self.squeeze = conv(spatial_dims, channels, hidden)
        self.excite = conv(spatial_dims, hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        axes = tuple(range(2, x.ndim))
        weight: Tensor = self._weigh(x.mean(axes, keepdim=True)) + self._weigh(x.amax(axes, keepdim=True))
        return x * torch.sigmoid(weight)

    def _weigh(self, pooled: Tensor) -> Tensor:
        weight: Tensor = self.excite(torch.relu(self.squeeze(pooled)))
        return weight


class SpatialAttention(nn.Module):
    """Weight each voxel by a convolution over the mean and the maximum of its channels.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same, for any C
    """

    def __init__(self, spatial_dims: int, *, kernel: Size = 7) -> None:
        super().__init__()
        self.filter = conv(spatial_dims, 2, 1, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.filter(pooled))


class CMFA(nn.Module):
    """Channel attention followed by spatial attention.

    The published network shares one spatial attention among all its stages; hand it over as ``spatial`` to share it.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Example:
        >>> import torch
        >>> CMFA(2, 8)(torch.zeros(1, 8, 5, 6)).shape
        torch.Size([1, 8, 5, 6])
        >>> CMFA(3, 8)(torch.zeros(1, 8, 5, 6, 7)).shape
        torch.Size([1, 8, 5, 6, 7])
    """

    def __init__(
        self, spatial_dims: int, channels: int, *, ratio: int = 16, spatial: SpatialAttention | None = None
    ) -> None:
        super().__init__()
        self.channel = ChannelAttention(spatial_dims, channels, ratio=ratio)
        self.spatial = SpatialAttention(spatial_dims) if spatial is None else spatial

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        result: Tensor = self.spatial(self.channel(x))
        return result
