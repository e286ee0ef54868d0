"""Linear interpolation back from the grid of a network, axis by axis: which two voxels, and how much of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.monai_resample import MonaiResample, nearest_of
from medseg.imaging.nnunet_resample import NnunetResample, nearest_voxels
from medseg.imaging.steps import Resample


@dataclass(frozen=True, eq=False)
class AxisSamples:
    """Where the voxels of the source lie between those of the resampled image, along one axis.

    Within the outer half voxel the edge is repeated, as ``resample_to`` does.

    Attributes:
        lower: ``(n,)`` the voxel before each sample.
        upper: ``(n,)`` the voxel after it; the same where there is none, and everywhere on an axis that keeps its
            voxels.
        fraction: ``(n,)`` share of the upper one, 0..1.
    """

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    fraction: NDArray[np.float64]

    @property
    def is_identity(self) -> bool:
        """Whether every sample is a voxel of its own."""
        return bool((self.lower == self.upper).all() and (self.lower == np.arange(len(self.lower))).all())


def axis_samples(resample: Resample) -> tuple[AxisSamples, AxisSamples, AxisSamples]:
    """Say how ``resample.undo`` samples along i, j, k; both grids have the same directions, so axes are apart."""
    to_resampled = np.linalg.solve(resample.affine, resample.source_affine)
    if isinstance(resample, MonaiResample):
        i, j, k = (
            _as_monai(resample, axis, float(to_resampled[axis, axis]), float(to_resampled[axis, 3]))
            for axis in range(3)
        )
        return i, j, k
    nearest = resample.slices_back if isinstance(resample, NnunetResample) else None
    i, j, k = (
        _nearest(resample.source_shape[axis], resample.shape[axis])
        if axis == nearest
        else _along(resample.source_shape[axis], resample.shape[axis], to_resampled[axis, axis], to_resampled[axis, 3])
        for axis in range(3)
    )
    return i, j, k


def _nearest(count: int, size: int) -> AxisSamples:
    """Take the nearest of ``size`` voxels ``count`` times."""
    own = nearest_voxels(count, size)
    return AxisSamples(own, own, np.zeros(count))


def _as_monai(resample: MonaiResample, axis: int, step: float, first: float) -> AxisSamples:
    """Sample as the plan says; its sizes may agree while its voxels do not."""
    count, size = resample.source_shape[axis], resample.shape[axis]
    if resample.back == "nearest":
        own = nearest_of(count, size, step, first)
        return AxisSamples(own, own, np.zeros(count))
    if resample.back == "area":
        number = np.arange(count)
        lower, upper = number * size // count, -(-(number + 1) * size // count) - 1
        return AxisSamples(lower, upper, np.where(lower == upper, 0.0, 0.5))
    return _between(count, size, step, first)


def _along(count: int, size: int, step: float, first: float) -> AxisSamples:
    """Sample an axis of ``size`` voxels ``count`` times."""
    own = np.arange(count, dtype=np.int64)
    return AxisSamples(own, own, np.zeros(count)) if count == size else _between(count, size, step, first)


def _between(count: int, size: int, step: float, first: float) -> AxisSamples:
    position = first + step * np.arange(count, dtype=np.int64)
    lower = np.clip(np.floor(position).astype(np.int64), 0, size - 1)
    return AxisSamples(lower, np.minimum(lower + 1, size - 1), np.clip(position - lower, 0.0, 1.0))
