"""A single slice is seen in one plane alone: a slice view is turned to it, and shows all of it."""

import numpy as np

from medseg.imaging.geometry import voxel_corners
from medseg.imaging.image import Affine, Image
from medseg.mrml.grids import Node, affine_from_matrix, matrix_from_affine, nodes_of
from medseg.mrml.measured_grid import volume_grid

_PLANES = ("Sagittal", "Coronal", "Axial")  # whose normals lie along R, A and S
_MAIN = "Red"  # is turned where no view shows the plane


def show_flat(scene: Node, volume: Node) -> Node:
    """Show a volume of one voxel along an axis in the view of its plane, at its place, fitted to its size.

    Args:
        scene: the MRML scene.
        volume: any; nothing happens to the views where it is thicker.

    Returns:
        The ``vtkMRMLSliceNode``; None where nothing happened.

    Raises:
        ImageError: if the volume hangs under a non-linear transform.
    """
    grid = volume_grid(volume)
    axis = None if grid is None else grid.flat_axis
    views = nodes_of(scene, "vtkMRMLSliceNode")
    if grid is None or axis is None or not views:
        return None
    others = np.delete(grid.affine[:3, :3], axis, axis=1).T
    plane = _PLANES[int(np.argmax(np.abs(np.cross(*others))))]
    main = next((view for view in views if view.GetLayoutName() == _MAIN), views[0])
    view = next((view for view in views if view.GetOrientation() == plane), main)
    changing = view.StartModify()
    view.SetOrientation(plane)
    view.RotateToVolumePlane(volume)
    _fit(view, grid)
    view.EndModify(changing)
    for composite in nodes_of(scene, "vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() == view.GetLayoutName():
            composite.SetBackgroundVolumeID(volume.GetID())
    return view


def _fit(view: Node, grid: Image) -> None:
    """Centre the view on a grid, and zoom so that all of it is seen."""
    corners = (voxel_corners(grid.shape) @ grid.affine.T)[:, :3]
    plane: Affine = affine_from_matrix(view.GetSliceToRAS())
    plane[:3, 3] = (corners.min(axis=0) + corners.max(axis=0)) / 2
    view.GetSliceToRAS().DeepCopy(matrix_from_affine(plane))
    view.SetXYZOrigin(0, 0, 0)
    width, height = view.GetDimensions()[:2]
    if width > 0 and height > 0:  # there is a window
        reach = corners @ plane[:3, :2]
        mm_per_pixel = float(((reach.max(axis=0) - reach.min(axis=0)) / (width, height)).max())
        view.SetFieldOfView(mm_per_pixel * width, mm_per_pixel * height, view.GetFieldOfView()[2])
    view.UpdateMatrices()
