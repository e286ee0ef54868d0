"""Where the patient is: the box that holds everything that is not air."""

import numpy as np
from numpy.typing import NDArray

from medseg.imaging import _itk
from medseg.imaging.image import Image
from medseg.spec.manifest import IntTriple

_SAMPLE_MM = 4.0  # the search looks at about one voxel in this distance
_SMALLEST_PART_MM3 = 1000.0  # smaller bright specks are noise
_MARGIN_MM = 10.0
_NOISE_WIDTHS = 6.0  # standard deviations above the air at which noise has practically ended


def body_box(image: Image) -> tuple[IntTriple, IntTriple]:
    """Find the box around the body, 10 mm wider on every side; the whole image when there is any doubt.

    A channel's threshold lies halfway between its air (1st percentile) and Otsu's threshold, or at the level of the
    noise in the air where that is lower: dark tissue beside bright fat is body too. What is brighter in any channel
    and belongs to a connected part of at least 1 ml counts; a table or a coil makes the box larger, never smaller.

    Args:
        image: ``(C, I, J, K)``.

    Returns:
        First voxel inside and first voxel beyond, along i, j, k.
    """
    strides = [max(1, int(_SAMPLE_MM / size)) for size in image.spacing]
    sample = image.array[:, :: strides[0], :: strides[1], :: strides[2]]
    mask = np.zeros(sample.shape[1:], dtype=np.bool_)
    for channel in sample:
        mask |= channel > _air_threshold(channel)
    numbers, sizes = _itk.components(mask, through_corners=True)
    sample_mm3 = image.voxel_volume_mm3 * float(np.prod(strides))
    parts = sum(size * sample_mm3 >= _SMALLEST_PART_MM3 for size in sizes)
    if parts == 0:
        return (0, 0, 0), image.shape
    body = (numbers > 0) & (numbers <= parts)
    starts, stops = [], []
    for axis, (stride, spacing, size) in enumerate(zip(strides, image.spacing, image.shape, strict=True)):
        others = tuple(other for other in range(3) if other != axis)
        planes = np.flatnonzero(body.any(axis=others))
        margin = stride - 1 + int(np.ceil(_MARGIN_MM / spacing))  # the body may begin just after the plane before
        starts.append(max(0, int(planes[0]) * stride - margin))
        stops.append(min(size, int(planes[-1]) * stride + margin + 1))
    return (starts[0], starts[1], starts[2]), (stops[0], stops[1], stops[2])


def _air_threshold(channel: NDArray[np.generic]) -> float:
    """Value between air and body; infinite when the channel shows no contrast, so that it marks nothing."""
    values = channel[np.isfinite(channel)].astype(np.float64)
    if values.size == 0:
        return np.inf
    air, bright = np.percentile(values, [1, 99.5])
    if not air < bright:
        return np.inf
    halfway = air + (_itk.otsu(values.clip(air, bright)) - air) / 2
    dark = values[values <= halfway]
    level = np.median(dark)
    noise = 1.4826 * np.median(np.abs(dark - level))  # standard deviation of a Gaussian, blind to some dark tissue
    return float(min(halfway, level + _NOISE_WIDTHS * noise))
