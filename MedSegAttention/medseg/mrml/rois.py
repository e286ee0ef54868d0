"""Markups ROIs: their box in the world, put onto whole voxels of a volume, or around it."""

import itertools

import numpy as np
from numpy.typing import NDArray

from medseg.mrml.grids import Node, affine_from_matrix, ijk_to_world, matrix_from_affine
from medseg.spec.errors import ImageError, JobError
from medseg.spec.locating import PlacedBox

VoxelBox = tuple[int, int, int, int, int, int]  # i, i stop, j, j stop, k, k stop: the stops are excluded
Bounds = tuple[float, float, float, float, float, float]  # R-, R+, A-, A+, S-, S+ in RAS mm of the world


def roi_bounds(roi_node: Node) -> Bounds:
    """The box around a ROI, along the axes of the body; a turned ROI lies inside it.

    Raises:
        JobError: if the ROI has no size: it was not drawn to the end.
    """
    bounds = [0.0] * 6
    roi_node.GetRASBounds(bounds)
    if not all(low < high for low, high in zip(bounds[::2], bounds[1::2], strict=True)):
        msg = f"the region {roi_node.GetName()!r} has no size; draw it in a view, or fit it to the volume"
        raise JobError(msg)
    right, left, back, front, low, high = (float(edge) for edge in bounds)
    return right, left, back, front, low, high


def roi_voxels(roi_node: Node, volume_node: Node) -> VoxelBox:
    """The whole voxels of a volume that a ROI touches, a box along the volume's own axes.

    A voxel that the ROI touches by less than a thousandth of its size is left out, and so is all beyond the volume.

    Returns:
        First voxel and stop, which is excluded, along i, j and k.

    Raises:
        JobError: if the ROI has no size, or lies beside the volume.
        ImageError: if the volume hangs under a non-linear transform, or has no voxels.
    """
    roi_bounds(roi_node)
    to_voxel = np.linalg.inv(ijk_to_world(volume_node))
    half = np.array(roi_node.GetSize()) / 2
    corners = np.array([(*(np.array(signs) * half), 1.0) for signs in itertools.product((-1, 1), repeat=3)])
    # Through the axes of the ROI, which a transform may have turned.
    spots = (corners @ affine_from_matrix(roi_node.GetObjectToWorldMatrix()).T @ to_voxel.T)[:, :3]
    # Voxel n reaches from n - 0.5 to n + 0.5.
    low = np.maximum(np.floor(spots.min(axis=0) + 0.5 + 1e-3), 0)
    stop = np.minimum(np.ceil(spots.max(axis=0) + 0.5 - 1e-3), _shape(volume_node))
    if (low >= stop).any():
        msg = f"the region {roi_node.GetName()!r} lies beside the volume {volume_node.GetName()!r}; move it onto it"
        raise JobError(msg)
    i, i_stop, j, j_stop, k, k_stop = (int(edge) for pair in zip(low, stop, strict=True) for edge in pair)
    return i, i_stop, j, j_stop, k, k_stop


def snap_roi(roi_node: Node, volume_node: Node) -> Bounds:
    """Grow a ROI until it holds whole voxels of a volume and no part of one, and keep it inside the volume.

    A voxel that the ROI touches by more than a thousandth of its size stays. The ROI becomes a box along the volume's
    own axes, so that what is drawn is what is segmented.

    Returns:
        ``roi_bounds`` of what it is now.

    Raises:
        JobError: if the ROI has no size, or lies beside the volume.
        ImageError: if the volume hangs under a non-linear transform, or has no voxels.
    """
    box = np.array(roi_voxels(roi_node, volume_node), dtype=np.float64)
    _set_box(roi_node, volume_node, box[::2] - 0.5, box[1::2] - 0.5)
    return roi_bounds(roi_node)


def fit_roi(roi_node: Node, volume_node: Node) -> Bounds:
    """Put a ROI around a whole volume, along the volume's own axes.

    Returns:
        ``roi_bounds`` of what it is now.

    Raises:
        ImageError: if the volume hangs under a non-linear transform, or has no voxels.
    """
    shape = _shape(volume_node)
    _set_box(roi_node, volume_node, np.full(3, -0.5), shape - 0.5)
    return roi_bounds(roi_node)


def add_box(scene: Node, box: PlacedBox, transform_id: str | None = None) -> Node:
    """Show a box as a ROI that cannot be moved: it says where something was, and asks for nothing.

    Args:
        scene: the MRML scene.
        box: in RAS mm below the transform.
        transform_id: of the transform that it hangs under.
    """
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", scene.GenerateUniqueName(box.name))
    changing = node.StartModify()
    to_node = np.eye(4)
    to_node[:3, :3] = np.transpose([box.axis_i, box.axis_j, box.axis_k])
    to_node[:3, 3] = box.centre_mm
    node.SetAndObserveTransformNodeID(transform_id)
    node.SetAndObserveObjectToNodeMatrix(matrix_from_affine(to_node))
    node.SetSize(*box.size_mm)
    node.SetLocked(True)
    node.EndModify(changing)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display is not None:
        display.SetHandlesInteractive(False)
        display.SetFillVisibility(False)
    return node


def _shape(volume_node: Node) -> NDArray[np.float64]:
    pixels = volume_node.GetImageData()
    if pixels is None or 0 in pixels.GetDimensions():
        msg = f"volume {volume_node.GetName()!r} has no voxels; load it again or choose another volume"
        raise ImageError(msg)
    return np.array(pixels.GetDimensions(), dtype=np.float64)


def _set_box(roi_node: Node, volume_node: Node, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    """Make a ROI the box between two corners in voxels of a volume, whatever transform the ROI hangs under."""
    affine = ijk_to_world(volume_node)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / spacing
    if np.linalg.det(axes) < 0:  # a ROI is right-handed; the box is the same
        axes = axes * np.array([1, 1, -1])
    centre = (affine @ [*((low + high) / 2), 1.0])[:3]
    changing = roi_node.StartModify()
    roi_node.SetAndObserveTransformNodeID(None)  # the box is known in the world, and stays there
    to_node = np.eye(4)
    to_node[:3, :3], to_node[:3, 3] = axes, centre
    roi_node.SetAndObserveObjectToNodeMatrix(matrix_from_affine(to_node))
    roi_node.SetSize(*((high - low) * spacing).tolist())
    roi_node.EndModify(changing)
