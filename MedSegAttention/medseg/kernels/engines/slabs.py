"""Depthwise convolution of few channels: slabs of the image take the places of the channels that are missing.

Kernels for depthwise convolution work on 16 channels at once; with 2 channels seven eighths of that are idle. Cut
into 8 slabs along its first axis, each with a halo of its neighbours' voxels, an image has 16 channels instead.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LANES = 16


def slab_count(channels: int, size: int) -> int:
    """How many slabs fill the lanes: a divisor of the first axis' size; 1 where it is not worth it."""
    return max(count for count in range(1, max(1, LANES // channels) + 1) if size % count == 0)


def in_slabs(x: Tensor, count: int, halo: int) -> Tensor:
    """(B, C, I, ...) as (B, count * C, I / count + 2 * halo, ...); what lies outside the image is zero."""
    size = int(x.shape[2]) // count
    padded = F.pad(x, [0, 0] * (x.ndim - 3) + [halo, halo])
    return torch.cat([padded.narrow(2, slab * size, size + 2 * halo) for slab in range(count)], dim=1)


def from_slabs(slabs: Tensor, count: int) -> Tensor:
    """The inverse of ``in_slabs`` without a halo."""
    return torch.cat(slabs.chunk(count, dim=1), dim=2)


class SlabDepthwise(nn.Module):
    """A depthwise convolution as one on slabs.

    Shape:
        ``(B, count * C, I / count + 2 * halo, ...)`` -> ``(B, count * C, I / count, ...)``

    Args:
        weight: ``(C, 1, *kernel)``, odd sizes; stride and dilation are 1, and the size is kept.
        bias: ``(C,)`` or none.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, slabs: Tensor, count: int, halo: int) -> Tensor:
        """Run the convolution."""
        kernel = self.weight.shape[2:]
        spare = halo - kernel[0] // 2
        if spare:
            slabs = slabs.narrow(2, spare, int(slabs.shape[2]) - 2 * spare)
        weight = self.weight.repeat(count, *[1] * (self.weight.ndim - 1))
        bias = None if self.bias is None else self.bias.repeat(count)
        padding = [0, *(size // 2 for size in kernel[1:])]
        convolution = F.conv2d if slabs.ndim == 4 else F.conv3d
        return convolution(slabs, weight, bias, padding=padding, groups=len(weight))
