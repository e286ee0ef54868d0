"""An image cut into a grid of equal patches, side by side in the batch, and put together again."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def cut_patches(x: Tensor, grid: Sequence[int]) -> Tensor:
    """The patches of a grid, as a batch; an image that the grid does not divide is filled up with zeros at its end.

    Shape:
        ``(B, C, [I,] J, K)`` -> ``(grid product * B, C, ceil(I / grid), ...)``, patch after patch in row-major order
    """
    missing = [-size % count for size, count in zip(x.shape[2:], grid, strict=True)]
    if any(missing):
        x = F.pad(x, [number for count in reversed(missing) for number in (0, count)])
    axes = len(grid)
    for axis, count in enumerate(grid):
        x = torch.unflatten(x, 2 + 2 * axis, (count, -1))
    numbers = [2 + 2 * axis for axis in range(axes)]
    places = [3 + 2 * axis for axis in range(axes)]
    return x.permute(*numbers, 0, 1, *places).flatten(0, axes)


def join_patches(patches: Tensor, grid: Sequence[int], size: Sequence[int]) -> Tensor:
    """The inverse of ``cut_patches`` for an image of ``size``."""
    axes = len(grid)
    x = torch.unflatten(patches, 0, (*grid, -1))  # (*grid, B, C, *patch)
    alternating = [position for axis in range(axes) for position in (axis, axes + 2 + axis)]
    x = x.permute(axes, axes + 1, *alternating)
    for axis in range(axes):
        x = x.flatten(2 + axis, 3 + axis)
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x
