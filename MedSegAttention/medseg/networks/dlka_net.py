"""D-LKA Net in 3D: a U-shaped network of deformable large kernel attention blocks.

Azad et al., "Beyond Self-Attention: Deformable Large Kernel Attention for Medical Image Segmentation", WACV 2024,
arXiv 2309.00121. Follows the published code where it and the paper differ (three blocks in every stage).
"""

from collections.abc import Mapping, Sequence
from math import gcd
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.dlka_blocks import DLKABlock3d
from medseg.networks.blocks.layers import conv
from medseg.networks.blocks.norms import Norm, choose_norm
from medseg.networks.blocks.residual import ResidualBlock

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "synapse": {"in_channels": 1, "label_count": 14, "input_shape": (64, 128, 128), "stem": (2, 4, 4)},
    "pancreas": {"in_channels": 1, "label_count": 2, "input_shape": (96, 96, 96), "stem": (2, 2, 2)},
}
"""Arguments of the two published configurations: abdominal CT (Synapse) and NIH pancreas."""

_DECODER_DEPTH = 3
_HALF = (2, 2, 2)


class DLKANet(nn.Module):
    """Four encoder stages on a grid of ``stem``-sized cells, four decoder stages, additive skips.

    Shape:
        ``(B, in_channels, I, J, K)`` -> logits ``(B, label_count, I, J, K)``; in training with ``deep_supervision`` a
        list: full size, size / stem, size / (2 stem). Every size must be a multiple of ``stem``. A grid of odd size is
        padded with one zero cell before it is halved, and the decoder cuts it off again; sizes divisible by 8 stem
        never need this and follow the published arithmetic exactly. Position embeddings are stored for ``input_shape``
        and interpolated trilinearly for other sizes.

    Args:
        in_channels: channels of the image.
        label_count: outputs, background included.
        input_shape: (I, J, K) the position embeddings are stored for, a multiple of ``stem``.
        stem: size in voxels of the cells that become the first tokens.
        dims: channels of the four encoder stages.
        depths: blocks in the four encoder stages.
        feature_size: channels at full resolution.
        deformable: False builds the LKA baseline.
        norm: "batch" as published, or "instance", which normalises each image by itself, see ``InstanceNorm``.
        deep_supervision: build the two side heads and return their logits in training.

    Raises:
        ValueError: for an ``input_shape`` or an input that ``stem`` does not divide, or a wrong number of stages.

    Example:
        >>> DLKANet(label_count=2, input_shape=(16, 16, 16), dims=(2, 4, 8, 16), depths=(1, 1, 1, 1)).feature_size
        16
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        label_count: int = 14,
        input_shape: Sequence[int] = (64, 128, 128),
        stem: Sequence[int] = (2, 4, 4),
        dims: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (3, 3, 3, 3),
        feature_size: int = 16,
        deformable: bool = True,
        norm: Norm = "batch",
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if len(dims) != 4 or len(depths) != 4:
            msg = f"D-LKA Net has four encoder stages and needs four dims and depths, got {dims} and {depths}"
            raise ValueError(msg)
        self.stem = tuple(stem)
        self.feature_size = feature_size
        grids = _grids(input_shape, self.stem)
        self.encoder = nn.ModuleList(
            EncoderStage(inputs, channels, factor, grid, depth, deformable=deformable)
            for inputs, channels, factor, grid, depth in zip(
                (in_channels, *dims[:3]), dims, (self.stem, _HALF, _HALF, _HALF), grids, depths, strict=True
            )
        )
        self.full_size_skip = ResidualBlock(in_channels, feature_size, norm="instance")
        self.decoder = nn.ModuleList(
            DecoderStage(
                dims[level + 1],
                dims[level],
                _HALF,
                [DLKABlock3d(dims[level], grids[level], deformable=deformable) for _ in range(_DECODER_DEPTH)],
            )
            for level in (2, 1, 0)
        )
        last = ResidualBlock(feature_size, feature_size, norm="instance")
        self.decoder.append(DecoderStage(dims[0], feature_size, self.stem, [last]))
        self.head = conv(3, feature_size, label_count, bias=True)
        self.side_heads = (
            nn.ModuleList(conv(3, channels, label_count, bias=True) for channels in dims[:2])
            if deep_supervision
            else None
        )
        choose_norm(self, norm)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; logits, no softmax."""
        if self.side_heads is not None and self.training:
            return self.all_scales(x)
        logits: Tensor = self.head(self._decode(x)[0])
        return logits

    def all_scales(self, x: Tensor) -> list[Tensor]:
        """Logits at every size that has a head, the full size first, in training and out of it."""
        levels = self._decode(x)
        heads = [self.head, *(self.side_heads or [])]
        return [head(level) for head, level in zip(heads, levels, strict=False)]

    def _decode(self, x: Tensor) -> list[Tensor]:
        """Features of the decoder, the full size first."""
        if any(size % cell for size, cell in zip(x.shape[2:], self.stem, strict=True)):
            msg = f"every size of the input must be a multiple of the stem {self.stem}, got {tuple(x.shape[2:])}"
            raise ValueError(msg)
        skips = [self.full_size_skip(x)]
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        skips.pop()
        levels = []
        for stage in self.decoder:
            x = stage(x, skips.pop())
            levels.append(x)
        return levels[::-1]


class EncoderStage(nn.Module):
    """Merges cells of ``factor`` voxels into tokens of ``channels`` numbers, then a row of attention blocks.

    Shape:
        ``(B, in_channels, I, J, K)`` -> ``(B, channels, ceil(I / factor), ...)``
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        factor: Sequence[int],
        grid: Sequence[int],
        depth: int,
        *,
        deformable: bool,
    ) -> None:
        super().__init__()
        self.factor = tuple(factor)
        self.merge = nn.Conv3d(in_channels, channels, self.factor, self.factor, bias=False)  # type: ignore[arg-type]
        self.norm = nn.GroupNorm(gcd(in_channels, channels), channels)  # published for divisors of channels
        self.blocks = nn.Sequential(*(DLKABlock3d(channels, grid, deformable=deformable) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Run the stage."""
        missing = [-size % cell for size, cell in zip(x.shape[2:], self.factor, strict=True)]
        if any(missing):
            x = F.pad(x, [number for count in reversed(missing) for number in (0, count)])
        result: Tensor = self.blocks(self.norm(self.merge(x)))
        return result


class DecoderStage(nn.Module):
    """Splits every token into ``factor`` smaller ones, adds the skip, then runs the blocks.

    Shape:
        ``(B, in_channels, i, j, k)``, skip ``(B, channels, I, J, K)`` no larger than x * factor -> as skip
    """

    def __init__(self, in_channels: int, channels: int, factor: Sequence[int], blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        size = tuple(factor)
        self.split = nn.ConvTranspose3d(in_channels, channels, size, size, bias=False)  # type: ignore[arg-type]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Run the stage."""
        i, j, k = skip.shape[2:]
        result: Tensor = self.blocks(self.split(x)[..., :i, :j, :k] + skip)
        return result


def _grids(input_shape: Sequence[int], stem: Sequence[int]) -> list[tuple[int, ...]]:
    """Token grids of the four encoder stages."""
    if (
        len(input_shape) != 3
        or len(stem) != 3
        or any(size % cell for size, cell in zip(input_shape, stem, strict=True))
    ):
        msg = f"input_shape must be three multiples of the stem {tuple(stem)}, got {tuple(input_shape)}"
        raise ValueError(msg)
    grids = [tuple(size // cell for size, cell in zip(input_shape, stem, strict=True))]
    for _ in range(3):
        grids.append(tuple(-(-size // 2) for size in grids[-1]))
    return grids
