"""Where a node lies in the world: its own matrix, and the linear transforms it hangs under."""

from typing import Any, TypeAlias

import numpy as np
import vtk

from medseg.imaging.image import Affine
from medseg.spec.errors import ImageError

Node: TypeAlias = Any  # a vtkMRML...Node: the classes exist only inside Slicer, so they have no types here


def nodes_of(scene: Node, kind: str) -> list[Node]:
    """The nodes of a class, and of those derived from it, in the order of the scene."""
    return [scene.GetNthNodeByClass(number, kind) for number in range(scene.GetNumberOfNodesByClass(kind))]


def ijk_to_world(volume_node: Node) -> Affine:
    """Voxel (i, j, k, 1) -> RAS mm of the world, parent transforms included.

    Raises:
        ImageError: if a parent transform is not linear.
    """
    return parent_to_world(volume_node) @ ijk_to_parent(volume_node)


def ijk_to_parent(volume_node: Node) -> Affine:
    """Voxel (i, j, k, 1) -> RAS mm below the parent transform: the matrix the volume itself carries."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return affine_from_matrix(matrix)


def parent_to_world(node: Node) -> Affine:
    """What the transforms above a node do to it, as one matrix in RAS mm; identity where there is none.

    Raises:
        ImageError: if they are not linear: a grid of voxels would no longer be a grid.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        msg = (
            f"{node.GetName()!r} lies under the non-linear transform {parent.GetName()!r}, and a network needs a "
            "straight grid; harden the transform on the volume in the Transforms module, or take it off"
        )
        raise ImageError(msg)
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return affine_from_matrix(matrix)


def world_to_parent(node: Node) -> Affine:
    """The way back: from the world to below the transforms a node hangs under, RAS mm.

    Raises:
        ImageError: if they are not linear.
    """
    back: Affine = np.linalg.inv(parent_to_world(node)).astype(np.float64)
    return back


def affine_from_matrix(matrix: vtk.vtkMatrix4x4) -> Affine:
    """Copy a VTK matrix into an array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def matrix_from_affine(affine: Affine) -> vtk.vtkMatrix4x4:
    """Copy an array into a VTK matrix."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(affine[row, column]))
    return matrix
