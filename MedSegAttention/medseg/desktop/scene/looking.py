"""A result is looked at on the volume it was drawn on: never over another patient's image, nor below other results."""

from collections.abc import Collection

import numpy as np

from medseg.desktop.scene.results import newest_result, read_provenance
from medseg.desktop.state.texts import _
from medseg.imaging.geometry import voxel_corners
from medseg.mrml.cuts import layer_affine, value_box
from medseg.mrml.flat_view import show_flat
from medseg.mrml.grids import Node, nodes_of, parent_to_world
from medseg.mrml.segmentations import BINARY_LABELMAP, own_volume, voxels
from medseg.mrml.slice_views import Point, aim_cameras, show_behind

_BACKGROUND = "vtkMRMLSliceCompositeNode"


def whose(segmentation: Node, chosen: Collection[Node]) -> str:
    """A sentence about the volume that a segmentation belongs to; empty where nothing is known of one.

    Args:
        segmentation: the node; None: the sentence is empty.
        chosen: the volumes that the next run is about.
    """
    volume = None if segmentation is None else own_volume(segmentation)
    if volume is None:
        gone = segmentation is not None and bool(read_provenance(segmentation))
        return _("The volume it was drawn on is no longer in the scene.") if gone else ""
    if volume in chosen or not any(chosen):
        return _("On {volume}").format(volume=volume.GetName())
    return _("On {volume}, not on the volume chosen above").format(volume=volume.GetName())


def look_at(scene: Node, segmentation: Node) -> None:
    """Show a segmentation on its own volume, and hide what belongs to other volumes and all other results.

    Of a segmentation that knows no volume only the eye is opened: what it belongs to is for the user to say.

    Raises:
        ImageError: if its volume hangs under a non-linear transform; all is shown nevertheless.
    """
    segmentation.CreateDefaultDisplayNodes()
    segmentation.GetDisplayNode().SetVisibility(True)
    volume = own_volume(segmentation)
    if volume is None:
        return
    for other in nodes_of(scene, "vtkMRMLSegmentationNode"):
        if other is not segmentation and (read_provenance(other) or own_volume(other) not in (None, volume)):
            _hide(other)
    show_behind(scene, volume)


def look_at_volume(scene: Node, volume: Node, others: Collection[Node] = ()) -> Node:
    """Show a volume that was chosen, and hide the segmentations of those that were not.

    Args:
        scene: the MRML scene.
        volume: becomes the background of all slice views.
        others: chosen with it, for other channels.

    Returns:
        The newest result on one of the volumes; None where there is none.

    Raises:
        ImageError: if the volume hangs under a non-linear transform; it is shown nevertheless.
    """
    chosen = (volume, *others)
    for segmentation in nodes_of(scene, "vtkMRMLSegmentationNode"):
        if own_volume(segmentation) not in (None, *chosen):
            _hide(segmentation)
    show_behind(scene, volume)
    return newest_result(scene, on=chosen)


def is_over_another(scene: Node, segmentation: Node) -> bool:
    """Whether the slice views show images, and none of them is that of the segmentation."""
    volume = own_volume(segmentation)
    shown = {view.GetBackgroundVolumeID() for view in nodes_of(scene, _BACKGROUND)} - {None, ""}
    return volume is not None and bool(shown) and volume.GetID() not in shown


def centre_on(scene: Node, segmentation: Node) -> None:
    """Move all slice views to the middle of a segmentation, and let the cameras look at all of it.

    A single slice is fitted to its view instead. Nothing moves where the segmentation has no voxels.

    Raises:
        ImageError: if it hangs under a non-linear transform.
    """
    volume = own_volume(segmentation)
    if volume is not None and show_flat(scene, volume) is not None:
        return
    box = _box(segmentation)
    if box is None:
        return
    low, high = box
    for view in nodes_of(scene, "vtkMRMLSliceNode"):
        view.JumpSliceByCentering(*((a + b) / 2 for a, b in zip(low, high, strict=True)))
    aim_cameras(scene, low, high)


def _hide(segmentation: Node) -> None:
    display = segmentation.GetDisplayNode()
    if display is not None:
        display.SetVisibility(False)


def _box(segmentation: Node) -> tuple[Point, Point] | None:
    """The box around all segments, RAS mm of the world; None where there are no voxels."""
    inside = segmentation.GetSegmentation()
    layers = [inside.GetSegment(each).GetRepresentation(BINARY_LABELMAP) for each in inside.GetSegmentIDs()]
    corners = []
    for layer in dict.fromkeys(layers):  # a hundred segments may share one, which is looked through once
        found = None if layer is None or layer.IsEmpty() else value_box(voxels(layer), None)
        if found is None:
            continue
        start = np.array([[*(part.start for part in found), 0]])
        shape = found[0].stop - found[0].start, found[1].stop - found[1].start, found[2].stop - found[2].start
        here = voxel_corners(shape) + start
        corners.append((here @ (parent_to_world(segmentation) @ layer_affine(layer)).T)[:, :3])
    if not corners:
        return None
    low, high = np.concatenate(corners).min(axis=0), np.concatenate(corners).max(axis=0)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))
