"""Volume nodes <-> images: K-J-I arrays of VTK on one side, (C, I, J, K) on the other."""

from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from medseg.imaging.image import Image
from medseg.mrml.grids import Node, ijk_to_world, matrix_from_affine
from medseg.spec.errors import ImageError

# What Slicer can both show and save: its writers know no int8 and no 64-bit integers.
_STORABLE = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64)


def image_from_volume_node(node: Node) -> Image:
    """Copy a volume out of the scene.

    Args:
        node: scalar, labelmap or vector volume; the components of a vector become channels.

    Returns:
        ``(C, I, J, K)`` in the node's own voxel type, on its own grid in the world: linear parent transforms are part
        of the affine, nothing is resampled.

    Raises:
        ImageError: if the node has no voxels, they are no numbers, or a parent transform is not linear.
    """
    return Image(np.array(channel_view(node), order="K"), ijk_to_world(node))


def channel_view(node: Node) -> NDArray[Any]:
    """The voxels of a volume as ``(C, I, J, K)`` without a copy: what is written to it is written to the scene.

    Raises:
        ImageError: if the node has no voxels, or they are no numbers.
    """
    pixels = node.GetImageData()
    if pixels is None or pixels.GetPointData().GetScalars() is None or pixels.GetNumberOfPoints() == 0:
        msg = f"volume {node.GetName()!r} has no voxels; load it again or choose another volume"
        raise ImageError(msg)
    scalars = pixels.GetPointData().GetScalars()
    if scalars.GetDataType() == vtk.VTK_BIT:
        msg = f"volume {node.GetName()!r} is stored as bits, and voxels must be numbers; cast it to unsigned char"
        raise ImageError(msg)
    return _channels(pixels)


def volume_node_from_image(scene: Node, image: Image, name: str) -> Node:
    """Add an image to the scene: a scalar volume, or a vector volume when there are several channels.

    Args:
        scene: the MRML scene.
        image: ``(C, I, J, K)``. Types Slicer cannot save become the next larger one that holds every value.
        name: of the new node.

    Returns:
        The new node, below no transform: the image's affine is in the world already.

    Raises:
        ImageError: if the voxels are no real numbers.
    """
    array = _storable(image.array, name)
    kind = "vtkMRMLScalarVolumeNode" if image.channel_count == 1 else "vtkMRMLVectorVolumeNode"
    pixels = vtk.vtkImageData()
    pixels.SetDimensions(*image.shape)
    pixels.AllocateScalars(get_vtk_array_type(array.dtype), image.channel_count)
    _channels(pixels)[...] = array
    node = scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name))
    changing = node.StartModify()
    node.SetIJKToRASMatrix(matrix_from_affine(image.affine))
    node.SetAndObserveImageData(pixels)
    node.EndModify(changing)
    node.CreateDefaultDisplayNodes()
    return node


def _channels(pixels: vtk.vtkImageData) -> NDArray[Any]:
    """The voxels as ``(C, I, J, K)``: a view, so that writing to it writes to VTK's memory."""
    scalars = pixels.GetPointData().GetScalars()
    columns, rows, slices = pixels.GetDimensions()
    flat = vtk_to_numpy(scalars)
    return flat.reshape(slices, rows, columns, scalars.GetNumberOfComponents()).transpose(3, 2, 1, 0)  # type: ignore[no-any-return]


def _storable(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.dtype in _STORABLE:
        return array
    if array.dtype.kind not in "biuf":
        msg = f"volume {name!r}: voxels must be real numbers, got {array.dtype}; take its magnitude first"
        raise ImageError(msg)
    if array.dtype.kind == "f":
        return array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    lowest, highest = int(array.min(initial=0)), int(array.max(initial=0))
    fitting = [kind for kind in _STORABLE[:5] if np.iinfo(kind).min <= lowest and highest <= np.iinfo(kind).max]
    return array.astype(fitting[0] if fitting else np.float64)
