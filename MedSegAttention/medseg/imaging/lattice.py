"""Labels whose voxels lie on the same lattice as another grid's: turned, mirrored, cut out, but never in between."""

from dataclasses import replace

import numpy as np

from medseg.imaging.geometry import voxel_corners
from medseg.imaging.image import Affine, Image, Shape

SAME_PLACE_MM = 0.05  # how far a corner may lie from a voxel of the other grid; headers have a few decimals


def place_on(labels: Image, shape: Shape, affine: Affine) -> Image | None:
    """Put labels onto a grid that has the same lattice of voxel centres; nothing is resampled.

    Args:
        labels: ``(N, I, J, K)``; 0 is background, also where they do not reach.
        shape: voxels of the grid along i, j, k.
        affine: ``(4, 4)`` of the grid, voxel -> RAS mm.

    Returns:
        ``(N, *shape)`` on exactly this affine; None where voxels lie in between, or a labelled one lies outside.
    """
    to_grid = np.linalg.inv(affine) @ labels.affine
    turn, shift = np.round(to_grid[:3, :3]).astype(int), np.round(to_grid[:3, 3]).astype(int)
    if not ((np.abs(turn).sum(axis=0) == 1).all() and (np.abs(turn).sum(axis=1) == 1).all()):
        return None
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = turn, shift
    off = voxel_corners(labels.shape) @ (affine @ whole - labels.affine).T
    if np.linalg.norm(off[:, :3], axis=1).max() > SAME_PLACE_MM:
        return None
    axes = np.abs(turn).argmax(axis=1)  # of the labels, along i, j, k of the grid
    signs = turn[np.arange(3), axes]
    turned = labels.array.transpose(0, *(1 + axes))
    turned = turned[:, *(slice(None, None, int(sign)) for sign in signs)]
    first = shift + np.minimum(signs, 0) * (np.array(turned.shape[1:]) - 1)
    result = np.zeros((len(turned), *shape), labels.array.dtype)
    ours, theirs = [], []
    for start, size, room in zip(first, turned.shape[1:], shape, strict=True):
        low, high = max(int(start), 0), min(int(start) + size, room)
        theirs.append(slice(low, max(high, low)))
        ours.append(slice(low - int(start), max(high, low) - int(start)))
    result[:, *theirs] = turned[:, *ours]
    if np.count_nonzero(result) < np.count_nonzero(labels.array):
        return None
    return replace(labels, array=result, affine=np.asarray(affine, dtype=np.float64))


def common_grid(first: Image, second: Image) -> tuple[Shape, Affine] | None:
    """The smallest grid on the first one's lattice that holds both; None where the second has other voxels."""
    last = np.array(second.shape) - 1
    centres = np.array([(*corner, 1.0) for corner in np.ndindex(2, 2, 2)]) * [*last, 1.0]
    found = np.round((centres @ (np.linalg.inv(first.affine) @ second.affine).T)[:, :3]).astype(int)
    low = np.minimum(found.min(axis=0), 0)
    high = np.maximum(found.max(axis=0) + 1, first.shape)
    moved = np.eye(4)
    moved[:3, 3] = low
    shape, affine = tuple(int(size) for size in high - low), first.affine @ moved
    grid: Shape = (shape[0], shape[1], shape[2])
    return (grid, affine) if place_on(second, grid, affine) is not None else None
