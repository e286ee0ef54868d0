"""One U-Net of axial attention blocks, as the Medical Transformer has for the whole image and for its patches.

Valanarasu et al., "Medical Transformer: Gated Axial-Attention for Medical Image Segmentation", MICCAI 2021, arXiv
2102.10662.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from medseg.networks.blocks.axial_block import EXPANSION, AxialBlock
from medseg.networks.blocks.layers import BATCH_NORM, CONV, Size, conv, each_axis, upsample

_STEM_KERNEL = 7


class AxialBranch(nn.Module):
    """A stem of three convolutions, stages of axial blocks, and as many convolutions with up-sampling on the way back.

    Shape:
        ``(B, inputs, [I,] J, K)`` -> ``(B, planes[0], [I,] J, K)`` and the decoder's maps before it, the largest first

    Args:
        spatial_dims: 2 or 3.
        stem: channels of the image, of the first stage's input, and between the stem's convolutions.
        planes: channels of the attention in each stage.
        depths: blocks in each stage.
        factors: stride of the stem, then of each further stage.
        size: of the image, for the tables of relative positions.
        bottleneck: a further convolution of stride 2 below the last stage.
        attention: further arguments of ``AxialBlock``.
    """

    def __init__(
        self,
        spatial_dims: int,
        stem: tuple[int, int, int],
        planes: Sequence[int],
        depths: Sequence[int],
        factors: Sequence[Size],
        size: Sequence[int],
        *,
        bottleneck: bool,
        **attention: Any,
    ) -> None:
        super().__init__()
        image, first, between = stem
        self.factors = tuple(each_axis(spatial_dims, factor) for factor in factors)
        self.stem = nn.Sequential(
            _unit(spatial_dims, image, first, _STEM_KERNEL, self.factors[0]),
            _unit(spatial_dims, first, between, 3),
            _unit(spatial_dims, between, first, 3),
        )
        channels = first
        lengths = _divided(size, self.factors[0])
        self.stages = nn.ModuleList()
        for stage, depth in enumerate(depths):
            steps = self.factors[stage] if stage else (1,) * spatial_dims
            blocks = []
            for number in range(depth):
                stride = 1 if number else steps
                blocks.append(AxialBlock(spatial_dims, channels, planes[stage], lengths, stride=stride, **attention))
                channels = EXPANSION * planes[stage]
                lengths = lengths if number else _divided(lengths, steps)
            self.stages.append(nn.Sequential(*blocks))
        widths = [planes[0], *(EXPANSION * number for number in planes)]
        self.level_channels = tuple(widths[1:-1])
        self.bottleneck = CONV[spatial_dims](widths[-1], widths[-1], 3, 2, padding=1) if bottleneck else None
        self.decoder = nn.ModuleList(
            conv(spatial_dims, deep, shallow, 3, bias=True)
            for deep, shallow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Run the branch."""
        sizes = [x.shape[2:]]
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
            sizes.append(x.shape[2:])
        if self.bottleneck is not None:
            x = x + torch.relu(upsample(self.bottleneck(x), (2,) * len(sizes[0]), sizes[-1]))
        levels = []
        for number, layer in enumerate(self.decoder, start=1):
            x = torch.relu(upsample(layer(x), self.factors[-number], sizes[-1 - number]))
            if number < len(maps):
                x = x + maps[-1 - number]
                levels.append(x)
        return x, levels[::-1]


def _unit(spatial_dims: int, in_channels: int, out_channels: int, kernel: int, stride: Size = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    filters = CONV[spatial_dims](in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(filters, BATCH_NORM[spatial_dims](out_channels), nn.ReLU(inplace=True))


def _divided(size: Sequence[int], factor: Sequence[int]) -> list[int]:
    return [-(-length // number) for length, number in zip(size, factor, strict=True)]
