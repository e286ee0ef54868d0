"""Deformable convolution v1 in any number of dimensions, without a compiled extension."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from medseg.networks.ops import deform_passes
from medseg.networks.ops.accelerated import kernels_for
from medseg.networks.ops.deform_passes import Settings, without_autocast

IntOrTuple = int | Sequence[int]


def deform_conv(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: IntOrTuple = 1,
    padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
    groups: int = 1,
    deformable_groups: int = 1,
) -> Tensor:
    """Convolves with taps that are moved by real-valued offsets (Dai et al. 2017, https://arxiv.org/abs/1703.06211).

    Tap t of output voxel p reads the input at ``p * stride - padding + t * dilation + offset``, linearly interpolated;
    whatever lies outside the input counts as zero. Zero offsets give the ordinary convolution. The output voxels are
    worked on in blocks, forward and backward, so memory grows with a block and not with voxels times taps.
    Gradients reach x, offset, weight and bias (once: there is no second derivative).
    Under autocast x, weight and bias take its precision; positions stay in float32 or better.

    Args:
        x: (B, C, *S), any number of spatial axes A.
        offset: (B, deformable_groups * K * A, *O) in voxels of x; K = product of the kernel's size. Channels run over
            deformable group, tap (last axis fastest), axis (in the order of S).
        weight: (O, C / groups, *kernel).
        bias: (O,) or none.
        stride: one number, or one an axis.
        padding: one number, or one an axis.
        dilation: one number, or one an axis.
        groups: blocks of channels convolved apart.
        deformable_groups: blocks of channels with offsets of their own.

    Returns:
        (B, O, *O).

    Raises:
        ValueError: shapes that do not belong together; the message says which was needed.
    """
    axes = x.ndim - 2
    settings = Settings(
        stride=_per_axis(stride, axes, "stride"),
        padding=_per_axis(padding, axes, "padding"),
        dilation=_per_axis(dilation, axes, "dilation"),
        groups=groups,
        deformable_groups=deformable_groups,
    )
    _check(settings, x, offset, weight)
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        x, weight = x.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    inputs = [value for value in (x, offset, weight, bias) if value is not None]
    with without_autocast(kind):
        if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
            result: Tensor = DeformConvFunction.apply(x, offset, weight, bias, settings)  # type: ignore[no-untyped-call]
            return result
        found: Tensor = _passes(x, offset, weight, bias, settings).convolve(x, offset, weight, bias, settings)
        return found


class DeformConvFunction(torch.autograd.Function):
    """The autograd node: keeps only its inputs for the backward pass and samples again there."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings
    ) -> Tensor:
        """Convolves; only the inputs are remembered."""
        ctx.save_for_backward(x, offset, weight)
        ctx.settings = settings  # type: ignore[attr-defined]
        found: Tensor = _passes(x, offset, weight, bias, settings).convolve(x, offset, weight, bias, settings)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients at x, offset, weight and bias, those that are wanted."""
        x, offset, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        wanted = ctx.needs_input_grad  # type: ignore[attr-defined]
        settings: Settings = ctx.settings  # type: ignore[attr-defined]
        with without_autocast(x.device.type):
            passes = _passes(x, offset, weight, None, settings, deterministic=not wanted[0])
            gradients = passes.convolve_backward(gradient, x, offset, weight, settings, wanted)
        bias = gradient.sum(dim=[0, *range(2, gradient.ndim)]) if wanted[3] else None
        return (*gradients, bias, None)


class DeformConvPack(nn.Module):
    """Deformable convolution whose offsets an ordinary convolution predicts from its own input.

    The predictor has the same kernel, stride, padding and dilation, so that its output fits.

    Args:
        spatial_dims: number of spatial axes.
        in_channels: C.
        out_channels: O.
        kernel_size: one number, or one an axis; so are stride, padding and dilation.
        stride: see ``deform_conv``.
        padding: see ``deform_conv``.
        dilation: see ``deform_conv``.
        groups: see ``deform_conv``.
        deformable_groups: see ``deform_conv``.
        bias: whether the convolution (not the predictor, which always has one) adds a bias.
        start_undeformed: initialise the predictor with zeros, so that training starts from an ordinary convolution.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrTuple,
        *,
        stride: IntOrTuple = 1,
        padding: IntOrTuple = 0,
        dilation: IntOrTuple = 1,
        groups: int = 1,
        deformable_groups: int = 1,
        bias: bool = True,
        start_undeformed: bool = True,
    ) -> None:
        super().__init__()
        kernel = _per_axis(kernel_size, spatial_dims, "kernel_size")
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.deformable_groups = groups, deformable_groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *kernel))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
        self.offset = convolution(
            in_channels,
            deformable_groups * math.prod(kernel) * spatial_dims,
            kernel,  # type: ignore[arg-type]
            stride=stride,  # type: ignore[arg-type]
            padding=padding,  # type: ignore[arg-type]
            dilation=dilation,  # type: ignore[arg-type]
        )
        self.reset_parameters(start_undeformed=start_undeformed)

    def reset_parameters(self, *, start_undeformed: bool = True) -> None:
        """Draws the weights as an ordinary convolution of torch does; see the class for ``start_undeformed``."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            nn.init.uniform_(self.bias, -bound, bound)
        self.offset.reset_parameters()
        if start_undeformed:
            for parameter in self.offset.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, *S) to (B, O, *O)."""
        return deform_conv(
            x,
            self.offset(x),
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            deformable_groups=self.deformable_groups,
        )


def _passes(
    x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings, *, deterministic: bool = True
) -> Any:
    """The module that convolves: on a GPU, dense and in 3D, Triton's kernels, and else plain PyTorch."""
    dense = x.ndim == 5 and settings.groups == settings.deformable_groups == 1 and x.dtype == weight.dtype
    kernels = kernels_for("deform_conv", [x, offset, weight, bias], deterministic=deterministic) if dense else None
    return deform_passes if kernels is None else kernels


def _check(settings: Settings, x: Tensor, offset: Tensor, weight: Tensor) -> None:
    if weight.ndim != x.ndim:
        msg = f"Expected `weight` with {x.ndim} axes like `x`, but got shape {tuple(weight.shape)}."
        raise ValueError(msg)
    channels, needed = x.shape[1], weight.shape[1] * settings.groups
    if channels != needed or weight.shape[0] % settings.groups or channels % settings.deformable_groups:
        msg = (
            f"Expected {needed} channels in `x`, divisible by {settings.deformable_groups} deformable groups, and "
            f"output channels divisible by {settings.groups} groups, but got `x` {tuple(x.shape)} and "
            f"`weight` {tuple(weight.shape)}."
        )
        raise ValueError(msg)
    axes, taps = x.ndim - 2, math.prod(weight.shape[2:])
    expected = (x.shape[0], settings.deformable_groups * taps * axes, *settings.outputs(x, weight))
    if min(expected[2:]) < 1 or tuple(offset.shape) != expected:
        msg = f"Expected `offset` of shape {expected} with no empty axis, but got {tuple(offset.shape)}."
        raise ValueError(msg)


def _per_axis(value: IntOrTuple, axes: int, name: str) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        msg = f"Expected `{name}` to be one number or {axes}, but got {tuple(value)}."
        raise ValueError(msg)
    return tuple(value)
