# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, N803
"""Triton kernels of three depthwise convolutions of size 1, 3 and 5 over one image; Triton gives these their types.

A program takes a block of voxels of a plane and of channels, and goes through the planes once. Five sums for the
kernel of size 5 are open at a time, three for that of size 3: a loaded voxel is added to all it belongs to, so that
each is read 25 times and not 125. In 2D (``FLAT``) there is one plane. SIZE is (planes, rows, columns) of the image.

The weights come as one table, a row a tap and a column a channel: first the 5^A of size 5, then the 3^A of size 3,
then that of size 1, last axis fastest. Within a sample 32 bits count what lies in memory, samples are counted in 64.
"""

import triton
import triton.language as tl


@triton.jit
def _weight(table_ptr, tap, channel, CHANNELS: tl.constexpr):
    """One tap's weight for every channel of the block, (1, channels), in float32."""
    weight = tl.load(table_ptr + tap * CHANNELS + channel, mask=channel < CHANNELS, other=0.0)
    return weight.to(tl.float32)[None, :]


@triton.jit
def _answer(value, affine_ptr, branch: tl.constexpr, channel, CHANNELS: tl.constexpr):
    """A branch's norm and its ReLU6; the table holds factors, then shifts."""
    factor = _weight(affine_ptr, branch, channel, CHANNELS)
    shift = _weight(affine_ptr, 3 + branch, channel, CHANNELS)
    return tl.minimum(tl.maximum(value * factor + shift, 0.0), 6.0)


@triton.jit
def _store(ptr, plane, step_plane, place, value, wanted):
    there = ptr + (plane * step_plane + place)
    tl.store(there, value.to(ptr.dtype.element_ty), mask=wanted)


@triton.jit
def _read(ptr, plane, row, column, shared, live, step_plane, step_row, step_column, SIZE: tl.constexpr):
    """Voxels of a plane in float32, zeros outside the image."""
    inside = (row >= 0) & (row < SIZE[1]) & (column >= 0) & (column < SIZE[2])
    inside &= (plane >= 0) & (plane < SIZE[0])
    place = plane * step_plane + row * step_row + column * step_column
    return tl.load(ptr + (place[:, None] + shared), mask=inside[:, None] & live, other=0.0).to(tl.float32)


@triton.jit
def _block(
    step_sample, step_channel, step_row, step_column,
    SIZE: tl.constexpr, CHANNELS: tl.constexpr, PLANES: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A program's first plane, rows, columns, channels, their place in memory and which of them are there."""
    blocks: tl.constexpr = (SIZE[1] * SIZE[2] + BLOCK_P - 1) // BLOCK_P
    runs: tl.constexpr = (SIZE[0] + PLANES - 1) // PLANES
    wide: tl.constexpr = (CHANNELS + BLOCK_C - 1) // BLOCK_C
    program = tl.program_id(0)
    flat = program % blocks * BLOCK_P + tl.arange(0, BLOCK_P)
    begin = program // blocks % runs * PLANES
    channel = program // (blocks * runs) % wide * BLOCK_C + tl.arange(0, BLOCK_C)
    sample = program // (blocks * runs * wide)
    row, column = flat // SIZE[2], flat % SIZE[2]
    shared = (channel * step_channel + sample.to(tl.int64) * step_sample)[None, :]
    here = (row * step_row + column * step_column)[:, None] + shared
    live = (flat < SIZE[1] * SIZE[2])[:, None] & (channel < CHANNELS)[None, :]
    return begin, row, column, channel, shared, here, live


@triton.jit
def depthwise_forward(
    x_ptr, table_ptr, affine_ptr, one_ptr, three_ptr, five_ptr,
    step_sample, step_channel, step_plane, step_row, step_column,
    SIZE: tl.constexpr, CHANNELS: tl.constexpr, FLAT: tl.constexpr, FUSED: tl.constexpr,
    PLANES: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The three results apart, or (``FUSED``) their sum after norms and ReLU6, which goes to ``five_ptr``."""
    reach: tl.constexpr = 0 if FLAT else 2
    half: tl.constexpr = 0 if FLAT else 1
    threes: tl.constexpr = 25 if FLAT else 125
    one: tl.constexpr = 34 if FLAT else 152
    begin, row, column, channel, shared, here, live = _block(
        step_sample, step_channel, step_row, step_column, SIZE, CHANNELS, PLANES, BLOCK_P, BLOCK_C
    )
    end = tl.minimum(begin + PLANES, SIZE[0])
    none = tl.zeros((BLOCK_P, BLOCK_C), dtype=tl.float32)
    # sums for the planes two before to two after; answers of smaller kernels that wait for the largest one
    a0, a1, a2, a3, a4, b0, b1, b2, waiting, newest = none, none, none, none, none, none, none, none, none, none
    for plane in range(begin - reach, end + reach):
        c0 = none
        for near in tl.static_range(25):
            read = _read(
                x_ptr, plane, row + (near // 5 - 2), column + (near % 5 - 2), shared, live,
                step_plane, step_row, step_column, SIZE,
            )  # fmt: skip
            if FLAT:
                a0 += read * _weight(table_ptr, near, channel, CHANNELS)
            else:
                a0 += read * _weight(table_ptr, near + 100, channel, CHANNELS)
                a1 += read * _weight(table_ptr, near + 75, channel, CHANNELS)
                a2 += read * _weight(table_ptr, near + 50, channel, CHANNELS)
                a3 += read * _weight(table_ptr, near + 25, channel, CHANNELS)
                a4 += read * _weight(table_ptr, near, channel, CHANNELS)
            if (near // 5 % 4) * (near % 5 % 4) != 0:  # the inner nine
                if FLAT:
                    b0 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 - 4, channel, CHANNELS)
                else:
                    b0 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 + 14, channel, CHANNELS)
                    b1 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 + 5, channel, CHANNELS)
                    b2 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 - 4, channel, CHANNELS)
            if near == 12:
                c0 = read * _weight(table_ptr, one, channel, CHANNELS)
        if FUSED:
            if FLAT:
                newest = _answer(c0, affine_ptr, 0, channel, CHANNELS)
                waiting = newest + _answer(b0, affine_ptr, 1, channel, CHANNELS)
            total = waiting + _answer(a0, affine_ptr, 2, channel, CHANNELS)
            _store(five_ptr, plane - reach, step_plane, here, total, live & (plane - reach >= begin))
            waiting = newest + _answer(b0, affine_ptr, 1, channel, CHANNELS)
            newest = _answer(c0, affine_ptr, 0, channel, CHANNELS)
        else:
            _store(five_ptr, plane - reach, step_plane, here, a0, live & (plane - reach >= begin))
            wanted = (plane - half >= begin) & (plane - half < end)
            _store(three_ptr, plane - half, step_plane, here, b0, live & wanted)
            _store(one_ptr, plane, step_plane, here, c0, live & (plane >= begin) & (plane < end))
        a0, a1, a2, a3, a4 = a1, a2, a3, a4, none
        b0, b1, b2 = b1, b2, none


@triton.jit
def depthwise_backward(
    one_ptr, three_ptr, five_ptr, table_ptr, out_ptr,
    step_sample, step_channel, step_plane, step_row, step_column,
    SIZE: tl.constexpr, CHANNELS: tl.constexpr, FLAT: tl.constexpr,
    PLANES: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The gradient at the image from those at the three results; the table holds the kernels turned around."""
    reach: tl.constexpr = 0 if FLAT else 2
    threes: tl.constexpr = 25 if FLAT else 125
    one: tl.constexpr = 34 if FLAT else 152
    begin, row, column, channel, shared, here, live = _block(
        step_sample, step_channel, step_row, step_column, SIZE, CHANNELS, PLANES, BLOCK_P, BLOCK_C
    )
    end = tl.minimum(begin + PLANES, SIZE[0])
    none = tl.zeros((BLOCK_P, BLOCK_C), dtype=tl.float32)
    a0, a1, a2, a3, a4 = none, none, none, none, none
    for plane in range(begin - reach, end + reach):
        for near in tl.static_range(25):
            to_row, to_column = row + (near // 5 - 2), column + (near % 5 - 2)
            read = _read(five_ptr, plane, to_row, to_column, shared, live, step_plane, step_row, step_column, SIZE)
            if FLAT:
                a0 += read * _weight(table_ptr, near, channel, CHANNELS)
            else:
                a0 += read * _weight(table_ptr, near + 100, channel, CHANNELS)
                a1 += read * _weight(table_ptr, near + 75, channel, CHANNELS)
                a2 += read * _weight(table_ptr, near + 50, channel, CHANNELS)
                a3 += read * _weight(table_ptr, near + 25, channel, CHANNELS)
                a4 += read * _weight(table_ptr, near, channel, CHANNELS)
            if (near // 5 % 4) * (near % 5 % 4) != 0:
                read = _read(three_ptr, plane, to_row, to_column, shared, live, step_plane, step_row, step_column, SIZE)
                if FLAT:
                    a0 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 - 4, channel, CHANNELS)
                else:
                    a1 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 + 14, channel, CHANNELS)
                    a2 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 + 5, channel, CHANNELS)
                    a3 += read * _weight(table_ptr, threes + near // 5 * 3 + near % 5 - 4, channel, CHANNELS)
            if near == 12:
                read = _read(one_ptr, plane, to_row, to_column, shared, live, step_plane, step_row, step_column, SIZE)
                if FLAT:
                    a0 += read * _weight(table_ptr, one, channel, CHANNELS)
                else:
                    a2 += read * _weight(table_ptr, one, channel, CHANNELS)
        _store(out_ptr, plane - reach, step_plane, here, a0, live & (plane - reach >= begin))
        a0, a1, a2, a3, a4 = a1, a2, a3, a4, none


@triton.jit
def depthwise_weight_gradient(
    x_ptr, one_ptr, three_ptr, five_ptr, parts_ptr, total, length,
    step_sample, step_channel, step_plane, step_row, step_column,
    SIZE: tl.constexpr, CHANNELS: tl.constexpr, FLAT: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Parts of the weights' gradients: one line of taps, block of channels and run of voxels a program.

    The parts are (runs, lines, 9, channels) in float32: five taps of size 5, three of size 3, the one of size 1. A
    line's smaller kernels count only where it crosses them; the caller reads no others.
    """
    lines: tl.constexpr = 5 if FLAT else 25
    line = tl.program_id(0) % lines
    run = tl.program_id(0) // lines
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    to_plane = 0 if FLAT else line // 5 - 2
    to_row = line % 5 - 2
    none = tl.zeros((BLOCK_P, BLOCK_C), dtype=tl.float32)
    a0, a1, a2, a3, a4, b1, b2, b3, c2 = none, none, none, none, none, none, none, none, none
    for step in range(0, length, BLOCK_P):
        flat = run * length + step + tl.arange(0, BLOCK_P)
        live = (flat < total)[:, None] & (channel < CHANNELS)[None, :]
        sample = (flat // (SIZE[0] * SIZE[1] * SIZE[2])).to(tl.int64) * step_sample
        plane, row, column = flat // (SIZE[1] * SIZE[2]) % SIZE[0], flat // SIZE[2] % SIZE[1], flat % SIZE[2]
        shared = sample[:, None] + (channel * step_channel)[None, :]
        five = _read(five_ptr, plane, row, column, shared, live, step_plane, step_row, step_column, SIZE)
        three = _read(three_ptr, plane, row, column, shared, live, step_plane, step_row, step_column, SIZE)
        for tap in tl.static_range(5):
            read = _read(
                x_ptr, plane + to_plane, row + to_row, column + (tap - 2), shared, live,
                step_plane, step_row, step_column, SIZE,
            )  # fmt: skip
            if tap == 0:
                a0 += read * five
            if tap == 1:
                a1 += read * five
                b1 += read * three
            if tap == 2:
                one = _read(one_ptr, plane, row, column, shared, live, step_plane, step_row, step_column, SIZE)
                a2 += read * five
                b2 += read * three
                c2 += read * one
            if tap == 3:
                a3 += read * five
                b3 += read * three
            if tap == 4:
                a4 += read * five
    there = parts_ptr + (run.to(tl.int64) * lines + line) * 9 * CHANNELS + channel
    tl.store(there, tl.sum(a0, axis=0), mask=channel < CHANNELS)
    tl.store(there + CHANNELS, tl.sum(a1, axis=0), mask=channel < CHANNELS)
    tl.store(there + 2 * CHANNELS, tl.sum(a2, axis=0), mask=channel < CHANNELS)
    tl.store(there + 3 * CHANNELS, tl.sum(a3, axis=0), mask=channel < CHANNELS)
    tl.store(there + 4 * CHANNELS, tl.sum(a4, axis=0), mask=channel < CHANNELS)
    tl.store(there + 5 * CHANNELS, tl.sum(b1, axis=0), mask=channel < CHANNELS)
    tl.store(there + 6 * CHANNELS, tl.sum(b2, axis=0), mask=channel < CHANNELS)
    tl.store(there + 7 * CHANNELS, tl.sum(b3, axis=0), mask=channel < CHANNELS)
    tl.store(there + 8 * CHANNELS, tl.sum(c2, axis=0), mask=channel < CHANNELS)
