"""Distances in millimetres and smoothing inside a small box, with numpy alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


def distance_to(mask: NDArray[np.bool_], spacing: Sequence[float], cap: float) -> NDArray[np.float32]:
    """The Euclidean distance of each voxel to the nearest voxel of a mask, exact up to ``cap`` and ``cap`` beyond.

    One axis after the other takes the lower envelope of parabolas (Felzenszwalb and Huttenlocher, Theory of Computing
    8:415, 2012), here by shifting: within a cap of some voxels that is quicker in numpy than following the envelope.

    Args:
        mask: ``(I, J, K)``.
        spacing: mm between voxel centres along i, j, k, whose axes are perpendicular.
        cap: in mm; where the mask is empty every distance is this.

    Returns:
        ``(I, J, K)``, 0 in the mask.
    """
    squared = np.where(mask, np.float32(0), np.float32(cap * cap))
    if not mask.any():
        return np.sqrt(squared)
    for axis, mm in enumerate(spacing):
        before = np.moveaxis(squared.copy(), axis, 0)
        after = np.moveaxis(squared, axis, 0)
        for shift in range(1, min(len(before), int(cap / mm) + 1)):
            added = np.float32((shift * mm) ** 2)
            np.minimum(after[shift:], before[:-shift] + added, out=after[shift:])
            np.minimum(after[:-shift], before[shift:] + added, out=after[:-shift])
    return np.sqrt(squared)


def signed_distance(mask: NDArray[np.bool_], spacing: Sequence[float], cap: float) -> NDArray[np.float32]:
    """Distance to a mask outside of it, minus the distance to what is outside of it inside; within plus, minus cap."""
    return distance_to(mask, spacing, cap) - distance_to(~mask, spacing, cap)


def distance_to_voxels(
    voxels: NDArray[np.int64], box: Box, matrix: NDArray[np.float64], cap: float
) -> NDArray[np.float32]:
    """As ``distance_to`` for axes that are not perpendicular, from a list of voxels.

    Args:
        voxels: ``(N, 3)``, indices in the whole grid.
        box: the part of the grid that is asked for.
        matrix: ``(3, 3)``, steps of one voxel along i, j, k in mm.
        cap: in mm.
    """
    grid = np.stack(np.meshgrid(*(np.arange(part.start, part.stop) for part in box), indexing="ij"), axis=-1)
    places = (grid @ matrix.T).astype(np.float32)
    nearest = np.full(places.shape[:3], cap * cap, np.float32)
    for place in (voxels @ matrix.T).astype(np.float32):
        np.minimum(nearest, np.square(places - place).sum(axis=-1), out=nearest)
    return np.sqrt(nearest)


def smooth(array: NDArray[np.float32], spacing: Sequence[float], sigma: float) -> NDArray[np.float32]:
    """Convolve with a Gaussian of ``sigma`` mm, cut at 3 sigma; edges are repeated."""
    for axis, mm in enumerate(spacing):
        reach = min(int(3 * sigma / mm + 0.5), array.shape[axis] - 1)
        if reach == 0:
            continue
        weights = np.exp(-0.5 * np.square(np.arange(reach + 1) * mm / sigma)).astype(np.float32)
        weights /= weights[0] + 2 * weights[1:].sum()
        widths = [(reach, reach) if n == axis else (0, 0) for n in range(3)]
        padded = np.moveaxis(np.pad(array, widths, mode="edge"), axis, 0)
        size = array.shape[axis]
        total = weights[0] * padded[reach : reach + size]
        for shift in range(1, reach + 1):
            total += weights[shift] * (padded[reach - shift : reach - shift + size] + padded[reach + shift :][:size])
        array = np.moveaxis(total, 0, axis)
    return array
