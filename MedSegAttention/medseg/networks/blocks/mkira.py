"""MKIRA: the decoder block of UltraLightUNet / MK-UNet, attention (CMFA) then filtering (MKIR); arXiv 2509.18493."""

from torch import Tensor, nn

from medseg.networks.blocks.cmfa import CMFA, SpatialAttention
from medseg.networks.blocks.mkir import MKIR


class MKIRA(nn.Module):
    """Multi-kernel inverted residual attention.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> ``(B, out_channels, [I,] J, K)``

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        ratio: reduction of the channel attention.
        spatial: a spatial attention shared with other blocks; None makes one of its own.

    Example:
        >>> import torch
        >>> MKIRA(2, 8, 4)(torch.zeros(1, 8, 5, 6)).shape
        torch.Size([1, 4, 5, 6])
        >>> MKIRA(3, 8, 4)(torch.zeros(1, 8, 5, 6, 7)).shape
        torch.Size([1, 4, 5, 6, 7])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        ratio: int = 16,
        spatial: SpatialAttention | None = None,
    ) -> None:
        super().__init__()
        self.attention = CMFA(spatial_dims, in_channels, ratio=ratio, spatial=spatial)
        self.mkir = MKIR(spatial_dims, in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        result: Tensor = self.mkir(self.attention(x))
        return result
