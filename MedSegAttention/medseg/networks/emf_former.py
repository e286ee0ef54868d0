"""EMF-former: stages of serial vector aggregation attention between shuffled separable convolutions, in 2D and 3D.

Hao, Quan and Lu, "EMF-former: An Efficient and Memory-Friendly Transformer for Medical Image Segmentation", MICCAI
2024, doi 10.1007/978-3-031-72111-3_22. No code, checkpoint, width, depth, parameter count or number of operations is
public, so this is a network built of the published ideas and not the authors' network: their scores say nothing about
it.

============= =========================================================================================================
published     the three parts, see ``DSPConv``, ``VAA`` and ``SerialMultiHeadAttention``; DSPConv is what reduces
              by 4 and by 2
inferred      one reduction by 4, then stages that begin with one by 2, and a decoder that goes back to full size;
              2D and 3D (published scores are on short-axis heart images and hippocampus volumes)
ours          everything with a number: widths, depths, heads, groups, kernels; the decoder, its refinement to full
              size, the head and the side heads; what is done with sizes that the strides do not divide
============= =========================================================================================================
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from medseg.networks.blocks.dsp_conv import DSPConv
from medseg.networks.blocks.emf_block import EMFBlock
from medseg.networks.blocks.layers import Size, conv, each_axis, upsample
from medseg.networks.blocks.mslau_blocks import fill_cells
from medseg.networks.blocks.norms import Norm, choose_norm

OddSizes = Literal["cut", "pad"]

_STEM_KERNEL, _KERNEL = 7, 3  # along axes the stem reduces by 4, and along all others


class EMFFormer(nn.Module):
    """Attention stages on a quarter of the size and less, a light decoder, two steps of refinement to full size.

    ::

        image -- DSPConv /4 -- DSPConv -- blocks ------- f0 -- fuse -- x2 -- DSPConv -- x2 -- DSPConv -- head
                                  |                             |
                              DSPConv /2 -- blocks ---- f1 -- fuse
                                  |                             |
                              DSPConv /2 -- blocks ---- f2 -- fuse
                                  |                             |
                              DSPConv /2 -- blocks -------------+

    "fuse" narrows the deeper map by a 1x1 convolution, enlarges it to the skip's size and filters both by a DSPConv.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> logits ``(B, label_count, [I,] J, K)``; in training with
        ``deep_supervision`` a list: full size, then the sizes of f0, f1 and f2. Any size is accepted.

    Args:
        in_channels: channels of the image.
        label_count: outputs, background included.
        spatial_dims: 2 or 3.
        channels: of each stage; two stages or more, even and with halves that are multiples of ``groups``.
        depths: blocks in each stage.
        heads: parts that attention splits the channels of each stage into, see ``SerialMultiHeadAttention``.
        groups: see ``DSPConv``; narrow stages want fewer, as a group of one or two channels learns little.
        mlp_ratio: see ``EMFBlock``.
        keep_every: see ``SerialMultiHeadAttention``; 1 leaves no head out.
        strides: factor before each stage, one number or one per axis; ``((1, 4, 4), (1, 2, 2), 2, 2)`` suits thick
            slices.
        refine: whether two more DSPConv run at half and full size; if not, logits are enlarged, which saves most of the
            time and memory that a volume costs.
        odd_sizes: "pad" puts zeros at the end of the image up to a multiple of the strides, as the design was
            specified; attention then sees them. "cut" works on the image as it is: last cells that it does not fill
            become smaller ones, what is enlarged is cut at its end, and there is less work. For sizes that divide both
            are the same.
        norm: "batch" as designed, or "instance", which normalises each image by itself, see ``InstanceNorm``.
        deep_supervision: build side heads (ours) and return their logits in training.

    Raises:
        ValueError: for a number of stages that differs between arguments, an unknown ``odd_sizes``, or channels that
            groups or heads do not divide.

    Example:
        >>> network = EMFFormer(spatial_dims=3, channels=(8, 16), depths=(1, 1), heads=(1, 2), strides=(4, 2))
        >>> network(torch.zeros(2, 1, 9, 17, 20)).shape
        torch.Size([2, 2, 9, 17, 20])
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        label_count: int = 2,
        spatial_dims: int = 3,
        channels: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (2, 4, 8, 8),
        groups: int = 4,
        mlp_ratio: int = 2,
        keep_every: int = 2,
        strides: Sequence[Size] = (4, 2, 2, 2),
        refine: bool = True,
        odd_sizes: OddSizes = "pad",
        norm: Norm = "batch",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if len({len(channels), len(depths), len(heads), len(strides)}) > 1 or len(channels) < 2:
            msg = (
                "channels, depths, heads and strides have one entry for each of two or more stages, got "
                f"{tuple(channels)}, {tuple(depths)}, {tuple(heads)} and {tuple(strides)}"
            )
            raise ValueError(msg)
        if odd_sizes not in get_args(OddSizes):
            msg = f"odd_sizes must be one of {', '.join(get_args(OddSizes))}, got {odd_sizes!r}"
            raise ValueError(msg)
        self.strides = tuple(each_axis(spatial_dims, stride) for stride in strides)
        self.odd_sizes = odd_sizes
        width = channels[0]
        self.stem = nn.Sequential(
            DSPConv(
                spatial_dims,
                in_channels,
                width,
                kernel=[_STEM_KERNEL if stride == 4 else _KERNEL for stride in self.strides[0]],
                stride=self.strides[0],
                groups=groups,
                multiplier=_multiplier(in_channels, width, groups),
            ),
            DSPConv(spatial_dims, width, width, groups=groups),
        )
        self.downs = nn.ModuleList(
            DSPConv(spatial_dims, fine, coarse, stride=stride, groups=groups)
            for (fine, coarse), stride in zip(pairwise(channels), self.strides[1:], strict=True)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    EMFBlock(spatial_dims, count, heads=parts, mlp_ratio=mlp_ratio, keep_every=keep_every)
                    for _ in range(depth)
                )
            )
            for count, depth, parts in zip(channels, depths, heads, strict=True)
        )
        self.lateral = nn.ModuleList(conv(spatial_dims, coarse, fine, bias=True) for fine, coarse in pairwise(channels))
        self.fuse = nn.ModuleList(DSPConv(spatial_dims, 2 * fine, fine, groups=groups) for fine in channels[:-1])
        half = width // 2
        self.refine = (
            nn.ModuleList(DSPConv(spatial_dims, count, half, groups=groups) for count in (width, half))
            if refine
            else None
        )
        self.head = conv(spatial_dims, half if refine else width, label_count, bias=True)
        self.side_heads = (
            nn.ModuleList(conv(spatial_dims, count, label_count, bias=True) for count in channels[:-1])
            if deep_supervision
            else None
        )
        choose_norm(self, norm)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; logits, no softmax."""
        size = x.shape[2:]
        if self.odd_sizes == "pad":
            x = fill_cells(x, [prod(axis) for axis in zip(*self.strides, strict=True)])
        levels = self._decode(self._encode(x))
        logits = _cut(self._full_size(levels[0], x.shape[2:]), size)
        if self.side_heads is None or not self.training:
            return logits
        outputs, cells = [logits], list(size)
        for head, level, stride in zip(self.side_heads, levels, self.strides[:-1], strict=True):
            cells = _cells(cells, stride)
            outputs.append(_cut(head(level), cells))
        return outputs

    def _encode(self, x: Tensor) -> list[Tensor]:
        """The map after each stage, the finest first."""
        maps = []
        for reduce, stage in zip((self.stem, *self.downs), self.stages, strict=True):
            x = stage(reduce(x))
            maps.append(x)
        return maps

    def _decode(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The fused map of each stage but the last, the finest first."""
        x = maps[-1]
        levels: list[Tensor] = []
        for stage in range(len(maps) - 2, -1, -1):
            skip = maps[stage]
            x = upsample(self.lateral[stage](x), self.strides[stage + 1], skip.shape[2:])
            x = self.fuse[stage](torch.cat([skip, x], dim=1))
            levels.insert(0, x)
        return levels

    def _full_size(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Logits from the finest fused map."""
        stem = self.strides[0]
        if self.refine is None:
            return upsample(self.head(x), stem, size)
        last = [2 if stride % 2 == 0 else stride for stride in stem]
        first = [stride // step for stride, step in zip(stem, last, strict=True)]
        x = self.refine[0](upsample(x, first, _cells(size, last)))
        logits: Tensor = self.head(self.refine[1](upsample(x, last, size)))
        return logits


def _multiplier(in_channels: int, width: int, groups: int) -> int:
    """Channels the stem makes of each image channel: enough for ``width``, and in all a multiple of the groups."""
    multiplier = -(-width // in_channels)
    while in_channels * multiplier % groups:
        multiplier += 1
    return multiplier


def _cells(size: Sequence[int], stride: Sequence[int]) -> list[int]:
    """How many cells of ``stride`` voxels an image has, a last smaller one included."""
    return [-(-length // step) for length, step in zip(size, stride, strict=True)]


def _cut(x: Tensor, size: Sequence[int]) -> Tensor:
    return upsample(x, [1] * len(size), size)
