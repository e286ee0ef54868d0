"""A result goes on in Slicer's Segment Editor, with the volume it was drawn on."""

from medseg.desktop.scene.looking import own_volume
from medseg.mrml.grids import Node


def edit_in_segment_editor(segmentation: Node) -> None:
    """Open Slicer's Segment Editor on a segmentation and, where it is in the scene, its own volume.

    Args:
        segmentation: the node.

    Raises:
        RuntimeError: if Slicer has no main window or no Segment Editor.
    """
    import slicer

    # Opened first: when the module is entered it chooses a segmentation and a volume by itself.
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    editor.setSegmentationNode(segmentation)
    volume = own_volume(segmentation)
    if volume is not None:  # what the editor chose by itself is better than nothing
        editor.setSourceVolumeNode(volume)
