"""Where the taps of a deformable convolution fall, and linear interpolation there as weighted sums of table rows.

The input is laid out once as a table of channel vectors, one row a voxel, with a border of zero rows (one before, two
after on every axis). A position clamped to that border then needs no further test: whatever lies outside the image
reads zeros, which is the zero padding of deformable convolution v1.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_BORDER_BEFORE = 1
_BORDER_AFTER = 2
_LARGEST_EXACT_FLOAT32 = 2**24
_LARGEST_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Corners:
    """The 2^A neighbours of n x T sampling positions: table rows, their weights, and what gradients need.

    Attributes:
        rows: integer (n, T, 2^A), rows of the padded table.
        weights: (n, T, 2^A), linear interpolation weights, summing to one.
        fraction: (T, A, n), distance of each position to its floor corner.
    """

    rows: Tensor
    weights: Tensor
    fraction: Tensor


def padded_table(volume: Tensor, deformable_groups: int) -> Tensor:
    """Rows of voxels (deformable_groups * R, C / deformable_groups) of a volume (C, *S), its zero border included."""
    padding = (_BORDER_BEFORE, _BORDER_AFTER) * (volume.ndim - 1)
    padded = F.pad(volume, padding).reshape(deformable_groups, volume.shape[0] // deformable_groups, -1)
    return padded.transpose(1, 2).reshape(-1, padded.shape[1]).contiguous()


def unpadded_volume(table: Tensor, sizes: tuple[int, ...], deformable_groups: int) -> Tensor:
    """The transpose of ``padded_table``: drops the border and gives (C, *S) back."""
    padded_sizes = [size + _BORDER_BEFORE + _BORDER_AFTER for size in sizes]
    channels = table.shape[1]
    volume = table.view(deformable_groups, -1, channels).transpose(1, 2)
    volume = volume.reshape(deformable_groups * channels, *padded_sizes)
    inner = tuple(slice(_BORDER_BEFORE, _BORDER_BEFORE + size) for size in sizes)
    return volume[(slice(None), *inner)]


class TapGeometry:
    """Undeformed tap positions of one convolution on one input size, in the padded table's coordinates."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        kernel: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
        deformable_groups: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Sizes, outputs, kernel, stride, padding and dilation have one entry an axis; dtype is that of positions."""
        axes = range(len(sizes))
        padded = [size + _BORDER_BEFORE + _BORDER_AFTER for size in sizes]
        rows = math.prod(padded)
        starts = [
            torch.arange(outputs[a], device=device, dtype=dtype) * stride[a] - padding[a] + _BORDER_BEFORE for a in axes
        ]
        steps = [torch.arange(kernel[a], device=device, dtype=dtype) * dilation[a] for a in axes]
        self.first_taps = _grid(starts)
        self.taps = _grid(steps).t().repeat(deformable_groups, 1)[:, :, None]
        self.lowest = torch.zeros((), device=device, dtype=dtype)
        self.limit = torch.tensor(sizes, device=device, dtype=dtype)[None, :, None] + 1
        self.row_strides = [math.prod(padded[a + 1 :]) for a in axes]
        self.exact = torch.float64 if rows >= _LARGEST_EXACT_FLOAT32 else dtype
        integer = torch.int64 if rows * deformable_groups > _LARGEST_INT32 else torch.int32
        group = torch.arange(deformable_groups, device=device, dtype=integer) * rows
        group = group.repeat_interleave(math.prod(kernel))[:, None, None]
        self.corner_rows = _corner_rows(self.row_strides, integer, device) + group
        self.last_floor_row = rows - 1 - sum(self.row_strides)

    def moved(self, offset: Tensor, start: int) -> Tensor:
        """Positions (T, A, n) of n neighbouring output voxels from flat index ``start``; offset is (T, A, n)."""
        moved = offset + self.first_taps[:, start : start + offset.shape[2]]
        moved += self.taps
        return moved

    def inside(self, offset: Tensor, start: int) -> Tensor:
        """Where positions may move along an axis (strictly between -1 and the size), bool (T, A, n)."""
        moved = self.moved(offset, start)
        return (moved > 0) & (moved < self.limit)

    def corners(self, offset: Tensor, start: int) -> Corners:
        """Corners for n neighbouring output voxels from flat index ``start``; offset is (T, A, n) in voxels."""
        position = torch.clamp(self.moved(offset, start), self.lowest, self.limit)
        floor = position.floor()
        fraction = position.sub_(floor)
        exact = floor.to(self.exact)
        row = exact[:, -1]
        for axis in range(offset.shape[1] - 1):
            row = torch.add(row, exact[:, axis], alpha=self.row_strides[axis])
        # a NaN offset has no row of its own: any valid one will do, its weight is NaN and shows in the result
        row = row.to(self.corner_rows.dtype).clamp_(0, self.last_floor_row)
        rows = row[:, None] + self.corner_rows
        return Corners(_voxel_first(rows), _voxel_first(corner_weights(fraction)), fraction)


def corner_weights(fraction: Tensor) -> Tensor:
    """Linear weights (T, 2^A, n) of the floor and ceiling corners, last axis fastest, for fractions (T, A, n)."""
    taps, axes, count = fraction.shape
    sides = torch.stack([1 - fraction, fraction], dim=2)
    weights = sides[:, 0]
    for axis in range(1, axes):  # few large steps: a block is small, and every call costs
        weights = (weights[:, :, None] * sides[:, axis, None]).view(taps, -1, count)
    return weights


def gather(table: Tensor, corners: Corners) -> Tensor:
    """Interpolated channel vectors (n, T, C') of the table at the corners."""
    count, taps, neighbours = corners.rows.shape
    weights = corners.weights.view(-1, neighbours).to(table.dtype)
    sums = F.embedding_bag(corners.rows.view(-1, neighbours), table, mode="sum", per_sample_weights=weights)
    return sums.view(count, taps, table.shape[1])


def scatter(vectors: Tensor, corners: Corners, row_count: int) -> Tensor:
    """The transpose of ``gather``: (n, T, C') spread back over a (row_count, C') table.

    Sorting the rows turns the scatter into sums over neighbouring entries, which is a gather again: faster than adding
    row by row, and free of the races of atomic additions.
    """
    neighbours = corners.rows.shape[2]
    rows, order = torch.sort(corners.rows.view(-1), stable=True)
    wanted = torch.arange(row_count, device=rows.device, dtype=rows.dtype)
    first = torch.searchsorted(rows, wanted)
    weights = corners.weights.view(-1).to(vectors.dtype)[order]
    source = order.div_(neighbours, rounding_mode="floor")
    flat = vectors.reshape(-1, vectors.shape[2])
    return F.embedding_bag(source, flat, first, mode="sum", per_sample_weights=weights)


def offset_gradient(vectors: Tensor, table: Tensor, corners: Corners, inside: Tensor) -> Tensor:
    """Gradient (T, A, n) at the offsets, given the gradient ``vectors`` (n, T, C') at the interpolated values.

    It is zero where ``inside``, see ``TapGeometry``, is not true.
    """
    per_corner = torch.stack(
        [
            (F.embedding(corners.rows[..., corner], table) * vectors).sum(-1).t()
            for corner in range(corners.rows.shape[2])
        ],
        dim=1,
    ).to(corners.fraction.dtype)
    gradient = torch.zeros_like(corners.fraction)
    for axis in range(corners.fraction.shape[1]):
        slope = _slope(corners.fraction, axis)
        gradient[:, axis] = (per_corner * slope).sum(1)
    return torch.where(inside, gradient, 0)


def _slope(fraction: Tensor, axis: int) -> Tensor:
    """Derivative of ``corner_weights`` along one axis, (T, 2^A, n)."""
    ceiling, floor = fraction.clone(), fraction.clone()
    ceiling[:, axis] = 1
    floor[:, axis] = 0
    return corner_weights(ceiling) - corner_weights(floor)


def _grid(axes: list[Tensor]) -> Tensor:
    """All combinations of the axes' coordinates, last axis fastest, as (A, N)."""
    return torch.stack([axis.reshape(-1) for axis in torch.meshgrid(*axes, indexing="ij")])


def _corner_rows(row_strides: list[int], integer: torch.dtype, device: torch.device) -> Tensor:
    shifts = [torch.tensor([0, stride], device=device, dtype=integer) for stride in row_strides]
    return _grid(shifts).sum(0, dtype=integer)[None, :, None]


def _voxel_first(values: Tensor) -> Tensor:
    """(T, M, n) as contiguous (n, T, M): one plain transposition."""
    taps, corners, count = values.shape
    return values.reshape(taps * corners, count).t().contiguous().view(count, taps, corners)
