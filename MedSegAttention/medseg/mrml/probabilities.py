"""Probabilities, and where the network doubts, as volumes beside the scan."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.mrml.grids import Node, matrix_from_affine, world_to_parent
from medseg.mrml.placing import place_beside
from medseg.mrml.segmentations import voxels
from medseg.spec.manifest import LabelSpec

_SEGMENTATION, _SEGMENT = "medsegSegmentation", "MedSegAttention.Segment"  # node reference, attribute: id of a segment
_TINY = np.float32(1e-12)  # 0 log 0 is 0
_SLAB = 4  # slices that are looked at together: what is computed with stays in the processor's cache


def add_probability_volumes(
    scene: Node, probabilities: Image, specs: Sequence[LabelSpec], volume_node: Node
) -> list[Node]:
    """Add a volume for each label, shown in no view until somebody chooses it.

    Args:
        scene: the MRML scene.
        probabilities: ``(L, I, J, K)`` 0..1 in the world, background first.
        specs: labels 1..L-1.
        volume_node: what was segmented: the new volumes hang under its transform and lie in its study; None where it
            is no longer in the scene.

    Returns:
        One node a label, in the order of the specs.

    Raises:
        ValueError: if there is no channel for a label.
    """
    if probabilities.channel_count <= max((spec.value for spec in specs), default=0):
        msg = f"{probabilities.channel_count} channels hold no background and {len(specs)} labels"
        raise ValueError(msg)
    nodes = []
    for spec in specs:
        layer = Image(probabilities.array[spec.value : spec.value + 1], probabilities.affine)
        nodes.append(_add_map(scene, layer, f"{_stem(volume_node)}probability of {spec.name}", volume_node))
    return nodes


def link_probability(node: Node, segmentation: Node, segment_id: str) -> None:
    """Remember whose probability a volume is; saved with the scene."""
    node.SetNodeReferenceID(_SEGMENTATION, segmentation.GetID())
    node.SetAttribute(_SEGMENT, segment_id)


def linked_probabilities(scene: Node, segmentation: Node) -> dict[str, Node]:
    """The probability volumes of a segmentation's segments by their ids; the newest where there are several."""
    kind = "vtkMRMLScalarVolumeNode"
    found: dict[str, Node] = {}
    for number in range(scene.GetNumberOfNodesByClass(kind)):
        node = scene.GetNthNodeByClass(number, kind)
        segment_id = node.GetAttribute(_SEGMENT)
        is_ours = node.GetNodeReferenceID(_SEGMENTATION) == segmentation.GetID()
        if is_ours and segment_id and segmentation.GetSegmentation().GetSegment(segment_id) is not None:
            found[segment_id] = node
    return found


def add_entropy_volume(scene: Node, probabilities: Image, volume_node: Node) -> Node:
    """Add where the network doubts: Shannon's entropy of each voxel, normalised: 0 certain, 1 all labels alike.

    Args:
        scene: the MRML scene.
        probabilities: ``(L, I, J, K)`` 0..1 in the world, background included.
        volume_node: what was segmented; None where it is no longer in the scene.
    """
    doubt = Image(normalised_entropy(probabilities.array)[None], probabilities.affine)
    return _add_map(scene, doubt, f"{_stem(volume_node)}uncertainty (entropy, 0 to 1)", volume_node)


def normalised_entropy(probabilities: NDArray[Any]) -> NDArray[np.float32]:
    """Entropy over the labels divided by the logarithm of their number: ``(L, I, J, K)`` -> ``(I, J, K)``, 0..1."""
    count, *shape = probabilities.shape
    total = np.zeros(shape, dtype=np.float32, order="F")
    most = np.float32(np.log(max(count, 2)))

    def fill(start: int) -> None:
        part = total[..., start : start + _SLAB]
        for values in probabilities[..., start : start + _SLAB]:
            part -= values * np.log(np.maximum(values, _TINY))
        np.clip(part / most, 0, 1, out=part)

    with ThreadPoolExecutor() as pool:  # NumPy lets other threads run while it computes
        list(pool.map(fill, range(0, shape[2], _SLAB)))
    return total


def _add_map(scene: Node, image: Image, name: str, volume_node: Node) -> Node:
    """Add a volume of numbers 0..1 beside the scan, with all of 0..1 visible when it is chosen."""
    local = image.affine if volume_node is None else world_to_parent(volume_node) @ image.affine
    pixels = vtk.vtkImageData()
    pixels.SetDimensions(*image.shape)
    pixels.AllocateScalars(vtk.VTK_FLOAT, 1)
    voxels(pixels)[...] = image.array[0]
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    changing = node.StartModify()
    node.SetIJKToRASMatrix(matrix_from_affine(local))
    _show_unit_range(node)  # before there are voxels: nothing is counted to choose a window
    node.SetAndObserveImageData(pixels)
    if volume_node is not None:
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    node.EndModify(changing)
    if volume_node is not None:
        place_beside(scene, node, volume_node)
    return node


def _show_unit_range(node: Node) -> None:
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, 1.0)


def _stem(volume_node: Node) -> str:
    return "" if volume_node is None else f"{volume_node.GetName()} "
