"""Forward and backward pass of the deformable convolution, one block of output voxels after another."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from medseg.networks.ops.deform_sampling import (
    TapGeometry,
    gather,
    offset_gradient,
    padded_table,
    scatter,
    unpadded_volume,
)

# Entries of the column buffer: on a CPU it should stay in cache, on a GPU it should fill the machine.
_CPU_COLUMNS = 2**19
_GPU_COLUMNS = 2**25
_LONGEST_CPU_BLOCK = 512


@dataclass(frozen=True)
class Settings:
    """What a deformable convolution needs to know besides its tensors."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    deformable_groups: int

    def outputs(self, x: Tensor, weight: Tensor) -> tuple[int, ...]:
        """Spatial size of the result, by the arithmetic of every convolution."""
        sizes, kernel = x.shape[2:], weight.shape[2:]
        return tuple(
            (sizes[a] + 2 * self.padding[a] - self.dilation[a] * (kernel[a] - 1) - 1) // self.stride[a] + 1
            for a in range(len(sizes))
        )


def without_autocast(kind: str) -> AbstractContextManager[object]:
    """Switches autocast off on a kind of device, where that kind has autocast at all."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def convolve(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings) -> Tensor:
    """The convolution itself, without a gradient; shapes as in ``deform_conv``."""
    outputs = settings.outputs(x, weight)
    count, groups = math.prod(outputs), settings.groups
    geometry, offsets, block = _plan(x, offset, weight, settings)
    matrix = _matrix(weight, groups)

    def part(table: Tensor, sample: int, start: int, end: int) -> Tensor:
        corners = geometry.corners(offsets[sample, ..., start:end], start)
        return torch.bmm(_columns(gather(table, corners), settings), matrix).transpose(1, 2)

    tables = (padded_table(volume, settings.deformable_groups) for volume in x)
    # a converter would unroll the blocks, and it loses what is written into slices
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        result = torch.stack([part(table, sample, 0, count) for sample, table in enumerate(tables)])
    else:
        result = x.new_empty(x.shape[0], groups, weight.shape[0] // groups, count)
        for sample, table in enumerate(tables):
            for start in range(0, count, block):
                result[sample, ..., start : start + block] = part(table, sample, start, start + block)
    result = result.reshape(x.shape[0], weight.shape[0], *outputs)
    return result if bias is None else result.add_(bias.view(-1, *[1] * len(outputs)))


def convolve_backward(
    gradient: Tensor, x: Tensor, offset: Tensor, weight: Tensor, settings: Settings, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients at x, offset and weight, given the one at the result; None where not ``wanted``."""
    groups, count = settings.groups, math.prod(gradient.shape[2:])
    geometry, offsets, block = _plan(x, offset, weight, settings)
    matrix = _matrix(weight, groups)
    gradient = gradient.reshape(x.shape[0], groups, weight.shape[0] // groups, count)
    # sums over many blocks are kept in the precision of positions, at least float32
    by_matrix = torch.zeros_like(matrix, dtype=offsets.dtype)
    by_offset = torch.zeros_like(offsets) if wanted[1] else None
    by_x = torch.zeros_like(x) if wanted[0] else None
    for sample in range(x.shape[0]):
        table = padded_table(x[sample], settings.deformable_groups)
        by_table = torch.zeros_like(table, dtype=offsets.dtype)
        for start in range(0, count, block):
            part = offsets[sample, ..., start : start + block]
            corners = geometry.corners(part, start)
            above = gradient[sample, ..., start : start + block]
            if wanted[2]:
                columns = _columns(gather(table, corners), settings)
                by_matrix += torch.bmm(columns.transpose(1, 2), above.transpose(1, 2))
            vectors = _samples(torch.bmm(above.transpose(1, 2), matrix.transpose(1, 2)), x.shape[1], settings)
            if by_x is not None:
                by_table += scatter(vectors, corners, len(table))
            if by_offset is not None:
                by_offset[sample, ..., start : start + block] = offset_gradient(
                    vectors, table, corners, geometry.inside(part, start)
                )
        if by_x is not None:
            by_x[sample] = unpadded_volume(by_table, tuple(x.shape[2:]), settings.deformable_groups)
    return (
        by_x,
        None if by_offset is None else by_offset.view(offset.shape).to(offset.dtype),
        _weight(by_matrix, weight).to(weight.dtype) if wanted[2] else None,
    )


def _plan(x: Tensor, offset: Tensor, weight: Tensor, settings: Settings) -> tuple[TapGeometry, Tensor, int]:
    """Tap positions, offsets as (B, T, A, N) in the precision of positions, and output voxels a block."""
    outputs = settings.outputs(x, weight)
    kernel = tuple(weight.shape[2:])
    dtype = torch.float64 if torch.float64 in (x.dtype, offset.dtype) else torch.float32
    geometry = TapGeometry(
        tuple(x.shape[2:]),
        outputs,
        kernel=kernel,
        stride=settings.stride,
        padding=settings.padding,
        dilation=settings.dilation,
        deformable_groups=settings.deformable_groups,
        device=x.device,
        dtype=dtype,
    )
    taps = settings.deformable_groups * math.prod(kernel)
    offsets = offset.to(dtype).reshape(x.shape[0], taps, len(kernel), -1)
    entries = math.prod(kernel) * x.shape[1]
    if x.device.type == "cpu":
        return geometry, offsets, max(16, min(_LONGEST_CPU_BLOCK, _CPU_COLUMNS // entries))
    return geometry, offsets, max(1024, _GPU_COLUMNS // entries)


def _matrix(weight: Tensor, groups: int) -> Tensor:
    """(O, C / groups, *kernel) as (groups, K * C / groups, O / groups)."""
    split = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return split.permute(0, 3, 2, 1).reshape(groups, -1, split.shape[1])


def _weight(matrix: Tensor, like: Tensor) -> Tensor:
    """The transpose of ``_matrix``."""
    groups, _, per_group = matrix.shape
    return matrix.view(groups, -1, like.shape[1], per_group).permute(0, 3, 2, 1).reshape(like.shape)


def _columns(samples: Tensor, settings: Settings) -> Tensor:
    """Samples (n, deformable_groups * K, C') as (groups, n, K * C / groups)."""
    count, taps, channels = samples.shape
    parts, groups = settings.deformable_groups, settings.groups
    if parts == 1 and groups == 1:
        return samples.view(1, count, taps * channels)
    by_tap = samples.view(count, parts, taps // parts, channels).transpose(1, 2)
    return by_tap.reshape(count, taps // parts, groups, -1).permute(2, 0, 1, 3).reshape(groups, count, -1)


def _samples(columns: Tensor, channels: int, settings: Settings) -> Tensor:
    """The transpose of ``_columns``: (groups, n, K * C / groups) as (n, deformable_groups * K, C')."""
    groups, count, _ = columns.shape
    parts = settings.deformable_groups
    by_tap = columns.view(groups, count, -1, channels // groups).permute(1, 2, 0, 3).reshape(count, -1, channels)
    return by_tap.view(count, -1, parts, channels // parts).transpose(1, 2).reshape(count, -1, channels // parts)
