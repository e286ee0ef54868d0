"""The labels of an earlier stage as nnU-Net shows them to the next: resampled label by label, then one-hot."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.nnunet_resample import NnunetResample, nearest_voxels
from medseg.imaging.steps import Resample

_AIR = -1  # background where the image is 0; nnU-Net takes it for a label of its own


def one_hot(labels: NDArray[Any], enclosed: NDArray[np.bool_], resample: Resample, count: int) -> NDArray[np.float32]:
    """Bring labels to the network's grid and show each as a channel.

    Each label's mask is resampled linearly and the largest wins, as in batchgenerators since 0.25.5; where several are
    equally large, the label of the nearest voxel if it is one of them, else the lowest. Across coarse slices the
    nearest is taken.

    Args:
        labels: ``(i, j, k)``, turned and cropped as the image.
        enclosed: ``(i, j, k)``, where the image is not 0, and what that encloses.
        resample: of the image; nnU-Net's.
        count: of the labels.

    Returns:
        ``(count, i, j, k)`` on the network's grid, 0 and 1.
    """
    marked = np.where((labels == 0) & ~enclosed, np.int32(_AIR), labels.astype(np.int32))
    if not resample.is_identity:
        across = resample.slices_there if isinstance(resample, NnunetResample) else None
        marked = _resized(marked, resample.shape) if across is None else _by_slices(marked, resample.shape, across)
    return np.stack([marked == value for value in range(1, count + 1)]).astype(np.float32)


def _by_slices(labels: NDArray[np.int32], shape: tuple[int, ...], axis: int) -> NDArray[np.int32]:
    slices = np.moveaxis(labels, axis, 0)
    in_plane = tuple(size for other, size in enumerate(shape) if other != axis)
    resized = np.stack([_resized(each, in_plane) for each in slices])
    chosen = resized
    if shape[axis] != len(slices):
        chosen = resized[nearest_voxels(shape[axis], len(slices))]
    return np.moveaxis(chosen, 0, axis)


def _resized(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    values = np.unique(labels)
    if len(values) == 1:
        return np.full(shape, values[0], dtype=np.int32)
    nearest = np.rint(_zoomed(labels, shape, order=0)).astype(np.int32)
    best = np.full(shape, -1.0)
    won = np.zeros(shape, dtype=np.int32)
    for value in values:  # in rising order, so that the lowest of equals stays
        score = _zoomed(labels == value, shape, order=1)
        won[(score > best) | ((score == best) & (nearest == value))] = value
        np.maximum(best, score, out=best)
    return won


def _zoomed(array: NDArray[Any], shape: tuple[int, ...], *, order: int) -> NDArray[np.float64]:
    from scipy import ndimage  # here, so that Slicer does not wait for it

    factors = [new / old for new, old in zip(shape, array.shape, strict=True)]
    zoomed: NDArray[np.float64] = ndimage.zoom(
        array.astype(np.float64), factors, order=order, mode="nearest", grid_mode=True
    )
    return zoomed
