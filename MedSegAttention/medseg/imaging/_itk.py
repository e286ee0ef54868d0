"""What this layer asks of SimpleITK, but for ``registration``: voxel space in, voxel space out.

ITK sees every array on a grid of unit spacing, so directions it would refuse (sheared, left-handed) never reach it:
geometry arrives as a matrix from voxel to voxel. An array is handed over in its own memory order, which makes ITK's
x, y, z our k, j, i; that reversal stays in this file, and no LPS coordinate is ever formed.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
import SimpleITK
from numpy.typing import NDArray

Order: TypeAlias = Literal["linear", "nearest"]

sitk: Any = SimpleITK  # its own annotations are partial and differ between releases

_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}


def _to_itk(array: NDArray[Any]) -> Any:
    """Copy ``(I, J, K)`` into an ITK image of unit spacing; ITK has neither bool nor float16."""
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    native = array.dtype.newbyteorder("=")
    return sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=native), isVector=False)


def _from_itk(image: Any) -> NDArray[Any]:
    """Copy an ITK image back to ``(I, J, K)``."""
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    return array


def resample(
    array: NDArray[Any],
    shape: tuple[int, int, int],
    to_source: NDArray[np.float64],
    *,
    order: Order,
    outside: float,
) -> NDArray[Any]:
    """Sample an array at the voxel centres of another grid.

    Within the half voxel between the outermost centres and the edge of the grid the edge value is repeated; beyond
    the edge every sample is ``outside``.

    Args:
        array: ``(I, J, K)``.
        shape: of the result.
        to_source: ``(4, 4)``, result voxel -> source voxel.
        order: ``"linear"`` gives float32, ``"nearest"`` keeps the dtype.
        outside: value beyond the source grid.
    """
    dtype = np.dtype(np.float32) if order == "linear" else array.dtype
    source = _to_itk(array.astype(np.float32, copy=False) if order == "linear" else array)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(to_source[2::-1, 2::-1].ravel().tolist())
    transform.SetTranslation(to_source[2::-1, 3].tolist())
    sampled = sitk.Resample(
        source,
        list(shape[::-1]),
        transform,
        _INTERPOLATORS[order],
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        float(outside),
    )
    return _from_itk(sampled).astype(dtype, copy=False)


def components(mask: NDArray[np.bool_], *, through_corners: bool) -> tuple[NDArray[np.uint32], tuple[int, ...]]:
    """Number the connected parts of a mask from the largest (1) to the smallest.

    Args:
        mask: ``(I, J, K)``.
        through_corners: whether voxels that share only an edge or a corner are connected (26 neighbours, else 6).

    Returns:
        The numbers, ``(I, J, K)`` with 0 where the mask is False, and the size of each part in voxels.
    """
    if not mask.any():
        return np.zeros(mask.shape, dtype=np.uint32), ()
    relabel = sitk.RelabelComponentImageFilter()
    numbered = relabel.Execute(sitk.ConnectedComponent(_to_itk(mask), through_corners))
    sizes = tuple(int(size) for size in relabel.GetSizeOfObjectsInPixels())
    return _from_itk(numbered).astype(np.uint32, copy=False), sizes


def otsu(values: NDArray[np.float64]) -> float:
    """Threshold with the largest variance between its two sides (Otsu 1979, doi:10.1109/TSMC.1979.4310076).

    In the middle of the gap between the values on both sides: all of it is equally good.

    Args:
        values: ``(N,)``, at least two different ones.
    """
    search = sitk.OtsuThresholdImageFilter()
    search.SetNumberOfHistogramBins(256)
    search.Execute(sitk.GetImageFromArray(values[None]))
    dark = values <= search.GetThreshold()
    return float(values[dark].max() + values[~dark].min()) / 2
