"""Smoothed label masks, and the depth at which parallel rays meet their surface."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.imaging.image import Affine, Image

FloatArray = NDArray[np.float32]

LEVEL = 0.5  # the surface lies where the smoothed mask is one half
_LARGEST_SIDE = 200  # voxels; finer label maps are thinned out before smoothing
_SMOOTHING = 1.0  # standard deviation of the smoothing, in voxels of the label map


@dataclass(frozen=True)
class Field:
    """Smoothed masks on the (cropped, perhaps thinned) grid of a label map."""

    occupancy: FloatArray  # (I, J, K), 0 outside, 1 deep inside any label
    label: NDArray[np.int32]  # (I, J, K), the label with the most weight at each voxel
    affine: Affine  # voxel -> RAS mm


def smooth_labels(labels: Image) -> Field | None:
    """Blur each label's mask on its own and add them up; None for an empty label map.

    A label too thin to survive the blur (its peak below 0.75) is raised to 0.75, so that no segment vanishes.
    """
    array, affine = _cropped(labels)
    if array.size == 0:
        return None
    occupancy = np.zeros(array.shape, dtype=np.float32)
    weight = np.zeros(array.shape, dtype=np.float32)
    winner = np.zeros(array.shape, dtype=np.int32)
    margin = int(np.ceil(3 * _SMOOTHING))
    for index, box in enumerate(ndimage.find_objects(array), start=1):
        if box is None:
            continue
        wide = tuple(
            slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(box, array.shape, strict=True)
        )
        mask = ndimage.gaussian_filter((array[wide] == index).astype(np.float32), _SMOOTHING, truncate=3.0)
        mask *= max(1.0, 0.75 / max(float(mask.max()), 1e-6))
        occupancy[wide] += mask
        stronger = mask > weight[wide]
        weight[wide][stronger] = mask[stronger]
        winner[wide][stronger] = index
    return Field(np.minimum(occupancy, 1.0, out=occupancy), winner, affine)


def _cropped(labels: Image) -> tuple[NDArray[np.int32], Affine]:
    """Return the labels' bounding box with a border of background, thinned to a size that renders quickly."""
    array = labels.array[0]
    occupied = array > 0
    spans = []
    for axis in range(3):
        (along,) = np.nonzero(occupied.any(axis=tuple(n for n in range(3) if n != axis)))
        if along.size == 0:
            return np.zeros((0, 0, 0), dtype=np.int32), labels.affine
        spans.append((int(along[0]), int(along[-1]) + 1))
    steps = [max(1, -(-(stop - start) // _LARGEST_SIDE)) for start, stop in spans]
    box = tuple(slice(start, stop, step) for (start, stop), step in zip(spans, steps, strict=True))
    border = 5
    padded = np.pad(array[box].astype(np.int32), border)
    affine = labels.affine.copy()
    affine[:3, :3] *= steps
    first = np.array([start for start, _ in spans], dtype=np.float64)
    affine[:3, 3] = labels.affine[:3, 3] + labels.affine[:3, :3] @ first - affine[:3, :3] @ np.full(3, float(border))
    return padded, affine


def cast_rays(field: Field, starts: NDArray[np.float64], direction: NDArray[np.float64], length: float) -> FloatArray:
    """Return how far each ray travels to the surface, in mm; infinity for a ray that meets none.

    Args:
        field: what to hit.
        starts: ``(N, 3)``, RAS mm, outside the surface.
        direction: unit vector in RAS, common to all rays.
        length: how far to look, in mm.
    """
    into = np.linalg.inv(field.affine)
    begin = np.ascontiguousarray((starts @ into[:3, :3].T + into[:3, 3]).T, dtype=np.float32)
    towards = (into[:3, :3] @ direction).astype(np.float32)[:, None]
    depth = np.full(len(starts), np.inf, dtype=np.float32)
    enter, leave = _crossing(field.occupancy, begin, towards)
    leave = np.minimum(leave, np.float32(length))
    ray = np.flatnonzero(enter < leave)
    travelled, leave = enter[ray], leave[ray]
    here = begin[:, ray] + travelled * towards
    voxels_per_mm = float(np.linalg.norm(towards))
    gap = _distance_to_surface(field.occupancy)
    limit = np.array(gap.shape, dtype=np.int32)[:, None] - 1
    step, before = np.zeros_like(travelled), np.zeros_like(travelled)
    while ray.size:
        value = sample(field.occupancy, here.T)
        met = value >= LEVEL
        if met.any():
            rise = np.maximum(value[met] - before[met], 1e-6)
            depth[ray[met]] = travelled[met] - step[met] * np.minimum((value[met] - LEVEL) / rise, 1.0)
        # Outside the grid its nearest border voxel stands in: it is no farther from anything on the grid.
        block = np.minimum((np.maximum(here, 0) + np.float32(0.5)).astype(np.int32) // 2, limit)
        # A mask blurred by one voxel needs more than 1.2 voxels to rise from nothing to one half.
        free = np.where(value < 0.05, np.float32(1.2), np.float32(0.5))
        step = np.maximum(gap[block[0], block[1], block[2]], free) / np.float32(voxels_per_mm)
        going = np.flatnonzero(~met & (travelled < leave))
        ray, leave, step, before = ray[going], leave[going], step[going], value[going]
        travelled = travelled[going] + step
        here = here[:, going] + step * towards
    return depth


def _crossing(occupancy: FloatArray, begin: FloatArray, towards: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where each ray, ``(3, N)`` in voxels, enters the box in which the surface lies and where it leaves it, in mm."""
    solid = np.argwhere(occupancy >= LEVEL)
    if not len(solid):
        return np.ones(begin.shape[1], dtype=np.float32), np.zeros(begin.shape[1], dtype=np.float32)
    low, high = (side.astype(np.float32)[:, None] for side in (solid.min(axis=0) - 1, solid.max(axis=0) + 1))
    slant = np.where(np.abs(towards) < 1e-6, np.float32(1e-6), towards)
    first, last = (low - begin) / slant, (high - begin) / slant
    return np.maximum(np.minimum(first, last).max(axis=0), np.float32(0)), np.maximum(first, last).min(axis=0)


def _distance_to_surface(occupancy: FloatArray) -> FloatArray:
    """Voxels a ray may safely leap from each block of 2x2x2 voxels; 0 near anything solid."""
    even = np.pad(occupancy, [(0, n % 2) for n in occupancy.shape])
    i, j, k = (n // 2 for n in even.shape)
    empty = even.reshape(i, 2, j, 2, k, 2).max(axis=(1, 3, 5)) < 0.05
    # within two blocks sqrt(3) voxels are lost, and rounding the position to a voxel loses half of that again
    blocks = np.asarray(ndimage.distance_transform_edt(empty), dtype=np.float32)
    return np.maximum(2 * blocks - 3, np.float32(0))


def sample(array: FloatArray, points: NDArray[np.float64]) -> FloatArray:
    """Interpolate linearly at voxel positions ``(N, 3)``; 0 outside."""
    values: FloatArray = ndimage.map_coordinates(array, points.T, order=1, output=np.float32, prefilter=False)
    return values
