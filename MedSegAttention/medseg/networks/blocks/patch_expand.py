"""Patch expanding: a linear layer writes the smaller voxels that each voxel is split into.

Cao et al., "Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation", ECCV Workshops 2022,
arXiv 2105.05537.
"""

from torch import Tensor, nn


class PatchExpand(nn.Module):
    """Splits every pixel into ``factor`` x ``factor`` of them, then normalises each one's channels.

    The linear layer's outputs run over row, column and channel of the new pixels, the channel fastest.

    Shape:
        ``(B, in_channels, J, K)`` -> ``(B, out_channels, factor * J, factor * K)``

    Args:
        in_channels: channels of the map.
        out_channels: channels of the result.
        factor: new pixels per old one and axis.

    Example:
        >>> import torch
        >>> PatchExpand(8, 4, 2)(torch.zeros(1, 8, 3, 5)).shape
        torch.Size([1, 4, 6, 10])
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.expand = nn.Linear(in_channels, factor**2 * out_channels, bias=False)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer."""
        cells: Tensor = self.expand(x.movedim(1, -1)).unflatten(-1, (self.factor, self.factor, -1))
        pixels = cells.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (B, J, f, K, f, C) -> (B, f J, f K, C)
        normed: Tensor = self.norm(pixels)
        return normed.movedim(-1, 1)
