"""What views show of a segmentation: closed surfaces, made one at a time; slices that go to it; a volume laid over."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import vtk

from medseg.mrml.cuts import Cut, cut_segment, mask_labelmap
from medseg.mrml.grids import Node, nodes_of, parent_to_world
from medseg.mrml.legends import hide_legend, show_legend
from medseg.mrml.segmentations import BINARY_LABELMAP, CLOSED_SURFACE

_JOINT = "Joint smoothing"  # surfaces of neighbours are made together, so that they touch
_OPACITY = 0.5  # of a volume laid over the scan

Point = tuple[float, float, float]  # RAS mm of the world


def surface_steps(segmentation: Node) -> Iterator[str]:
    """Make the closed surface of one segment a step, with the conversion settings of the node; then show all in 3D.

    Segments that have a surface keep it; empty ones get an empty surface, since Slicer takes what the first segment
    has for what all have. Where the settings ask for joint smoothing everything is made in the first step.

    Args:
        segmentation: gets the surfaces, and a display node where it has none.

    Yields:
        The id of each segment that was looked at.
    """
    ids = list(segmentation.GetSegmentation().GetSegmentIDs())
    if segmentation.GetSegmentation().GetConversionParameter(_JOINT) == "1":
        segmentation.CreateClosedSurfaceRepresentation()
    for segment_id in ids:
        make_surface(segmentation, segment_id, anew=False)
        yield segment_id
    segmentation.CreateDefaultDisplayNodes()
    display = segmentation.GetDisplayNode()
    display.SetPreferredDisplayRepresentationName3D(CLOSED_SURFACE)
    display.SetVisibility3D(True)


def make_surface(segmentation: Node, segment_id: str, *, anew: bool = True) -> None:
    """Make the closed surface of one segment; nothing happens to the others, or where the segment is gone.

    Args:
        segmentation: the node.
        segment_id: which of its segments.
        anew: whether a surface that is there is made again.
    """
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    if segment is None or (segment.GetRepresentation(CLOSED_SURFACE) is not None and not anew):
        return
    segment.AddRepresentation(CLOSED_SURFACE, _surface(segmentation, segment_id))


def _surface(segmentation: Node, segment_id: str) -> Any:
    """The surface of one segment, by Slicer's own conversion in a segmentation of its own."""
    import slicer

    cut = cut_segment(segmentation, segment_id)
    if cut is None:
        return vtk.vtkPolyData()
    alone = slicer.vtkSegmentation()
    alone.SetSourceRepresentationName(BINARY_LABELMAP)
    alone.CopyConversionParameters(segmentation.GetSegmentation())
    segment = slicer.vtkSegment()
    segment.SetLabelValue(1)
    segment.AddRepresentation(BINARY_LABELMAP, mask_labelmap(cut.mask, cut.affine))
    alone.AddSegment(segment, segment_id)
    alone.CreateRepresentation(CLOSED_SURFACE, True)
    return segment.GetRepresentation(CLOSED_SURFACE)


def jump_to_segment(scene: Node, segmentation: Node, segment_id: str) -> Point | None:
    """Centre every slice view on a segment and put the crosshair there.

    Returns:
        Where that is: the voxel nearest to the centre of mass, inside the segment also where it is hollow or bent.
        None for a segment without voxels: nothing moves.

    Raises:
        ImageError: if there is no such segment, or the segmentation hangs under a non-linear transform.
    """
    to_world = parent_to_world(segmentation)
    cut = cut_segment(segmentation, segment_id)
    if cut is None:
        return None
    right, front, high = (to_world @ cut.affine @ [*_middle(cut), 1])[:3]
    centre = float(right), float(front), float(high)
    for view in nodes_of(scene, "vtkMRMLSliceNode"):
        view.JumpSliceByCentering(*centre)
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*centre)
    return centre


def _middle(cut: Cut) -> tuple[int, int, int]:
    """The voxel of a mask nearest to its centre of mass, which mostly is one."""
    others = ((1, 2), (0, 2), (0, 1))
    weights = [np.count_nonzero(cut.mask, axis=axes) for axes in others]
    centre = [float(weight @ np.arange(weight.size) / weight.sum()) for weight in weights]
    i, j, k = (round(value) for value in centre)
    if not cut.mask[i, j, k]:
        spots = np.argwhere(cut.mask).astype(np.float32)
        steps_mm = np.linalg.norm(cut.affine[:3, :3], axis=0)
        far = (((spots - centre) * steps_mm) ** 2).sum(axis=1)
        i, j, k = (int(value) for value in spots[np.argmin(far)])
    return i, j, k


class Foreground:
    """Remembers, for each slice view, what lay over the scan before."""

    def __init__(self) -> None:
        self._before: list[tuple[Node, str | None, float]] = []
        self._volume: Node = None
        self._volume_id = ""

    def show(self, scene: Node, volume: Node, title: str) -> None:
        """Lay a volume over the scan, half transparent, with a legend of its colours."""
        self.take_off()
        self._volume, self._volume_id = volume, volume.GetID()
        show_legend(volume, title)
        for view in nodes_of(scene, "vtkMRMLSliceCompositeNode"):
            self._before.append((view, view.GetForegroundVolumeID(), view.GetForegroundOpacity()))
            view.SetForegroundVolumeID(self._volume_id)
            view.SetForegroundOpacity(_OPACITY)

    def take_off(self) -> None:
        """Put back what was there before, in the views that still show the volume."""
        for view, volume_id, opacity in self._before:
            if view.GetForegroundVolumeID() == self._volume_id:
                gone = volume_id is not None and (
                    view.GetScene() is None or view.GetScene().GetNodeByID(volume_id) is None
                )
                view.SetForegroundVolumeID(None if gone else volume_id)
                view.SetForegroundOpacity(opacity)
        self._before = []
        if self._volume is not None and self._volume.GetScene() is not None:
            hide_legend(self._volume)
        self._volume = None
