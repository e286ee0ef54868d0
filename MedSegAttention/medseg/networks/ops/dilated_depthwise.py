"""Depthwise convolution with dilation, as an undilated one on interleaved sub-grids; exact and faster on CPUs."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def dilated_depthwise(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, dilation: int | Sequence[int]
) -> Tensor:
    """Depthwise convolution of stride 1 that keeps the size, 2D or 3D.

    Taps at distance d only ever meet voxels of the same remainder modulo d. Each of the d^A remainders is a smaller
    image of its own; they go through an undilated convolution as one batch, for which CPU libraries have a fast kernel
    (they have none with dilation). On other devices, and in a trace for a converter, whose engine has its own ways, the
    dilated convolution is called as it is.

    Args:
        x: (B, C, *S).
        weight: (C, 1, *kernel), odd sizes.
        bias: (C,) or none.
        dilation: one number, or one an axis.

    Returns:
        (B, C, *S), equal to ``F.conv*d(..., padding=dilation * (kernel // 2), dilation=dilation, groups=C)``.

    Raises:
        ValueError: an even kernel size, or not one of 2 and 3 spatial axes.
    """
    axes, kernel = x.ndim - 2, weight.shape[2:]
    if axes not in (2, 3) or any(size % 2 == 0 for size in kernel):
        msg = f"Expected 2 or 3 spatial axes and odd kernel sizes, but got {axes} axes and a kernel of {tuple(kernel)}."
        raise ValueError(msg)
    steps = (dilation,) * axes if isinstance(dilation, int) else tuple(dilation)
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    if x.device.type != "cpu" or max(steps) == 1 or traced:
        return _convolve(x, weight, bias, steps)
    sizes = x.shape[2:]
    phases = _split(x, steps)
    met = _met(weight, phases.shape[2:])
    return _join(_convolve(phases, met, bias, (1,) * axes), x.shape[0], sizes, steps)


def _met(weight: Tensor, sizes: Sequence[int]) -> Tensor:
    """The taps that can meet a voxel: sub-grids are often shorter than the kernel, and then most taps meet zeros alone.

    Of 7^3 taps 27 are left on sub-grids of 2^3 voxels, and one on a single voxel.
    """
    for axis, (taps, size) in enumerate(zip(weight.shape[2:], sizes, strict=True), start=2):
        near = min(taps // 2, size - 1)
        weight = weight.narrow(axis, taps // 2 - near, 2 * near + 1)
    return weight


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, steps: tuple[int, ...]) -> Tensor:
    convolution = F.conv2d if x.ndim == 4 else F.conv3d
    padding = [step * (size // 2) for step, size in zip(steps, weight.shape[2:], strict=True)]
    return convolution(x, weight, bias, padding=padding, dilation=steps, groups=x.shape[1])


def _split(x: Tensor, steps: tuple[int, ...]) -> Tensor:
    """(B, C, *S) as (d^A * B, C, *ceil(S / d)), channels last in memory; the missing last voxels are zeros."""
    axes = len(steps)
    missing = [-size % step for size, step in zip(x.shape[2:], steps, strict=True)]
    x = x.movedim(1, -1)
    if any(missing):
        x = F.pad(x, [0, 0] + [value for size in reversed(missing) for value in (0, size)])
    blocks = [size // step for size, step in zip(x.shape[1:-1], steps, strict=True)]
    x = x.reshape(x.shape[0], *[n for pair in zip(blocks, steps, strict=True) for n in pair], x.shape[-1])
    remainders = [2 + 2 * axis for axis in range(axes)]
    quotients = [1 + 2 * axis for axis in range(axes)]
    x = x.permute(*remainders, 0, *quotients, 1 + 2 * axes)
    return x.reshape(-1, *blocks, x.shape[-1]).movedim(-1, 1)


def _join(phases: Tensor, batch: int, sizes: Sequence[int], steps: tuple[int, ...]) -> Tensor:
    """The inverse of ``_split``, cut to ``sizes``."""
    axes = len(steps)
    blocks = phases.shape[2:]
    x = phases.movedim(1, -1).reshape(*steps, batch, *blocks, phases.shape[1])
    interleaved = [n for axis in range(axes) for n in (axes + 1 + axis, axis)]
    x = x.permute(axes, *interleaved, 2 * axes + 1)
    full = [block * step for block, step in zip(blocks, steps, strict=True)]
    x = x.reshape(batch, *full, phases.shape[1])
    return x[(slice(None), *[slice(size) for size in sizes])].movedim(-1, 1)
