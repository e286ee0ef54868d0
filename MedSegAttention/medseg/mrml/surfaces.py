"""Closed surfaces one segment at a time, so that a window can breathe in between; the same that Slicer makes of all."""

from collections.abc import Iterator
from typing import Any

import vtk

from medseg.mrml.cuts import cut_segment, mask_labelmap
from medseg.mrml.grids import Node
from medseg.mrml.segmentations import BINARY_LABELMAP, CLOSED_SURFACE

_JOINT = "Joint smoothing"  # surfaces of neighbours are made together, so that they touch


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
    show_surfaces(segmentation)


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


def show_surfaces(segmentation: Node) -> None:
    """Draw the closed surfaces in 3D views."""
    segmentation.CreateDefaultDisplayNodes()
    display = segmentation.GetDisplayNode()
    display.SetPreferredDisplayRepresentationName3D(CLOSED_SURFACE)
    display.SetVisibility3D(True)


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
