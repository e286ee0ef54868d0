"""Deformable large kernel attention (D-LKA), in the 3D and the 2D form of its paper, with its undeformed baseline.

Azad et al., "Beyond Self-Attention: Deformable Large Kernel Attention for Medical Image Segmentation", WACV 2024,
arXiv 2309.00121; LKA itself: Guo et al., "Visual Attention Network", arXiv 2202.09741.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.layers import conv
from medseg.networks.ops.deform_conv import DeformConvPack
from medseg.networks.ops.dilated_depthwise import dilated_depthwise

_FAR_KERNEL = 7
_FAR_DILATION = 3


class DeformableLKA(nn.Module):
    """Weights every voxel by what a large, deformable neighbourhood says.

    ::

        x -- project_in -- GELU --+-- near -- far [-- deform] -- mix -- (*) -- project_out -- (+) -- result
        |                         +--------------------------------------+                     |
        +--------------------------------------------------------------------------------------+

    ``near`` is a depthwise convolution of size 5, ``far`` one of size 7 with dilation 3. In 3D they are ordinary and a
    dense deformable convolution of size 3 follows them; in 2D they are themselves deformable. The offsets start at zero
    in 3D and at random in 2D, as published.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        spatial_dims: 2 or 3.
        channels: C.
        deformable: False builds plain large kernel attention, the paper's baseline.

    Example:
        >>> import torch
        >>> DeformableLKA(2, 4)(torch.zeros(1, 4, 5, 6)).shape
        torch.Size([1, 4, 5, 6])
        >>> DeformableLKA(3, 4)(torch.zeros(1, 4, 5, 6, 7)).shape
        torch.Size([1, 4, 5, 6, 7])
    """

    def __init__(self, spatial_dims: int, channels: int, *, deformable: bool = True) -> None:
        super().__init__()
        self.project_in = conv(spatial_dims, channels, channels, bias=True)
        self.gate = _gate(spatial_dims, channels, deformable=deformable)
        self.project_out = conv(spatial_dims, channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        hidden = F.gelu(self.project_in(x))
        result: Tensor = x + self.project_out(hidden * self.gate(hidden))
        return result


class FarDepthwise(nn.Module):
    """Depthwise convolution of size 7 and dilation 3 that keeps the size: 19 voxels wide on every axis.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same
    """

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 1, *[_FAR_KERNEL] * spatial_dims))
        self.bias = nn.Parameter(torch.empty(channels))
        bound = 1 / math.sqrt(_FAR_KERNEL**spatial_dims)
        nn.init.uniform_(self.weight, -bound, bound)  # both as an ordinary convolution of torch starts
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Run the convolution."""
        return dilated_depthwise(x, self.weight, self.bias, dilation=_FAR_DILATION)


def _gate(spatial_dims: int, channels: int, *, deformable: bool) -> nn.Sequential:
    """Near, far, the 3D form's deformable convolution and the mixing of channels, in the order they are applied."""
    gate = nn.Sequential()
    if deformable and spatial_dims == 2:
        gate.add_module("near", _deformable_depthwise(channels, 5, dilation=1))
        gate.add_module("far", _deformable_depthwise(channels, _FAR_KERNEL, dilation=_FAR_DILATION))
    else:
        gate.add_module("near", conv(spatial_dims, channels, channels, 5, groups=channels, bias=True))
        gate.add_module("far", FarDepthwise(spatial_dims, channels))
    if deformable and spatial_dims == 3:
        gate.add_module("deform", DeformConvPack(spatial_dims, channels, channels, 3, padding=1))
    gate.add_module("mix", conv(spatial_dims, channels, channels, bias=True))
    return gate


def _deformable_depthwise(channels: int, kernel: int, *, dilation: int) -> DeformConvPack:
    padding = dilation * (kernel // 2)
    return DeformConvPack(
        2,
        channels,
        channels,
        kernel,
        padding=padding,
        dilation=dilation,
        groups=channels,
        bias=False,
        start_undeformed=False,
    )
