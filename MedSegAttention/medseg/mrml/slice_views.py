"""What lies behind the segments in the slice views, and where those views and the cameras look."""

import numpy as np

from medseg.imaging.geometry import voxel_corners
from medseg.imaging.image import Affine, Image
from medseg.mrml.grids import Node, affine_from_matrix, matrix_from_affine, nodes_of
from medseg.mrml.measured_grid import volume_grid

Point = tuple[float, float, float]  # RAS mm of the world


def show_behind(scene: Node, volume: Node) -> bool:
    """Show a volume in all slice views; those that showed another one are fitted to it, and nothing lies over it.

    Args:
        scene: the MRML scene.
        volume: becomes the background.

    Returns:
        Whether any view showed something else.

    Raises:
        ImageError: if the volume hangs under a non-linear transform; it is shown nevertheless.
    """
    changed = set()
    for view in nodes_of(scene, "vtkMRMLSliceCompositeNode"):
        if view.GetBackgroundVolumeID() == volume.GetID():
            continue
        changed.add(view.GetLayoutName())
        changing = view.StartModify()
        view.SetBackgroundVolumeID(volume.GetID())
        view.SetForegroundVolumeID(None)  # they belong to what was there before
        view.SetLabelVolumeID(None)
        view.EndModify(changing)
    grid = volume_grid(volume)
    for view in nodes_of(scene, "vtkMRMLSliceNode"):
        if grid is not None and view.GetLayoutName() in changed:
            fit_view(view, grid)
    return bool(changed)


def fit_view(view: Node, grid: Image) -> None:
    """Centre a slice view on a grid, and zoom so that all of it is seen; its plane stays turned as it is."""
    changing = view.StartModify()
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
    view.EndModify(changing)


def aim_cameras(scene: Node, low: Point, high: Point) -> None:
    """Let every 3D view look at a box, from the side it looks from now, so that all of the box is seen.

    Args:
        scene: the MRML scene.
        low: the corner with the smallest R, A and S.
        high: the opposite corner.
    """
    middle, radius = np.add(low, high) / 2, float(np.linalg.norm(np.subtract(high, low))) / 2
    for camera in nodes_of(scene, "vtkMRMLCameraNode"):
        side = np.subtract(camera.GetPosition(), camera.GetFocalPoint())
        length = float(np.linalg.norm(side))
        if length == 0 or radius == 0:
            continue
        distance = radius / np.sin(np.radians(camera.GetViewAngle() / 2))
        camera.SetFocalPoint(*map(float, middle))
        camera.SetPosition(*map(float, middle + side / length * distance))
        camera.ResetClippingRange()
