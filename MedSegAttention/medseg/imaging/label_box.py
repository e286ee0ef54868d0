"""The box around what was found in an image, and what is left inside it of a region that a user asked for."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medseg.imaging.grids import asked_region
from medseg.imaging.image import Image
from medseg.imaging.steps import Crop
from medseg.spec.job import Options


def around_labels(labels: Image, values: Sequence[int], margin_mm: float) -> Crop | None:
    """The smallest box of voxels that holds some labels, and so much on every side as the image has.

    Args:
        labels: integers ``(1, I, J, K)``.
        values: of the labels.
        margin_mm: along the image's own axes; parts of a voxel are left out, as TotalSegmentator does it.

    Returns:
        The box; None where none of the labels is there.
    """
    mask = np.isin(labels.array[0], list(values))
    start, stop = [], []
    for axis, (size, mm) in enumerate(zip(labels.shape, labels.spacing, strict=True)):
        along = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(along):
            return None
        margin = int(margin_mm / mm)
        start.append(max(0, int(along[0]) - margin))
        stop.append(min(size, int(along[-1]) + 1 + margin))
    return Crop.to_box(labels, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def region_inside(crop: Crop, image: Image, options: Options) -> Options | None:
    """The options for a part of an image: their region, as far as it lies inside.

    Args:
        crop: the part.
        image: the whole, in which the region is given.
        options: what the user chose.

    Returns:
        The options; None where the region does not meet the part.

    Raises:
        JobError: if the region misses the whole image.
    """
    if crop.shape == crop.source_shape:
        return options
    wanted = asked_region(image, options.roi_ras_mm, options.roi_voxels)
    if wanted is None:
        return options
    box = []
    for a, size, b, other in zip(crop.start, crop.shape, wanted.start, wanted.shape, strict=True):
        low, high = max(0, b - a), min(size, b + other - a)
        if low >= high:
            return None
        box += [low, high]
    i, i_stop, j, j_stop, k, k_stop = box
    return replace(options, roi_ras_mm=None, roi_voxels=(i, i_stop, j, j_stop, k, k_stop))
