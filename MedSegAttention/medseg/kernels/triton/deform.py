"""The 3D deformable convolution on Triton's kernels: same arguments and results as ``deform_passes``."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medseg.kernels.triton import deform_kernels as kernels
from medseg.kernels.triton.launch import Launch, block, blocks_for, dot_precision
from medseg.networks.ops.deform_passes import Settings

_MOST_RUNS = 512
_SHORTEST_RUN = 256
_MOST_ROWS = 32
_MOST_CHANNELS = 32
# Eight corners of each are under way at once; with eight values registers spill. Over more than 32 channels the
# gradient spills about 300 bytes a thread even so; 16 rows and two values would not.
_VALUES_A_THREAD = 4


def convolve(x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings) -> Tensor:
    """The convolution itself; see ``deform_passes.convolve``. One group, three spatial axes, one dtype."""
    result, launch = forward_launch(x, offset, weight, bias, settings)
    launch.run()
    return result


def convolve_backward(
    gradient: Tensor, x: Tensor, offset: Tensor, weight: Tensor, settings: Settings, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients at x, offset and weight; see ``deform_passes.convolve_backward``."""
    by_x = by_offset = by_weight = None
    if wanted[0] or wanted[1]:
        table, by_offset, launch = backward_launch(gradient, x, offset, weight, settings, wanted)
        launch.run()
        by_x = table.view(x.shape[0], *x.shape[2:], x.shape[1]).movedim(-1, 1).to(x.dtype) if wanted[0] else None
    if wanted[2]:
        runs, launch = weight_launch(gradient, x, offset, weight, settings)
        launch.run()
        summed = runs.sum(0).to(weight.dtype)  # (taps, C, O)
        by_weight = summed.permute(2, 1, 0).reshape(weight.shape)
    return by_x, by_offset if wanted[1] else None, by_weight


def forward_launch(
    x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings
) -> tuple[Tensor, Launch]:
    """Where the result will be, and the launch that puts it there."""
    outputs = settings.outputs(x, weight)
    result = torch.empty(
        (x.shape[0], weight.shape[0], *outputs), dtype=x.dtype, device=x.device, memory_format=_layout(x)
    )
    total = x.shape[0] * math.prod(outputs)
    rows, columns = blocks_for(total, weight.shape[0], tallest=_MOST_ROWS)
    wide = block(x.shape[1], _MOST_CHANNELS)
    arguments = {
        "x_ptr": _channels_last(x),
        "weight_ptr": _by_tap(weight),
        "bias_ptr": x if bias is None else bias.contiguous(),  # never read without a bias
        **_common(x, offset, result, weight, settings, out_name="out_ptr"),
        "HAS_BIAS": bias is not None,
        "BLOCK_P": rows,
        "BLOCK_C": wide,
        "BLOCK_O": columns,
    }
    programs = (_parts(total, rows), _parts(weight.shape[0], columns))
    return result, Launch(kernels.deform_forward, programs, arguments, _warps(rows, wide))


def backward_launch(
    gradient: Tensor, x: Tensor, offset: Tensor, weight: Tensor, settings: Settings, wanted: Sequence[bool]
) -> tuple[Tensor, Tensor, Launch]:
    """The gradient at x as (B, voxels, C) in float32, that at the offsets, and the launch that fills them."""
    voxels, taps = math.prod(x.shape[2:]), math.prod(weight.shape[2:])
    total = x.shape[0] * math.prod(gradient.shape[2:])
    table = x.new_zeros((x.shape[0], voxels, x.shape[1]) if wanted[0] else (1,), dtype=torch.float32)
    by_offset = torch.empty(offset.shape if wanted[1] else (1,), dtype=offset.dtype, device=x.device)
    rows, wide = block(total, _MOST_ROWS), block(x.shape[1], _MOST_CHANNELS)
    arguments = {
        "x_ptr": _channels_last(x),
        "weight_ptr": _by_tap(weight),
        "by_x_ptr": table,
        "by_offset_ptr": by_offset,
        **_common(x, offset, gradient, weight, settings, out_name="gradient_ptr"),
        "WANT_X": bool(wanted[0]),
        "WANT_OFFSET": bool(wanted[1]),
        "BLOCK_P": rows,
        "BLOCK_C": wide,
        "BLOCK_O": block(weight.shape[0], 32),
    }
    programs = (_parts(total, rows), taps)
    return table, by_offset, Launch(kernels.deform_backward, programs, arguments, _warps(rows, wide))


def weight_launch(
    gradient: Tensor, x: Tensor, offset: Tensor, weight: Tensor, settings: Settings
) -> tuple[Tensor, Launch]:
    """Parts of the weights' gradient (runs, taps, C, O), and the launch that fills them."""
    taps = math.prod(weight.shape[2:])
    total = x.shape[0] * math.prod(gradient.shape[2:])
    wide, columns, rows = block(x.shape[1], _MOST_CHANNELS), block(weight.shape[0]), _MOST_ROWS
    programs = taps * _parts(x.shape[1], wide), _parts(weight.shape[0], columns)
    runs = max(1, min(_parts(total, _SHORTEST_RUN), _MOST_RUNS // math.prod(programs)))
    length = _parts(_parts(total, runs), rows) * rows
    runs = _parts(total, length)
    by_weight = x.new_empty((runs, taps, x.shape[1], weight.shape[0]), dtype=torch.float32)
    arguments = {
        "x_ptr": _channels_last(x),
        "by_weight_ptr": by_weight,
        **_common(x, offset, gradient, weight, settings, out_name="gradient_ptr"),
        "length": length,
        "BLOCK_P": rows,
        "BLOCK_C": wide,
        "BLOCK_O": columns,
    }
    return by_weight, Launch(kernels.deform_weight_gradient, (*programs, runs), arguments, _warps(rows, wide))


def _common(
    x: Tensor, offset: Tensor, out: Tensor, weight: Tensor, settings: Settings, *, out_name: str
) -> dict[str, object]:
    """Arguments all three kernels have: offsets, result or its gradient, steps through both, and constants."""
    offsets, flat = offset.flatten(2), out.flatten(2)  # channels and voxels may lie in memory in any order
    grid = (*x.shape[2:], *out.shape[2:], *weight.shape[2:], *settings.stride, *settings.padding, *settings.dilation)
    return {
        "offset_ptr": offsets,
        out_name: flat,
        "total": out.shape[0] * math.prod(out.shape[2:]),
        **dict(zip(("offset_sample", "offset_channel", "offset_voxel"), offsets.stride(), strict=True)),
        **dict(zip(("out_sample", "out_channel", "out_voxel"), flat.stride(), strict=True)),
        "GRID": grid,
        "CHANNELS": x.shape[1],
        "OUTPUTS": weight.shape[0],
        "PRECISION": dot_precision(),
    }


def _layout(x: Tensor) -> torch.memory_format:
    last = torch.channels_last_3d
    return last if x.is_contiguous(memory_format=last) and not x.is_contiguous() else torch.contiguous_format


def _channels_last(x: Tensor) -> Tensor:
    """(B, C, *S) as (B, *S, C), contiguous."""
    return x.movedim(1, -1).contiguous()


def _by_tap(weight: Tensor) -> Tensor:
    """(O, C, *kernel) as (taps, C, O), contiguous."""
    return weight.flatten(2).permute(2, 1, 0).contiguous()


def _warps(rows: int, wide: int) -> int:
    return max(1, rows * wide // (32 * _VALUES_A_THREAD))


def _parts(number: int, size: int) -> int:
    return -(-number // size)
