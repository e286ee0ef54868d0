"""Tidy labels by volume in cubic millimetres: largest part, islands, holes."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging import _itk
from medseg.imaging.image import Image
from medseg.spec.postprocess import PostprocessRule

Box = tuple[slice, slice, slice]

_ROUNDING = 1e-9  # relative; a part of exactly the limit is on the keeping (or filling) side


def postprocess(labels: Image, rule: PostprocessRule) -> Image:
    """Apply a rule to every label, in the order largest part, islands, holes.

    Parts of a label are connected through faces, edges and corners (26 neighbours), so that thin oblique structures
    stay whole. A hole is a part of the background, connected through faces (6 neighbours), all of whose face
    neighbours are one label; it takes that label. Background that reaches the border of the volume is no hole; along
    an axis of one voxel there is no border, so a flat volume has holes too. No label is ever replaced by another.

    Args:
        labels: integer ``(1, I, J, K)``, 0 is background.
        rule: what to do; a part of exactly ``min_island_mm3`` stays, a hole of exactly ``fill_holes_mm3`` is filled.

    Returns:
        Labels on the same grid with the same dtype; the same array when there is nothing to do.

    Raises:
        ValueError: if the array is not one channel of integers.
    """
    if labels.channel_count != 1 or not np.issubdtype(labels.array.dtype, np.integer):
        msg = f"labels are one channel of integers, got {labels.array.dtype} of shape {labels.array.shape}"
        raise ValueError(msg)
    tidies = rule.keep_largest or rule.min_island_mm3 > 0
    if not tidies and not rule.fill_holes_mm3 > 0:
        return labels
    array = np.array(labels.array[0])
    boxes = label_boxes(array)
    for value, box in boxes.items():
        if tidies:
            _drop_parts(array[box], value, rule, labels.voxel_volume_mm3)
    for value, box in boxes.items():
        if rule.fill_holes_mm3 > 0:
            _fill_holes(array[box], value, rule.fill_holes_mm3 / labels.voxel_volume_mm3, array.shape)
    return replace(labels, array=array[None])


def label_boxes(array: NDArray[Any]) -> dict[int, Box]:
    """Bounding box of every label that occurs in ``(I, J, K)``, in ascending order of the label; 0 is left out."""
    planes: dict[int, list[int]] = {}
    for i, plane in enumerate(array):
        for value in np.unique(plane):
            planes.setdefault(int(value), []).append(i)
    boxes = {}
    for value in sorted(planes.keys() - {0}):
        first, last = planes[value][0], planes[value][-1]
        flat = np.zeros(array.shape[1:], dtype=np.bool_)
        for i in planes[value]:
            flat |= array[i] == value
        rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
        boxes[value] = (
            slice(first, last + 1),
            slice(int(rows[0]), int(rows[-1]) + 1),
            slice(int(columns[0]), int(columns[-1]) + 1),
        )
    return boxes


def _drop_parts(array: NDArray[Any], value: int, rule: PostprocessRule, voxel_mm3: float) -> None:
    """Set the parts of a label that are not to stay to background, in place."""
    numbers, sizes = _itk.components(array == value, through_corners=True)
    smallest = rule.min_island_mm3 * (1 - _ROUNDING)
    kept = sum(size * voxel_mm3 >= smallest for size in sizes)
    if rule.keep_largest:
        kept = min(kept, 1)
    if kept < len(sizes):
        array[numbers > kept] = 0  # numbers run from the largest part to the smallest


def _fill_holes(array: NDArray[Any], value: int, most_voxels: float, whole: tuple[int, ...]) -> None:
    """Give a label its holes, in place; beyond the label's own box nothing can be enclosed."""
    numbers, sizes = _itk.components(array != value, through_corners=False)
    if not sizes:
        return
    fill = np.array([0, *sizes]) <= most_voxels * (1 + _ROUNDING)
    fill[0] = False
    fill[np.unique(numbers[(array != value) & (array != 0)])] = False  # part of it is another label
    for axis in (axis for axis in range(3) if whole[axis] > 1):
        for end in (0, -1):
            fill[np.unique(np.take(numbers, end, axis=axis))] = False  # open to the outside
    if fill.any():
        array[fill[numbers]] = value
