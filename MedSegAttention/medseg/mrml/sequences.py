"""Sequences of volumes in, sequences of segmentations out, played by the same browser."""

from collections.abc import Sequence
from typing import Any

from medseg.imaging.image import Image
from medseg.mrml.grids import Node, ijk_to_parent, nodes_of, parent_to_world
from medseg.mrml.segmentations import add_segmentation, set_drawing_grid
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.errors import ImageError
from medseg.spec.manifest import LabelSpec


def sequence_of(scene: Node, volume_node: Node) -> Node:
    """The ``vtkMRMLSequenceNode`` whose current item a volume shows; None where it shows none."""
    found = (None if volume_node is None else browser.GetSequenceNode(volume_node) for browser in _browsers(scene))
    return next((sequence for sequence in found if sequence is not None), None)


def item_count(sequence: Node) -> int:
    """Number of time points."""
    return int(sequence.GetNumberOfDataNodes())


def volume_item(sequence: Node, number: int) -> Node:
    """The volume of a time point, counted from 0, in the sequence's own scene; None where there is none."""
    return sequence.GetNthDataNode(number) if 0 <= number < item_count(sequence) else None


def item_image(scene: Node, sequence: Node, number: int) -> Image:
    """Copy the volume of a time point, where the volume that shows the sequence lies in the world.

    Args:
        scene: the MRML scene: the transform of the volume that is seen counts for every time point.
        sequence: of volumes.
        number: of the time point, from 0.

    Raises:
        ImageError: if there is no such time point, it has no voxels, or what is seen hangs under a non-linear
            transform.
    """
    volume = volume_item(sequence, number)
    if volume is None:
        count = item_count(sequence)
        msg = f"sequence {sequence.GetName()!r} has {count} time points, got number {number + 1}; segment it again"
        raise ImageError(msg)
    image = image_from_volume_node(volume)
    shown = proxy_of(scene, sequence)
    return image if shown is None else Image(image.array, parent_to_world(shown) @ image.affine)


def proxy_of(scene: Node, sequence: Node) -> Node:
    """The node of the scene that shows the current item of a sequence; None without a browser."""
    shown = (browser.GetProxyNode(sequence) for browser in _browsers(scene))
    return next((each for each in shown if each is not None), None)


def add_output_sequence(scene: Node, sequence: Node) -> Node:
    """Add an empty sequence for segmentations, numbered like a sequence of volumes and played by the same browser.

    The segmentation that is seen hangs under the transform of the volume that is seen, has its grid as the one to draw
    on, and corrections made in it are kept when the browser goes on. Every time point holds a segmentation without
    segments until ``put_labels`` brings one: where there is none, a browser would show that of the time point before.

    Args:
        scene: the MRML scene.
        sequence: of volumes.

    Returns:
        The new ``vtkMRMLSequenceNode``.
    """
    import slicer

    name = scene.GenerateUniqueName(f"{sequence.GetName()} segmentation")
    output = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    output.SetIndexName(sequence.GetIndexName())
    output.SetIndexUnit(sequence.GetIndexUnit())
    output.SetIndexType(sequence.GetIndexType())
    empty = slicer.vtkMRMLSegmentationNode()
    for number in range(item_count(sequence)):
        output.SetDataNodeAtValue(empty, sequence.GetNthIndexValue(number))
    for browser in _browsers(scene):
        if browser.GetProxyNode(sequence) is not None:
            _play(scene, browser, output, browser.GetProxyNode(sequence))
            break
    return output


def remove_if_empty(scene: Node, output: Node) -> bool:
    """Remove a sequence of segmentations, and the node that shows it, where no time point holds a segment.

    Args:
        scene: the MRML scene.
        output: the sequence; None, or one of another scene: nothing happens.

    Returns:
        Whether it was removed.
    """
    if output is None or output.GetScene() is not scene:
        return False
    shown = proxy_of(scene, output)  # what is drawn there reaches the sequence when the browser goes on
    items = [output.GetNthDataNode(number) for number in range(item_count(output))]
    if any(each is not None and each.GetSegmentation().GetNumberOfSegments() for each in (shown, *items)):
        return False
    leaving = [output] if shown is None else [shown.GetDisplayNode(), shown, output]
    for browser in _browsers(scene):
        if browser.IsSynchronizedSequenceNodeID(output.GetID(), True):
            browser.RemoveSynchronizedSequenceNode(output.GetID())
    for node in leaving:
        if node is not None and node.GetScene() is scene:  # the browser may have taken what it showed with it
            scene.RemoveNode(node)
    return True


def put_item(scene: Node, output: Node, index_value: str, segmentation: Node) -> Node:
    """Copy a segmentation into a sequence, in the place of what stood at that time point.

    Args:
        scene: the MRML scene.
        output: the sequence of segmentations.
        index_value: of the time point, as ``sequence.GetNthIndexValue`` says it.
        segmentation: of any scene; may be removed afterwards.

    Returns:
        The copy, in the sequence's own scene.
    """
    item = output.SetDataNodeAtValue(segmentation, index_value)
    show_current(scene, output)
    return item


def show_current(scene: Node, output: Node) -> Node:
    """Let the node that shows a sequence follow a change of its items.

    Returns:
        That node; None where no browser shows the sequence.
    """
    for browser in _browsers(scene):
        if browser.IsSynchronizedSequenceNodeID(output.GetID(), True):
            browser.Modified()  # Slicer's sequence logic shows the current items anew
    return proxy_of(scene, output)


def put_labels(
    scene: Node, output: Node, sequence: Node, number: int, labels: Image, specs: Sequence[LabelSpec]
) -> Node:
    """Put labels into a sequence as the segmentation of a time point, as ``put_item`` does.

    Args:
        scene: the MRML scene.
        output: the sequence of segmentations.
        sequence: of volumes.
        number: of the time point, from 0.
        labels: ``(1, I, J, K)`` on the grid of the volume of that time point; where its own affine says is ignored.
        specs: the segments.

    Returns:
        The segmentation, in the sequence's own scene: below no transform, as the volume it was made from.

    Raises:
        ImageError: if there is no such time point, or its volume has another grid.
    """
    import slicer

    volume = volume_item(sequence, number)
    if volume is None or volume.GetImageData().GetDimensions() != labels.shape:
        msg = (
            f"sequence {sequence.GetName()!r} has no volume of {labels.shape} voxels at time point {number + 1} any "
            "more; segment it again"
        )
        raise ImageError(msg)
    own = slicer.vtkMRMLScene()
    local = Image(labels.array, ijk_to_parent(volume))
    segmentation = add_segmentation(own, local, specs, name=f"{volume.GetName()} segmentation")
    set_drawing_grid(segmentation, volume)
    item = put_item(scene, output, sequence.GetNthIndexValue(number), segmentation)
    own.Clear(True)
    return item


def _play(scene: Node, browser: Node, output: Node, volume: Node) -> None:
    """Make the node that shows the output, before the browser makes one that knows nothing of the volume."""
    shown = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", output.GetName())
    shown.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    if volume.GetImageData() is not None:
        shown.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    shown.CreateDefaultDisplayNodes()
    changing = browser.StartModify()  # or Slicer's sequence logic would be quicker and make a node of its own
    browser.AddSynchronizedSequenceNodeID(output.GetID())
    browser.AddProxyNode(shown, output, False)
    browser.SetOverwriteProxyName(output, False)
    browser.SetSaveChanges(output, True)
    browser.EndModify(changing)


def _browsers(scene: Node) -> list[Any]:
    return nodes_of(scene, "vtkMRMLSequenceBrowserNode")
