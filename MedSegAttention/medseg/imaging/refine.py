"""A located box is laid anew around what was found in it, for another look: with the margin that a model learned on."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medseg.imaging._itk import components
from medseg.imaging.image import Affine
from medseg.imaging.locate import LocatedBox

_LEAST_SHARE = 0.25  # of the least volume that an adult has: around less there is nothing to look at
_STILL_MM = 0.5


def refined_box(box: LocatedBox, scores: NDArray[np.float32], affine: Affine, margin_mm: float) -> LocatedBox | None:
    """Lay a box around the largest connected part of what was found in another.

    Its margin is rounded up to whole voxels, so that its grid of the same spacing has its voxels where they were.

    Args:
        box: where the network was asked.
        scores: ``(L, i, j, k)`` probabilities, the background first.
        affine: ``(4, 4)`` of their grid, along the axes of the box's frame in any order, voxel -> mm of the frame.
        margin_mm: on every side.

    Returns:
        The box, in the same frame; None where nothing was found, or less than a quarter of what the smallest adult has.
    """
    numbered, sizes = components(scores.argmax(axis=0) > 0, through_corners=False)
    if not sizes:
        return None
    millilitres = sizes[0] * abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    if box.spec.volume_ml is not None and millilitres < _LEAST_SHARE * box.spec.volume_ml[0]:
        return None
    voxels = np.argwhere(numbered == 1)
    ends = np.array([voxels.min(axis=0) - 0.5, voxels.max(axis=0) + 0.5])
    corners = ends @ affine[:3, :3].T + affine[:3, 3]
    spacing = np.abs(affine[:3, :3]).sum(axis=1)
    margin = np.ceil(margin_mm / spacing - 1e-6) * spacing
    return replace(box, low_mm=corners.min(axis=0) - margin, high_mm=corners.max(axis=0) + margin)


def same_place(box: LocatedBox, other: LocatedBox) -> bool:
    """Whether two boxes of one frame differ by less than half a millimetre on every side."""
    moved = np.abs([other.low_mm - box.low_mm, other.high_mm - box.high_mm])
    return bool(moved.max() < _STILL_MM)
