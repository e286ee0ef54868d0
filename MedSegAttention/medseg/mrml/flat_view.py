"""A single slice is seen in one plane alone: a slice view is turned to it, and shows all of it."""

import numpy as np

from medseg.mrml.grids import Node, nodes_of
from medseg.mrml.measured_grid import volume_grid
from medseg.mrml.slice_views import fit_view

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
    fit_view(view, grid)
    view.EndModify(changing)
    for composite in nodes_of(scene, "vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() == view.GetLayoutName():
            composite.SetBackgroundVolumeID(volume.GetID())
    return view
