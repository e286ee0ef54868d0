"""The residual block of the Medical Transformer: attention along each axis in turn, between two 1x1 convolutions.

Valanarasu et al., "Medical Transformer: Gated Axial-Attention for Medical Image Segmentation", MICCAI 2021, arXiv
2102.10662.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medseg.networks.blocks.gated_axial_attention import GatedAxialAttention, Positions
from medseg.networks.blocks.layers import BATCH_NORM, CONV, Size, conv, each_axis
from medseg.networks.blocks.norms import Norm

EXPANSION = 2


class AxialBlock(nn.Module):
    """Narrows to ``planes`` channels, attends along each axis, widens to twice as many and adds the input.

    The last attention carries the stride, so all of them work at the size that comes in. Where size or channels change,
    the input passes a 1x1 convolution and a norm first.

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> ``(B, 2 planes, [ceil(I / stride),] ...)``

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        planes: channels the attention works on.
        lengths: sizes of the input that the tables of relative positions are stored for.
        groups: see ``GatedAxialAttention``.
        positions: see ``GatedAxialAttention``.
        stride: factor by which the result is smaller, one number or one per axis.
        gate_after_norm: see ``GatedAxialAttention``.
        norm: of the attention; "instance" leaves those around it to ``choose_norm``.

    Example:
        >>> import torch
        >>> AxialBlock(2, 4, 4, (6, 7), groups=2, stride=2)(torch.zeros(1, 4, 6, 7)).shape
        torch.Size([1, 8, 3, 4])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        planes: int,
        lengths: Sequence[int],
        *,
        groups: int = 8,
        positions: Positions = "gated",
        stride: Size = 1,
        gate_after_norm: bool = False,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        layer, out_channels, steps = BATCH_NORM[spatial_dims], EXPANSION * planes, each_axis(spatial_dims, stride)
        self.conv_down = conv(spatial_dims, in_channels, planes)
        self.norm_down = layer(planes)
        self.attentions = nn.ModuleList(
            GatedAxialAttention(
                spatial_dims,
                planes,
                planes,
                axis=axis,
                length=lengths[axis],
                groups=groups,
                positions=positions,
                stride=steps if axis == spatial_dims - 1 else 1,
                gate_after_norm=gate_after_norm,
                norm=norm,
            )
            for axis in range(spatial_dims)
        )
        self.conv_up = conv(spatial_dims, planes, out_channels)
        self.norm_up = layer(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels or set(steps) != {1}:
            resize = CONV[spatial_dims](in_channels, out_channels, 1, steps, bias=False)
            self.shortcut = nn.Sequential(resize, layer(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        hidden = torch.relu(self.norm_down(self.conv_down(x)))
        for attention in self.attentions:
            hidden = attention(hidden)
        hidden = self.norm_up(self.conv_up(torch.relu(hidden)))
        return torch.relu(hidden + self.shortcut(x))
