"""DSPConv: depthwise convolution, channel shuffle, grouped pointwise convolution, as in EMF-former.

Hao, Quan and Lu, "EMF-former: An Efficient and Memory-Friendly Transformer for Medical Image Segmentation", MICCAI
2024, doi 10.1007/978-3-031-72111-3_22. The shuffle is that of ShuffleNet (Zhang et al., CVPR 2018, arXiv
1707.01083).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.layers import BATCH_NORM, CONV, Size, each_axis


class DSPConv(nn.Module):
    """Depthwise separable shuffled convolution.

    ::

        x -- depthwise -- BatchNorm -- shuffle -- grouped 1x1 -- BatchNorm -- GELU -->

    Without biases it has kernel^d C M + C M D / groups convolution weights for C channels in, D out and multiplier M; a
    plain convolution has kernel^d C D.

    ============= =============================================================================================
    published     a depthwise convolution, a channel shuffle and a pointwise convolution, in this order
    inferred      the pointwise convolution is grouped: a dense one absorbs any shuffle into its own weights
    ours          the number of groups, kernel sizes, the multiplier, norms, the activation and the missing biases
    ============= =============================================================================================

    Shape:
        ``(B, in_channels, [I,] J, K)`` -> ``(B, out_channels, [ceil(I / stride),] ...)``

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output, a multiple of ``groups``.
        kernel: odd size of the depthwise kernel, one number or one per axis.
        stride: one number or one per axis; the first output lies on voxel 0.
        groups: of the shuffle and the pointwise convolution; 1 is the plain separable convolution.
        multiplier: channels the depthwise convolution makes of each one; ``in_channels * multiplier`` is a multiple of
            ``groups``.

    Raises:
        ValueError: for an even kernel, or channels that the groups do not divide.

    Example:
        >>> import torch
        >>> DSPConv(2, 8, 12, stride=2)(torch.zeros(2, 8, 7, 10)).shape
        torch.Size([2, 12, 4, 5])
        >>> DSPConv(3, 1, 8, kernel=(3, 7, 7), stride=(1, 4, 4), multiplier=8)(torch.zeros(2, 1, 5, 16, 18)).shape
        torch.Size([2, 8, 5, 4, 5])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel: Size = 3,
        stride: Size = 1,
        groups: int = 4,
        multiplier: int = 1,
    ) -> None:
        super().__init__()
        sizes, hidden = each_axis(spatial_dims, kernel), in_channels * multiplier
        if any(size % 2 == 0 for size in sizes):
            msg = f"the depthwise kernel must be odd, got {kernel}"
            raise ValueError(msg)
        if hidden % groups or out_channels % groups:
            msg = (
                f"the groups must divide the channels in front of and behind the pointwise convolution, got {groups} "
                f"groups for {hidden} and {out_channels}"
            )
            raise ValueError(msg)
        self.groups = groups
        self.dw = CONV[spatial_dims](
            in_channels,
            hidden,
            sizes,
            stride=each_axis(spatial_dims, stride),
            padding=[size // 2 for size in sizes],
            groups=in_channels,
            bias=False,
        )
        self.bn1 = BATCH_NORM[spatial_dims](hidden)
        self.pw = CONV[spatial_dims](hidden, out_channels, 1, groups=groups, bias=False)
        self.bn2 = BATCH_NORM[spatial_dims](out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        hidden = shuffle(self.bn1(self.dw(x)), self.groups)
        return F.gelu(self.bn2(self.pw(hidden)))


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Deals the channels out so that each group gets some of every other: channel a (C / groups) + b to b groups + a.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same
    """
    if groups == 1:
        return x
    batch, channels, *size = x.shape
    return x.reshape(batch, groups, channels // groups, *size).transpose(1, 2).reshape(x.shape)
