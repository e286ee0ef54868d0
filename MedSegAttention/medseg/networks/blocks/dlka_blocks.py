"""The transformer-like blocks around deformable large kernel attention, 3D and 2D (arXiv 2309.00121)."""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.deformable_lka import DeformableLKA
from medseg.networks.blocks.layers import conv
from medseg.networks.blocks.residual import ResidualBlock

_START_SCALE_3D = 1e-6
_START_SCALE_2D = 1e-2
_MLP_EXPANSION = 4
_DROPOUT = 0.1


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each voxel's channel vector.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same
    """

    def forward(self, x: Tensor) -> Tensor:
        """Run the norm."""
        normed: Tensor = super().forward(x.movedim(1, -1))
        return normed.movedim(-1, 1)


class DLKABlock3d(nn.Module):
    """Position embedding, attention, then a residual block of 3^3 convolutions; each adds to its input.

    The embedding has one vector a voxel of ``grid``; on another grid it is interpolated trilinearly.

    Shape:
        ``(B, C, I, J, K)`` -> the same

    Args:
        channels: C.
        grid: (I, J, K) for which the position embedding is stored.
        deformable: see ``DeformableLKA``.

    Example:
        >>> DLKABlock3d(4, (5, 6, 7))(torch.zeros(1, 4, 5, 6, 7)).shape
        torch.Size([1, 4, 5, 6, 7])
    """

    def __init__(self, channels: int, grid: Sequence[int], *, deformable: bool = True) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.position = nn.Parameter(torch.zeros(1, prod(grid), channels))
        self.norm = ChannelNorm(channels)
        self.attention = DeformableLKA(3, channels, deformable=deformable)
        self.scale = nn.Parameter(torch.full((channels,), _START_SCALE_3D))
        self.residual = ResidualBlock(channels, channels, norm="batch")
        self.dropout = nn.Dropout3d(_DROPOUT)
        self.mix = conv(3, channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        x = x + self._positions(x.shape[2:])
        x = x + _per_channel(self.scale, x) * self.attention(self.norm(x))
        result: Tensor = x + self.mix(self.dropout(self.residual(x)))
        return result

    def _positions(self, grid: Sequence[int]) -> Tensor:
        """The embedding as (1, C, *grid)."""
        stored = self.position.transpose(1, 2).reshape(1, -1, *self.grid)
        if tuple(grid) == self.grid:
            return stored
        return F.interpolate(stored, size=tuple(grid), mode="trilinear", align_corners=False)


class DLKABlock2d(nn.Module):
    """Attention, then a convolutional MLP; each is normalised before and scaled after, and adds to its input.

    Shape:
        ``(B, C, J, K)`` -> the same

    Args:
        channels: C.
        deformable: see ``DeformableLKA``.

    Example:
        >>> DLKABlock2d(4)(torch.zeros(1, 4, 5, 6)).shape
        torch.Size([1, 4, 5, 6])
    """

    def __init__(self, channels: int, *, deformable: bool = True) -> None:
        super().__init__()
        hidden = _MLP_EXPANSION * channels
        self.attention_norm = ChannelNorm(channels)
        self.attention = DeformableLKA(2, channels, deformable=deformable)
        self.attention_scale = nn.Parameter(torch.full((channels,), _START_SCALE_2D))
        self.mlp_norm = ChannelNorm(channels)
        self.widen = conv(2, channels, hidden, bias=True)
        self.depthwise = conv(2, hidden, hidden, 3, groups=hidden, bias=True)
        self.narrow = conv(2, hidden, channels, bias=True)
        self.mlp_scale = nn.Parameter(torch.full((channels,), _START_SCALE_2D))

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        x = x + _per_channel(self.attention_scale, x) * self.attention(self.attention_norm(x))
        hidden = self.narrow(F.gelu(self.depthwise(self.widen(self.mlp_norm(x)))))
        result: Tensor = x + _per_channel(self.mlp_scale, x) * hidden
        return result


def _per_channel(scale: Tensor, x: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (x.ndim - 2))
