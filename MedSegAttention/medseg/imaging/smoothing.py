"""Gaussian blur along chosen axes, before an image is sampled more coarsely."""

import math

import numpy as np
from numpy.typing import NDArray

_REACH = 4.0  # standard deviations at which the kernel ends


def smooth(array: NDArray[np.float32], sigmas: tuple[float, float, float]) -> NDArray[np.float32]:
    """Blur a volume along its axes one after the other; edges are repeated.

    Args:
        array: ``(I, J, K)`` float32.
        sigmas: standard deviations in voxels along i, j, k; 0 leaves an axis alone.

    Returns:
        ``(I, J, K)`` float32; the same array when nothing is to be blurred.
    """
    for axis, sigma in enumerate(sigmas):
        if sigma > 0:
            array = _smooth_axis(array, axis, sigma)
    return array


def _smooth_axis(array: NDArray[np.float32], axis: int, sigma: float) -> NDArray[np.float32]:
    """Add up shifted copies; a shift beyond the edge repeats the edge plane."""
    radius = math.ceil(_REACH * sigma)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    length = array.shape[axis]
    source = np.moveaxis(array, axis, 0)
    result = np.zeros_like(array)
    target = np.moveaxis(result, axis, 0)
    for n in range(length):
        planes, places = np.unique(np.clip(np.arange(n - radius, n + radius + 1), 0, length - 1), return_inverse=True)
        shares = np.bincount(places, weights=weights)
        for plane, share in zip(planes, shares, strict=True):
            target[n] += np.float32(share) * source[plane]
    return result
