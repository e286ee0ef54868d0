"""Slicer's overlap rule: whether new segments take their voxels away from segments that are there."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Image
from medseg.mrml.cuts import layer_affine
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import BINARY_LABELMAP, voxels

# The three of the Segment Editor's "Modify other segments": allow overlap, overwrite all, overwrite visible.
Overlap: TypeAlias = Literal["allow", "all", "visible"]


def overwritable(node: Node, segment_ids: Sequence[str], rule: Overlap) -> list[str]:
    """Those of some segments that a rule lets others overwrite."""
    if rule == "allow":
        return []
    display = node.GetDisplayNode()
    if rule == "all" or display is None:
        return list(segment_ids)
    return [each for each in segment_ids if display.GetVisibility() and display.GetSegmentVisibility(each)]


def overwrite(segmentation: Any, taken: Image, segment_ids: Sequence[str]) -> dict[str, int]:
    """Take voxels away from segments.

    Args:
        segmentation: the ``vtkSegmentation``.
        taken: ``(1, I, J, K)`` bool, where others are; below the transforms of the segmentation. Labelmaps on another
            grid lose the voxels whose centres lie there.
        segment_ids: who loses; other segments of the same labelmap keep every voxel.

    Returns:
        How many voxels each segment lost, for those that lost any.
    """
    layers: dict[Any, dict[int, str]] = {}
    for segment_id in segment_ids:
        segment = segmentation.GetSegment(segment_id)
        layer = segment.GetRepresentation(BINARY_LABELMAP)
        if layer is not None and not layer.IsEmpty():
            layers.setdefault(layer, {})[segment.GetLabelValue()] = segment_id
    mask = Image(taken.array.astype(np.uint8), taken.affine)
    lost: dict[str, int] = {}
    for layer, owners in layers.items():
        i, j, k = layer.GetDimensions()
        here = resample_to(mask, (i, j, k), layer_affine(layer), order="nearest").array[0]
        counts = _clear(voxels(layer), here, list(owners))
        lost |= {owners[value]: count for value, count in counts.items()}
        if counts:
            layer.GetPointData().GetScalars().Modified()
            layer.Modified()
    return lost


def _clear(array: NDArray[Any], here: NDArray[Any], values: list[int]) -> dict[int, int]:
    """Set voxels of some values to 0 where a mask is not, slice by slice as they lie in memory.

    Returns:
        How many voxels each value lost, for those that lost any.
    """
    counts: dict[int, int] = {}
    for k in range(array.shape[2]):
        plane, where = array[:, :, k].T.reshape(-1), np.flatnonzero(here[:, :, k].T)
        found = plane[where]
        mine = np.isin(found, values)
        for value, count in zip(*np.unique(found[mine], return_counts=True), strict=True):
            counts[int(value)] = counts.get(int(value), 0) + int(count)
        plane[where[mine]] = 0
    return counts
