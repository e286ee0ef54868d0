"""Volume nodes -> images: K-J-I arrays of VTK on one side, (C, I, J, K) on the other."""

from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from medseg.imaging.image import Image
from medseg.io.grey import grey_of
from medseg.mrml.grids import Node, ijk_to_world
from medseg.spec.errors import ImageError

_COLOURS = 4  # numbers a pixel of a picture at most: red, green, blue, transparency


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


def scan_view(node: Node, channels: int) -> NDArray[Any]:
    """As ``channel_view``; a picture in colours that are all the same is one channel for a model that takes one.

    Raises:
        ImageError: also if the colours differ.
    """
    view = channel_view(node)
    if channels > 1 or not 2 <= len(view) <= _COLOURS:
        return view
    return grey_of(np.moveaxis(view, 0, -1), f"volume {node.GetName()!r}")[None]


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
    columns, rows, slices = pixels.GetDimensions()
    flat = vtk_to_numpy(scalars)
    return flat.reshape(slices, rows, columns, scalars.GetNumberOfComponents()).transpose(3, 2, 1, 0)  # type: ignore[no-any-return]
