"""The blocks MSLAU-Net's encoder is made of: cell embedding, local (LFE) and global (GFE) feature extraction.

Lan et al., "MSLAU-Net: A Hybrid CNN-Transformer Network for Medical Image Segmentation", arXiv 2505.18823.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.dlka_blocks import ChannelNorm
from medseg.networks.blocks.layers import BATCH_NORM, CONV, Size, conv, each_axis
from medseg.networks.blocks.msla import MSLA

_MLP_EXPANSION = 4
_LOCAL_KERNEL = 5
_GLOBAL_NORM_EPS = 1e-6  # published; the embeddings' norm keeps PyTorch's 1e-5


class CellEmbedding(nn.Module):
    """One vector for every cell of ``cell`` voxels, normalised over its channels.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> ``(B, channels, [ceil(I / cell),] ...)``; what is missing in the last cell
        counts as zeros

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        channels: length of the vectors.
        cell: size of the cells, one number or one per axis.

    Example:
        >>> import torch
        >>> CellEmbedding(3, 1, 8, (1, 4, 4))(torch.zeros(2, 1, 5, 8, 9)).shape
        torch.Size([2, 8, 5, 2, 3])
    """

    def __init__(self, spatial_dims: int, in_channels: int, channels: int, cell: Size) -> None:
        super().__init__()
        self.cell = each_axis(spatial_dims, cell)
        self.merge = CONV[spatial_dims](in_channels, channels, self.cell, self.cell)
        self.norm = ChannelNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the embedding."""
        result: Tensor = self.norm(self.merge(fill_cells(x, self.cell)))
        return result


class LFE(nn.Module):
    """Local feature extraction: position, depthwise filter of size 5, MLP, all convolutional; each adds to its input.

    With P and D depthwise of size 3 and 5, and C and F 1x1 convolutions, all with bias::

        x = x + P(x)
        x = x + C2(D(C1(BatchNorm(x))))          no activation in between
        x = x + F2(GELU(F1(BatchNorm(x))))       four times as wide inside

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        spatial_dims: 2 or 3.
        channels: C.

    Example:
        >>> import torch
        >>> LFE(3, 4)(torch.zeros(2, 4, 5, 6, 7)).shape
        torch.Size([2, 4, 5, 6, 7])
    """

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        hidden = _MLP_EXPANSION * channels
        self.position = conv(spatial_dims, channels, channels, 3, groups=channels, bias=True)
        self.norm = BATCH_NORM[spatial_dims](channels)
        self.project_in = conv(spatial_dims, channels, channels, bias=True)
        self.project_out = conv(spatial_dims, channels, channels, bias=True)
        self.filter = conv(spatial_dims, channels, channels, _LOCAL_KERNEL, groups=channels, bias=True)
        self.mlp_norm = BATCH_NORM[spatial_dims](channels)
        self.widen = conv(spatial_dims, channels, hidden, bias=True)
        self.narrow = conv(spatial_dims, hidden, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        x = x + self.position(x)
        x = x + self.project_out(self.filter(self.project_in(self.norm(x))))
        result: Tensor = x + self.narrow(F.gelu(self.widen(self.mlp_norm(x))))
        return result


class GFE(nn.Module):
    """Global feature extraction: position, multi-scale linear attention, MLP; each adds to its input.

    ::

        x = x + P(x)                             depthwise of size 3
        x = x + MSLA(LayerNorm(x))
        x = x + F2(GELU(F1(LayerNorm(x))))       four times as wide inside

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        spatial_dims: 2 or 3.
        channels: C.
        attention: arguments of ``MSLA``, ``heads`` among them.

    Example:
        >>> import torch
        >>> GFE(2, 16, heads=2)(torch.zeros(1, 16, 5, 6)).shape
        torch.Size([1, 16, 5, 6])
    """

    def __init__(self, spatial_dims: int, channels: int, **attention: Any) -> None:
        super().__init__()
        hidden = _MLP_EXPANSION * channels
        self.position = conv(spatial_dims, channels, channels, 3, groups=channels, bias=True)
        self.norm = ChannelNorm(channels, eps=_GLOBAL_NORM_EPS)
        self.attention = MSLA(spatial_dims, channels, **attention)
        self.mlp_norm = ChannelNorm(channels, eps=_GLOBAL_NORM_EPS)
        self.widen = nn.Linear(channels, hidden)
        self.narrow = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        x = x + self.position(x)
        x = x + self.attention(self.norm(x))
        vectors = self.mlp_norm(x).movedim(1, -1)
        result: Tensor = x + self.narrow(F.gelu(self.widen(vectors))).movedim(-1, 1)
        return result


def fill_cells(x: Tensor, cell: Sequence[int]) -> Tensor:
    """Zeros at the end of every axis, up to a multiple of ``cell``."""
    missing = [-size % length for size, length in zip(x.shape[2:], cell, strict=True)]
    if not any(missing):
        return x
    return F.pad(x, [number for count in reversed(missing) for number in (0, count)])
