"""MSLA: multi-scale linear attention, as the paper of MSLAU-Net describes it and as its code computes it.

Lan et al., "MSLAU-Net: A Hybrid CNN-Transformer Network for Medical Image Segmentation", arXiv 2505.18823; the
attention inside is that of Shen et al., "Efficient Attention: Attention with Linear Complexities", WACV 2021, arXiv
1812.01243.
"""

from collections.abc import Sequence
from math import isqrt
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg.networks.blocks.layers import conv, each_axis

Layout = Literal["spatial", "official"]
Softmax = Literal["paper", "official"]
Merge = Literal["standard", "official"]


class LinearAttention(nn.Module):
    """Attention whose cost grows with the number of voxels n, not with its square; no n x n array is ever made.

    With q, k, v of each head, (n, d) each, and no scale 1 / sqrt(d)::

        softmax="paper":     result = softmax_d(q) (softmax_n(k)^T v)    as Efficient Attention has it
        softmax="official":  result = softmax_n(q) (softmax_d(k)^T v)    as the code of MSLAU-Net has it

    The paper's rows of implied attention weights sum to 1; the official ones do so only on average.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        channels: C.
        heads: independent attentions side by side, a divisor of C. Heads of one channel attend to nothing, as a softmax
            over one number is 1.
        softmax: the axes of the two softmaxes, see above.
        merge: "standard" puts the heads of a voxel side by side. "official" reads the (heads, n, d) numbers in memory
            order as (n, C), as the published code does: with several heads a voxel's channels then come from other
            voxels.

    Raises:
        ValueError: for heads that do not divide the channels, or an unknown option.

    Example:
        >>> import torch
        >>> LinearAttention(8, heads=2)(torch.zeros(1, 8, 5, 6, 7)).shape
        torch.Size([1, 8, 5, 6, 7])
    """

    def __init__(self, channels: int, *, heads: int, softmax: Softmax = "paper", merge: Merge = "standard") -> None:
        super().__init__()
        if channels % heads:
            msg = f"the heads must divide the channels that attention works on, got {heads} heads for {channels}"
            raise ValueError(msg)
        _check("softmax", softmax, get_args(Softmax))
        _check("merge", merge, get_args(Merge))
        self.heads, self.softmax, self.merge = heads, softmax, merge
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.project = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Run the attention."""
        tokens = x.flatten(2).transpose(1, 2)  # (B, n, C)
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, n, d) each
        over_q, over_k = (-1, -2) if self.softmax == "paper" else (-2, -1)
        context = k.softmax(over_k).transpose(-2, -1) @ v
        attended = q.softmax(over_q) @ context
        if self.merge == "standard":
            attended = attended.transpose(1, 2)
        result: Tensor = self.project(attended.reshape(tokens.shape))
        return result.transpose(1, 2).reshape(x.shape)


class DepthwiseBranch(nn.Module):
    """ReLU of the input plus its depthwise convolution.

    Shape:
        ``(B, C, [I,] J, K)`` -> the same

    Args:
        spatial_dims: 2 or 3.
        channels: C.
        kernel: odd size of the kernel.
        separable: one kernel per axis, one after the other, in place of a full one: 3 k taps in place of k^3.
    """

    def __init__(self, spatial_dims: int, channels: int, kernel: int, *, separable: bool = False) -> None:
        super().__init__()
        sizes = [each_axis(spatial_dims, kernel)]
        if separable:
            sizes = [
                tuple(kernel if along == axis else 1 for along in range(spatial_dims)) for axis in range(spatial_dims)
            ]
        self.filters = nn.Sequential(
            *(conv(spatial_dims, channels, channels, size, groups=channels, bias=True) for size in sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Run the branch."""
        hidden = x
        for layer in self.filters:
            hidden = _depthwise(layer, hidden)
        return torch.relu(x + hidden)


class MSLA(nn.Module):
    """Splits the input in equal parts, filters each with a kernel of its own size, attends in each, and fuses them.

    ::

        x -- part 1 -- ReLU(x + depthwise 3) -- attention -- * scale 1 --+
          -- part 2 -- ReLU(x + depthwise 5) -- attention -- * scale 2 --+-- side by side -- 1x1 convolution -- result
          -- part 3 -- ReLU(x + depthwise 7) -- attention -- * scale 3 --+
          -- part 4 -- ReLU(x + depthwise 9) -- attention -- * scale 4 --+

    The attention is one module for all parts. The scales are free numbers that start at 1.

    The paper's parts are a quarter of the channels each, over the whole image: ``layout="spatial"``. The published code
    has tokens, one row of C numbers a voxel, and reads that memory as if it were C planes: ``layout="official"``.
    Nothing is transposed, so its parts are quarters of the *image* with all their channels, its kernels slide over
    channels, the same weights mean something else at another size, and only square images are possible. Published
    weights need all three options "official".

    Shape:
        ``(B, C, [I,] J, K)`` -> the same, any size; with ``layout="official"`` 2D and square only

    Args:
        spatial_dims: 2 or 3.
        channels: C, a multiple of the number of kernels.
        heads: of the attention, a divisor of C / number of kernels.
        layout: "spatial" or "official", see above.
        softmax: "paper" or "official", see ``LinearAttention``.
        merge: "standard" or "official", see ``LinearAttention``.
        kernels: odd size of the depthwise kernel of each part.
        separable: see ``DepthwiseBranch``; the published kernels are full, and 9^3 taps cost much in 3D.

    Raises:
        ValueError: for channels that do not divide, an unknown option, or what the official layout cannot do.

    Example:
        >>> import torch
        >>> MSLA(2, 16, heads=2)(torch.zeros(1, 16, 6, 9)).shape
        torch.Size([1, 16, 6, 9])
        >>> MSLA(3, 16, heads=2, kernels=(3, 5), separable=True)(torch.zeros(1, 16, 5, 6, 7)).shape
        torch.Size([1, 16, 5, 6, 7])
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: int,
        *,
        heads: int,
        layout: Layout = "spatial",
        softmax: Softmax = "paper",
        merge: Merge = "standard",
        kernels: Sequence[int] = (3, 5, 7, 9),
        separable: bool = False,
    ) -> None:
        super().__init__()
        parts = len(kernels)
        if not parts or channels % parts:
            msg = f"each kernel filters an equal part of the channels, got {channels} channels for {parts} kernels"
            raise ValueError(msg)
        _check("layout", layout, get_args(Layout))
        if layout == "official" and spatial_dims != 2:
            msg = f"the official layout exists in 2D only, got spatial_dims {spatial_dims}; choose layout='spatial'"
            raise ValueError(msg)
        self.layout = layout
        self.branches = nn.ModuleList(
            DepthwiseBranch(spatial_dims, channels // parts, kernel, separable=separable) for kernel in kernels
        )
        self.attention = LinearAttention(channels // parts, heads=heads, softmax=softmax, merge=merge)
        self.scale = nn.Parameter(torch.ones(parts))
        self.fuse = conv(spatial_dims, channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        if self.layout == "official":
            return _from_planes(self._attend(_as_planes(x)))
        return self._attend(x)

    def _attend(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.branches), dim=1)
        attended = [
            scale * self.attention(branch(part))
            for scale, branch, part in zip(self.scale, self.branches, parts, strict=True)
        ]
        result: Tensor = self.fuse(torch.cat(attended, dim=1))
        return result


def _as_planes(x: Tensor) -> Tensor:
    """The memory of x's tokens, (B, h w, C), read as (B, C, h, w)."""
    height, width = x.shape[2:]
    if height != width:
        side = isqrt(height * width)
        msg = (
            f"the official layout of MSLA knows square images only ({side} x {side}, say), got {height} x {width}; "
            "resize the image or choose layout='spatial'"
        )
        raise ValueError(msg)
    return x.flatten(2).transpose(1, 2).reshape(x.shape)


def _from_planes(planes: Tensor) -> Tensor:
    """The inverse of ``_as_planes``."""
    batch, channels, *size = planes.shape
    return planes.reshape(batch, -1, channels).transpose(1, 2).reshape(batch, channels, *size)


def _depthwise(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer, less the taps that only ever meet padding where a kernel is larger than the image; the same result."""
    weight = layer.get_parameter("weight")
    needed = [min(kernel, 2 * size - 1) for kernel, size in zip(weight.shape[2:], x.shape[2:], strict=True)]
    if needed == list(weight.shape[2:]):
        result: Tensor = layer(x)
        return result
    taps: Tensor = weight
    for axis, length in enumerate(needed, start=2):
        taps = taps.narrow(axis, (taps.shape[axis] - length) // 2, length)
    convolution = F.conv2d if x.ndim == 4 else F.conv3d
    padding = [length // 2 for length in needed]
    return convolution(x, taps, layer.get_parameter("bias"), padding=padding, groups=x.shape[1])


def _check(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        msg = f"{option} must be one of {', '.join(known)}, got {value!r}"
        raise ValueError(msg)
