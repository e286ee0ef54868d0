"""Slice views and crosshair go to a segment."""

import numpy as np

from medseg.mrml.cuts import Cut, cut_segment
from medseg.mrml.grids import Node, parent_to_world

Point = tuple[float, float, float]  # RAS mm of the world


def segment_centre(segmentation: Node, segment_id: str) -> Point | None:
    """The voxel of a segment that is nearest to its centre of mass: inside it also where it is hollow or bent.

    Returns:
        None for a segment without voxels.

    Raises:
        ImageError: if there is no such segment, or the segmentation hangs under a non-linear transform.
    """
    to_world = parent_to_world(segmentation)
    cut = cut_segment(segmentation, segment_id)
    if cut is None:
        return None
    right, front, high = (to_world @ cut.affine @ [*_middle(cut), 1])[:3]
    return float(right), float(front), float(high)


def jump_to_segment(scene: Node, segmentation: Node, segment_id: str) -> Point | None:
    """Centre every slice view on a segment and put the crosshair there.

    Returns:
        Where that is; None for a segment without voxels: nothing moves.

    Raises:
        ImageError: as ``segment_centre``.
    """
    centre = segment_centre(segmentation, segment_id)
    if centre is None:
        return None
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        scene.GetNthNodeByClass(number, "vtkMRMLSliceNode").JumpSliceByCentering(*centre)
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*centre)
    return centre


def _middle(cut: Cut) -> tuple[int, int, int]:
    """The voxel of a mask nearest to its centre of mass, which mostly is one."""
    others = ((1, 2), (0, 2), (0, 1))
    weights = [np.count_nonzero(cut.mask, axis=axes) for axes in others]
    centre = [float(weight @ np.arange(weight.size) / weight.sum()) for weight in weights]
    i, j, k = (round(value) for value in centre)
    if not cut.mask[i, j, k]:
        spots = np.argwhere(cut.mask).astype(np.float32)
        steps_mm = np.linalg.norm(cut.affine[:3, :3], axis=0)
        far = (((spots - centre) * steps_mm) ** 2).sum(axis=1)
        i, j, k = (int(value) for value in spots[np.argmin(far)])
    return i, j, k
