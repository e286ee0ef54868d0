"""Slicer's overlap rule: whether new segments take their voxels away from segments that are there."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Image
from medseg.mrml.cuts import layer_affine
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import BINARY_LABELMAP, voxels

# The three of the Segment Editor's "Modify other segments": allow overlap, overwrite all, overwrite visible.
Overlap: TypeAlias = Literal["allow", "all", "visible"]


def editor_overlap(scene: Node) -> Overlap:
    """The rule the Segment Editor of a scene is set to; "allow" where it was never opened."""
    editor = scene.GetFirstNodeByClass("vtkMRMLSegmentEditorNode")
    if editor is None:
        return "allow"
    rules: dict[int, Overlap] = {editor.OverwriteAllSegments: "all", editor.OverwriteVisibleSegments: "visible"}
    return rules.get(editor.GetOverwriteMode(), "allow")


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
        taken: ``(1, I, J, K)``, not 0 where others are; below the transforms of the segmentation. Labelmaps on another
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
    mask = Image((taken.array != 0).astype(np.uint8), taken.affine)
    lost: dict[str, int] = {}
    for layer, owners in layers.items():
        array = voxels(layer)
        i, j, k = array.shape
        here = resample_to(mask, (i, j, k), layer_affine(layer), order="nearest").array[0] != 0
        hit = here & np.isin(array, list(owners))
        values, counts = np.unique(array[hit], return_counts=True)
        lost |= {owners[int(value)]: int(count) for value, count in zip(values, counts, strict=True)}
        if values.size:
            array[hit] = 0
            layer.GetPointData().GetScalars().Modified()
            layer.Modified()
    return lost
