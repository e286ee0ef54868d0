# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, N803
"""Triton kernels of the 3D deformable convolution; Triton's compiler, not Python, gives these functions their types.

All read the input channels last, one row of channels a voxel, and sample it where they use it: the column matrix of
sampled values never reaches main memory. Output voxels of all samples of a batch are numbered in one row. GRID holds
what is known before: sizes of the input, of the output, of the kernel, stride, padding and dilation, three numbers
each. With these as constants the many divisions cost little.
"""

import triton
import triton.language as tl


@triton.jit
def _place(flat, GRID: tl.constexpr):
    """Sample, voxel within it and its three coordinates."""
    voxel = flat % (GRID[3] * GRID[4] * GRID[5])
    return (
        flat // (GRID[3] * GRID[4] * GRID[5]),
        voxel,
        voxel // (GRID[4] * GRID[5]),
        (voxel // GRID[5]) % GRID[4],
        voxel % GRID[5],
    )


@triton.jit
def _along(offset, at, step, AXIS: tl.constexpr, GRID: tl.constexpr):
    """Floor corner along an axis, the distance to it, and whether the position may move; as ``TapGeometry`` has it."""
    start = at * GRID[9 + AXIS] - GRID[12 + AXIS] + 1 + step * GRID[15 + AXIS]
    moved = offset.to(tl.float32) + start.to(tl.float32)  # the border before the image starts at 0, the image at 1
    number = moved == moved
    position = tl.minimum(tl.maximum(tl.where(number, moved, 0.0), 0.0), GRID[AXIS] + 1.0)
    floor = tl.floor(position)
    fraction = tl.where(number, position - floor, moved)  # no number stays none, so that it shows in the result
    return floor.to(tl.int32) - 1, fraction, (moved > 0) & (moved < GRID[AXIS] + 1.0)


@triton.jit
def _tap(offset_ptr, sample, voxel, i, j, k, tap, live, by_sample, by_channel, by_voxel, GRID: tl.constexpr):
    """Floor corner, fraction and whether it may move, three each, of one tap of many output voxels."""
    first = offset_ptr + sample.to(tl.int64) * by_sample + voxel.to(tl.int64) * by_voxel + 3 * tap * by_channel
    to_i = tl.load(first, mask=live, other=0.0)
    to_j = tl.load(first + by_channel, mask=live, other=0.0)
    to_k = tl.load(first + 2 * by_channel, mask=live, other=0.0)
    corner_i, fraction_i, moves_i = _along(to_i, i, tap // (GRID[7] * GRID[8]), 0, GRID)
    corner_j, fraction_j, moves_j = _along(to_j, j, (tap // GRID[8]) % GRID[7], 1, GRID)
    corner_k, fraction_k, moves_k = _along(to_k, k, tap % GRID[8], 2, GRID)
    return corner_i, corner_j, corner_k, fraction_i, fraction_j, fraction_k, moves_i, moves_j, moves_k


@triton.jit
def _side(fraction, UPPER: tl.constexpr):
    """Linear weight of the floor (0) or ceiling (1) corner along one axis."""
    if UPPER == 1:
        return fraction

    return 1.0 - fraction


@triton.jit
def _row(sample, i, j, k, live, GRID: tl.constexpr):
    """Row of a voxel in the channels-last input, and whether it lies inside."""
    inside = live & (i >= 0) & (i < GRID[0]) & (j >= 0) & (j < GRID[1]) & (k >= 0) & (k < GRID[2])
    return ((sample.to(tl.int64) * GRID[0] + i) * GRID[1] + j) * GRID[2] + k, inside


@triton.jit
def _sampled(x_ptr, sample, ci, cj, ck, fi, fj, fk, live, channel, CHANNELS: tl.constexpr, GRID: tl.constexpr):
    """Interpolated channel vectors (voxels, channels) in float32."""
    value = tl.zeros((fi.shape[0], channel.shape[0]), dtype=tl.float32)
    for corner in tl.static_range(8):
        row, inside = _row(sample, ci + corner // 4, cj + corner // 2 % 2, ck + corner % 2, live, GRID)
        share = _side(fi, corner // 4) * _side(fj, corner // 2 % 2) * _side(fk, corner % 2)
        place = (row * CHANNELS)[:, None] + channel[None, :]
        read = tl.load(x_ptr + place, mask=inside[:, None] & (channel < CHANNELS)[None, :], other=0.0)
        value += share[:, None] * read.to(tl.float32)
    return value


@triton.jit
def deform_forward(
    x_ptr, offset_ptr, weight_ptr, bias_ptr, out_ptr, total,
    offset_sample, offset_channel, offset_voxel, out_sample, out_channel, out_voxel,
    GRID: tl.constexpr, CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr, HAS_BIAS: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """One block of output voxels and output channels a program; weight is (taps, channels, outputs)."""
    flat = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    output = tl.program_id(1) * BLOCK_O + tl.arange(0, BLOCK_O)
    live = flat < total
    sample, voxel, i, j, k = _place(flat, GRID)
    result = tl.zeros((BLOCK_P, BLOCK_O), dtype=tl.float32)
    for tap in range(GRID[6] * GRID[7] * GRID[8]):
        ci, cj, ck, fi, fj, fk, _mi, _mj, _mk = _tap(
            offset_ptr, sample, voxel, i, j, k, tap, live, offset_sample, offset_channel, offset_voxel, GRID
        )
        for first in range(0, CHANNELS, BLOCK_C):
            channel = first + tl.arange(0, BLOCK_C)
            value = _sampled(x_ptr, sample, ci, cj, ck, fi, fj, fk, live, channel, CHANNELS, GRID)
            place = (tap * CHANNELS + channel)[:, None] * OUTPUTS + output[None, :]
            wanted = (channel < CHANNELS)[:, None] & (output < OUTPUTS)[None, :]
            weight = tl.load(weight_ptr + place, mask=wanted, other=0.0)
            result = tl.dot(value.to(weight.dtype), weight, result, input_precision=PRECISION)
    if HAS_BIAS:
        result += tl.load(bias_ptr + output, mask=output < OUTPUTS, other=0.0).to(tl.float32)[None, :]
    there = out_ptr + (sample.to(tl.int64) * out_sample + voxel.to(tl.int64) * out_voxel)[:, None]
    there += (output.to(tl.int64) * out_channel)[None, :]
    tl.store(there, result.to(out_ptr.dtype.element_ty), mask=live[:, None] & (output < OUTPUTS)[None, :])


@triton.jit
def deform_backward(
    gradient_ptr, x_ptr, offset_ptr, weight_ptr, by_x_ptr, by_offset_ptr, total,
    offset_sample, offset_channel, offset_voxel, out_sample, out_channel, out_voxel,
    GRID: tl.constexpr, CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr,
    WANT_X: tl.constexpr, WANT_OFFSET: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """Gradients at the input (atomic additions) and at the offsets: one block of voxels and one tap a program.

    by_x is (B, voxels of x, channels) in float32 and starts as zeros; by_offset is (B, 3 taps, voxels), contiguous.
    """
    flat = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    tap = tl.program_id(1)
    live = flat < total
    sample, voxel, i, j, k = _place(flat, GRID)
    ci, cj, ck, fi, fj, fk, moves_i, moves_j, moves_k = _tap(
        offset_ptr, sample, voxel, i, j, k, tap, live, offset_sample, offset_channel, offset_voxel, GRID
    )
    above_ptr = gradient_ptr + (sample.to(tl.int64) * out_sample + voxel.to(tl.int64) * out_voxel)[:, None]
    by_i = tl.zeros((BLOCK_P,), dtype=tl.float32)
    by_j = tl.zeros((BLOCK_P,), dtype=tl.float32)
    by_k = tl.zeros((BLOCK_P,), dtype=tl.float32)
    for first in range(0, CHANNELS, BLOCK_C):
        channel = first + tl.arange(0, BLOCK_C)
        vector = tl.zeros((BLOCK_P, BLOCK_C), dtype=tl.float32)  # the gradient at the sampled values
        for lowest in range(0, OUTPUTS, BLOCK_O):
            output = lowest + tl.arange(0, BLOCK_O)
            wanted = live[:, None] & (output < OUTPUTS)[None, :]
            above = tl.load(above_ptr + (output.to(tl.int64) * out_channel)[None, :], mask=wanted, other=0.0)
            place = (tap * CHANNELS + channel)[None, :] * OUTPUTS + output[:, None]
            wanted = (channel < CHANNELS)[None, :] & (output < OUTPUTS)[:, None]
            weight = tl.load(weight_ptr + place, mask=wanted, other=0.0)
            vector = tl.dot(above.to(weight.dtype), weight, vector, input_precision=PRECISION)
        for corner in tl.static_range(8):
            row, inside = _row(sample, ci + corner // 4, cj + corner // 2 % 2, ck + corner % 2, live, GRID)
            along_i, along_j, along_k = _side(fi, corner // 4), _side(fj, corner // 2 % 2), _side(fk, corner % 2)
            place = (row * CHANNELS)[:, None] + channel[None, :]
            wanted = inside[:, None] & (channel < CHANNELS)[None, :]
            if WANT_X:
                share = along_i * along_j * along_k
                tl.atomic_add(by_x_ptr + place, share[:, None] * vector, mask=wanted, sem="relaxed")
            if WANT_OFFSET:
                read = tl.load(x_ptr + place, mask=wanted, other=0.0)
                product = tl.sum(read.to(tl.float32) * vector, axis=1)
                by_i += (2 * (corner // 4) - 1) * along_j * along_k * product
                by_j += (2 * (corner // 2 % 2) - 1) * along_i * along_k * product
                by_k += (2 * (corner % 2) - 1) * along_i * along_j * product
    if WANT_OFFSET:
        voxels: tl.constexpr = GRID[3] * GRID[4] * GRID[5]
        channel = sample.to(tl.int64) * (3 * GRID[6] * GRID[7] * GRID[8]) + 3 * tap
        there = by_offset_ptr + channel * voxels + voxel
        kind = by_offset_ptr.dtype.element_ty
        tl.store(there, tl.where(moves_i, by_i, 0.0).to(kind), mask=live)
        tl.store(there + voxels, tl.where(moves_j, by_j, 0.0).to(kind), mask=live)
        tl.store(there + 2 * voxels, tl.where(moves_k, by_k, 0.0).to(kind), mask=live)


@triton.jit
def deform_weight_gradient(
    gradient_ptr, x_ptr, offset_ptr, by_weight_ptr, total,
    offset_sample, offset_channel, offset_voxel, out_sample, out_channel, out_voxel, length,
    GRID: tl.constexpr, CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_O: tl.constexpr,
):  # fmt: skip
    """A part of the weights' gradient: one tap, block of channels, block of outputs and run of voxels a program.

    by_weight is (runs, taps, channels, outputs) in float32: the runs are added up afterwards, always in one order.
    """
    blocks: tl.constexpr = (CHANNELS + BLOCK_C - 1) // BLOCK_C
    taps: tl.constexpr = GRID[6] * GRID[7] * GRID[8]
    tap = tl.program_id(0) // blocks
    channel = (tl.program_id(0) % blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    output = tl.program_id(1) * BLOCK_O + tl.arange(0, BLOCK_O)
    run = tl.program_id(2)
    result = tl.zeros((BLOCK_C, BLOCK_O), dtype=tl.float32)
    for step in range(0, length, BLOCK_P):
        flat = run * length + step + tl.arange(0, BLOCK_P)
        live = flat < total
        sample, voxel, i, j, k = _place(flat, GRID)
        ci, cj, ck, fi, fj, fk, _mi, _mj, _mk = _tap(
            offset_ptr, sample, voxel, i, j, k, tap, live, offset_sample, offset_channel, offset_voxel, GRID
        )
        value = _sampled(x_ptr, sample, ci, cj, ck, fi, fj, fk, live, channel, CHANNELS, GRID)
        there = gradient_ptr + (sample.to(tl.int64) * out_sample + voxel.to(tl.int64) * out_voxel)[:, None]
        wanted = live[:, None] & (output < OUTPUTS)[None, :]
        above = tl.load(there + (output.to(tl.int64) * out_channel)[None, :], mask=wanted, other=0.0)
        result = tl.dot(tl.trans(value.to(above.dtype)), above, result, input_precision=PRECISION)
    place = ((run.to(tl.int64) * taps + tap) * CHANNELS + channel)[:, None] * OUTPUTS + output[None, :]
    tl.store(by_weight_ptr + place, result, mask=(channel < CHANNELS)[:, None] & (output < OUTPUTS)[None, :])
