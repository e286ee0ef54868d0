"""One segment cut out of the labelmap it shares with others: its mask, no larger than it must be."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import get_vtk_array_type

from medseg.imaging.image import Affine
from medseg.mrml.grids import Node, affine_from_matrix, matrix_from_affine
from medseg.mrml.segmentations import BINARY_LABELMAP, existing_segment, voxels


@dataclass(frozen=True, eq=False)
class Cut:
    """The voxels of one segment.

    Attributes:
        mask: ``(I, J, K)`` bool: the smallest box that holds the segment, and one voxel of background around it.
        affine: voxel of the mask -> RAS mm below the transforms the segmentation hangs under.
    """

    mask: NDArray[np.bool_]
    affine: Affine

    @property
    def voxel_count(self) -> int:
        """Voxels of the segment."""
        return int(np.count_nonzero(self.mask))


def cut_segment(node: Node, segment_id: str) -> Cut | None:
    """Cut one segment out. Surfaces without a labelmap get one, as when Slicer shows them in slices.

    Args:
        node: the segmentation.
        segment_id: which of its segments.

    Returns:
        None for a segment without voxels.

    Raises:
        ImageError: if there is no such segment.
    """
    segment = existing_segment(node, segment_id)
    if not node.GetSegmentation().ContainsRepresentation(BINARY_LABELMAP):
        node.CreateBinaryLabelmapRepresentation()
    layer = segment.GetRepresentation(BINARY_LABELMAP)
    if layer is None or layer.IsEmpty():
        return None
    values = voxels(layer)
    box = value_box(values, segment.GetLabelValue())
    if box is None:
        return None
    mask = np.zeros(tuple(part.stop - part.start + 2 for part in box), dtype=bool, order="F")
    mask[1:-1, 1:-1, 1:-1] = values[box] == segment.GetLabelValue()
    return Cut(mask, layer_affine(layer) @ shifted([part.start - 1 for part in box]))


def mask_labelmap(mask: NDArray[np.bool_], affine: Affine) -> Any:
    """A labelmap of one segment of value 1.

    Args:
        mask: ``(I, J, K)``.
        affine: voxel -> RAS mm below the transforms.
    """
    import slicer

    pixels = slicer.vtkOrientedImageData()
    pixels.SetDimensions(*mask.shape)
    pixels.AllocateScalars(get_vtk_array_type(np.uint8), 1)
    voxels(pixels)[...] = mask
    pixels.SetGeometryFromImageToWorldMatrix(matrix_from_affine(affine))
    return pixels


def layer_affine(layer: Any) -> Affine:
    """Voxel of a labelmap's array -> RAS mm below the transforms; VTK counts from the extent, arrays from 0."""
    matrix = vtk.vtkMatrix4x4()
    layer.GetImageToWorldMatrix(matrix)
    return affine_from_matrix(matrix) @ shifted(layer.GetExtent()[::2])


def value_box(values: NDArray[Any], value: int | None) -> tuple[slice, slice, slice] | None:
    """The smallest box around all voxels of one value, or of any but 0.

    Args:
        values: ``(I, J, K)`` in VTK's order of memory; read slice by slice, so that one of 500 MB costs no second one.
        value: which voxels; None: all that are not 0.

    Returns:
        Slices along i, j, k; None where there is no such voxel.
    """
    columns = np.zeros(values.shape[0], dtype=bool)
    rows = np.zeros(values.shape[1], dtype=bool)
    slices = np.zeros(values.shape[2], dtype=bool)
    for k in range(values.shape[2]):
        part = values[:, :, k].T
        hit: NDArray[np.bool_] = np.not_equal(part, 0) if value is None else np.equal(part, value)
        if hit.any():
            slices[k] = True
            columns |= hit.any(axis=0)
            rows |= hit.any(axis=1)
    if not slices.any():
        return None
    hits = (np.flatnonzero(found) for found in (columns, rows, slices))
    i, j, k_span = (slice(int(hit[0]), int(hit[-1]) + 1) for hit in hits)
    return i, j, k_span


def shifted(start: Any) -> Affine:
    """The affine that moves by three numbers of voxels."""
    shift = np.eye(4)
    shift[:3, 3] = start
    return shift
