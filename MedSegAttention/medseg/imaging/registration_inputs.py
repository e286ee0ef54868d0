"""What a registration begins with: brightness cut to a range, ITK images in RAS mm, and points to lay together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging._itk import sitk
from medseg.imaging.geometry import closest_axes, resample_to
from medseg.imaging.image import Image
from medseg.imaging.steps import Resample

_CT_HU = (-20.0, 100.0)  # what brain and water are in CT, with some room


def windowed(image: Image, *, is_ct: bool) -> Image:
    """Cut the brightness to what tells tissues apart."""
    if is_ct:  # bone as dark as air, as it is in MR
        low, high = _CT_HU
        return Image(
            np.where(image.array > 1.5 * high, low, np.clip(image.array, low, high)).astype(np.float32), image.affine
        )
    low, high = np.percentile(image.array[:, ::2, ::2, ::2], [1, 99.5])
    return Image(np.clip(image.array, low, high).astype(np.float32), image.affine)


def shrunk(image: Image, size_mm: float) -> Image:
    """Sample at about this spacing along the image's own axes."""
    spacing = image.spacing
    i, j, k = (min(n, max(8, round(n * mm / size_mm))) for n, mm in zip(image.shape, spacing, strict=True))
    return Resample.to_shape(image, (i, j, k)).apply(image)


def to_itk(image: Image) -> Any:
    """Hand an image over with its place in RAS mm; axes are turned so that ITK's directions are close to the body's.

    ITK takes right-angled directions alone: a sheared grid is sampled on the nearest one.
    """
    have = closest_axes(image.affine)
    order = [next(axis for axis, (row, _) in enumerate(have) if row == wanted) for wanted in range(3)]
    array = image.array[0].transpose(order)
    affine = image.affine[:, [*order, 3]].copy()
    for axis, (_, sign) in enumerate(have[old] for old in order):
        if sign < 0:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    left, _, right = np.linalg.svd(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    directions, spacing = left @ right, np.linalg.norm(affine[:3, :3], axis=0)
    straight = affine.copy()
    straight[:3, :3] = directions * spacing
    if not np.allclose(straight, affine, atol=1e-4):
        middle = (np.array(array.shape) - 1) / 2
        straight[:3, 3] = affine[:3, :3] @ middle + affine[:3, 3] - straight[:3, :3] @ middle
        outside = float(array.min())
        array = resample_to(Image(array[None], affine), array.shape, straight, order="linear", outside=outside).array[0]
    made = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    made.SetSpacing(spacing.tolist())
    made.SetOrigin(straight[:3, 3].tolist())
    made.SetDirection(directions.ravel().tolist())
    return made


def middle(image: Any) -> NDArray[np.float64]:
    """The middle of an ITK image, mm."""
    return np.array(image.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in image.GetSize()]))


def mass_centre(image: Any) -> NDArray[np.float64]:
    """The centre of its brightness, mm."""
    array = sitk.GetArrayViewFromImage(image).astype(np.float64).T
    return _centre(image, array - array.min())


def below_top(image: Any) -> NDArray[np.float64]:
    """The middle of the upper 150 mm of what is not air: the brain, however long the neck is."""
    array = sitk.GetArrayViewFromImage(image).astype(np.float64).T
    head = array > array.min() + 0.2 * (np.percentile(array, 98) - array.min())
    levels = np.flatnonzero(head.mean(axis=(0, 1)) > 0.02)
    top = int(levels[-1]) if levels.size else array.shape[2] - 1
    first = max(0, top - round(150 / image.GetSpacing()[2]))
    part = np.zeros(array.shape)
    part[:, :, first : top + 1] = head[:, :, first : top + 1]
    return _centre(image, part)


def _centre(image: Any, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.sum()
    if not total > 0:
        return middle(image)
    index = [
        float((weights.sum(axis=tuple(other for other in range(3) if other != axis)) * np.arange(size)).sum() / total)
        for axis, size in enumerate(weights.shape)
    ]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index))
