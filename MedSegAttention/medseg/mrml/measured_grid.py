"""The grid that segments are measured on: that of the volume they were drawn on, or what is left of it in the scene."""

from typing import Any

import numpy as np
import vtk

from medseg.imaging.image import Affine, Image
from medseg.io.formats import PICTURE_SUFFIXES
from medseg.mrml.grids import Node, affine_from_matrix, ijk_to_world, parent_to_world

_FROM_DICOM = "DICOM.instanceUIDs"  # attribute of volumes that Slicer reads from DICOM
_ONE = 1e-9  # mm; a spacing that differs more from 1 was typed in by somebody


def measured_grid(segmentation: Node, volume: Node = None) -> Image | None:
    """The grid of a volume, else the one a segmentation remembers, as an image that has no voxels of its own.

    Args:
        segmentation: the node.
        volume: that it was drawn on; None where that is no longer in the scene.

    Returns:
        ``(1, I, J, K)`` in the world; None where nothing is known of a grid.

    Raises:
        ImageError: if the node hangs under a non-linear transform.
    """
    found = volume_grid(volume)
    if found is not None:
        return found
    import slicer

    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    text = segmentation.GetSegmentation().GetConversionParameter(name)
    grid = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, grid, False):
        return None
    matrix = vtk.vtkMatrix4x4()
    grid.GetImageToWorldMatrix(matrix)
    return _image(grid.GetDimensions(), parent_to_world(segmentation) @ affine_from_matrix(matrix), known=True)


def volume_grid(volume: Node) -> Image | None:
    """The same for a volume; None where that is None or has no voxels."""
    if volume is None or volume.GetImageData() is None:
        return None
    return _image(volume.GetImageData().GetDimensions(), ijk_to_world(volume), known=spacing_is_known(volume))


def spacing_is_known(volume: Node) -> bool:
    """Whether millimetres of a volume are such: Slicer gives a PNG or JPEG voxels of 1 mm, which nobody measured.

    It does so too for a radiograph in whose DICOM file it finds no size. Who knows how large the pixels are types it
    in (module Volumes), and it is known from then on.
    """
    if any(abs(mm - 1) > _ONE for mm in volume.GetSpacing()):
        return True
    storage, pixels = volume.GetStorageNode(), volume.GetImageData()
    name = "" if storage is None else str(storage.GetFileName() or "")
    is_flat = pixels is not None and 1 in pixels.GetDimensions()
    is_dicom = bool(volume.GetAttribute(_FROM_DICOM))
    return not (name.lower().endswith(PICTURE_SUFFIXES) or (is_flat and is_dicom))


def _image(shape: Any, affine: Affine, *, known: bool) -> Image:
    i, j, k = (int(size) for size in shape)
    return Image(np.broadcast_to(np.uint8(0), (1, i, j, k)), affine, spacing_known=known)
