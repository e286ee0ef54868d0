"""Probabilities and uncertainty of a network, as volumes beside the scan."""

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray

from medseg.imaging.image import Affine, Shape
from medseg.mrml.cuts import Cut, cut_segment
from medseg.mrml.grids import Node, matrix_from_affine, nodes_of, world_to_parent
from medseg.mrml.legends import perceptual_colours
from medseg.mrml.placing import place_beside
from medseg.mrml.segmentations import voxels
from medseg.spec.manifest import LabelSpec

_SEGMENTATION, _SEGMENT = "medsegSegmentation", "MedSegAttention.Segment"  # node reference, attribute: id of a segment
_DRAWN = "MedSegAttention.Drawn"  # attribute: what a program left of the segment, see mask_digest
_THRESHOLD = "MedSegAttention.Threshold"
_MAP = "MedSegAttention.Map"  # attribute of every volume that is made here
_TINY = np.float32(1e-12)  # 0 log 0 is 0
_COPIED = 32  # slices that are copied before the window reacts again: of 512 x 512 voxels some hundredths of a second
_SLAB = 2  # slices that are looked at together: what is computed with stays in the processor's cache


def empty_volume(shape: Shape) -> Any:
    """A ``vtkImageData`` of float32 whose voxels are not set yet."""
    pixels = vtk.vtkImageData()
    pixels.SetDimensions(*shape)
    pixels.AllocateScalars(vtk.VTK_FLOAT, 1)
    return pixels


def fill_steps(values: NDArray[Any], pixels: Any) -> Iterator[int]:
    """Copy ``(I, J, K)`` into an ``empty_volume`` some slices at a time, so that the window stays responsive.

    Yields:
        How many slices are done.
    """
    array = voxels(pixels)
    for start in range(0, array.shape[2], _COPIED):
        part = (..., slice(start, start + _COPIED))
        array[part] = values[part]
        yield min(start + _COPIED, array.shape[2])


def show_probability(scene: Node, pixels: Any, affine: Affine, spec: LabelSpec, volume_node: Node) -> Node:
    """Add a filled volume as the probability of a label, shown in no view until it is chosen.

    Args:
        scene: the MRML scene.
        pixels: of ``fill_steps``.
        affine: voxel -> RAS mm of the world.
        spec: the label.
        volume_node: what was segmented: the new volume hangs under its transform and lies in its study; None where it
            is no longer in the scene.
    """
    return _add_volume(scene, pixels, affine, f"{_stem(volume_node)}probability of {spec.name}", volume_node)


def is_probability_volume(node: Node) -> bool:
    """Whether a volume holds probabilities or entropy that a network brought, and is no scan."""
    return node.GetAttribute(_MAP) is not None


def link_probability(node: Node, segmentation: Node, segment_id: str, drawn: str | None = None) -> None:
    """Remember whose probability a volume is; saved with the scene.

    Args:
        node: the volume.
        segmentation: holds the segment.
        segment_id: of the segment.
        drawn: what the network left of it, by ``mask_digest``; None: what is there now.
    """
    node.SetNodeReferenceID(_SEGMENTATION, segmentation.GetID())
    node.SetAttribute(_SEGMENT, segment_id)
    note_drawn(node, mask_digest(cut_segment(segmentation, segment_id)) if drawn is None else drawn)


def link_entropy(node: Node, segmentation: Node) -> None:
    """Remember whose uncertainty a volume shows; saved with the scene."""
    node.SetNodeReferenceID(_SEGMENTATION, segmentation.GetID())


def note_drawn(node: Node, drawn: str) -> None:
    """Write on a probability volume what a program left of its segment; a difference means an edit by hand."""
    node.SetAttribute(_DRAWN, drawn)


def noted_drawn(node: Node) -> str | None:
    """What ``note_drawn`` wrote; None where nothing was."""
    text = node.GetAttribute(_DRAWN)
    return None if text is None else str(text)


def note_threshold(node: Node, threshold: float | None) -> None:
    """Write on a probability volume from which value on its segment was drawn; None: as the network drew it."""
    node.SetAttribute(_THRESHOLD, None if threshold is None else f"{threshold:g}")


def noted_threshold(node: Node) -> float | None:
    """What ``note_threshold`` wrote; None where nothing was, or no number from 0 to 1."""
    try:
        value = float(node.GetAttribute(_THRESHOLD) or "nan")
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def mask_digest(cut: Cut | None) -> str:
    """A short text that differs where two segments differ: count of voxels, size of the box, checksum of its bits."""
    if cut is None:
        return "empty"
    bits = np.packbits(cut.mask.ravel(order="K")).tobytes()
    return f"{cut.voxel_count} {cut.mask.shape} {zlib.crc32(bits):08x}"


def linked_probabilities(scene: Node, segmentation: Node) -> dict[str, Node]:
    """The probability volumes of a segmentation's segments by their ids; the newest where there are several."""
    found: dict[str, Node] = {}
    for node in nodes_of(scene, "vtkMRMLScalarVolumeNode"):
        segment_id = node.GetAttribute(_SEGMENT)
        is_ours = node.GetNodeReferenceID(_SEGMENTATION) == segmentation.GetID()
        if is_ours and segment_id and segmentation.GetSegmentation().GetSegment(segment_id) is not None:
            found[segment_id] = node
    return found


def linked_entropy(scene: Node, segmentation: Node) -> Node:
    """The newest uncertainty volume of a segmentation; None where there is none."""
    found = None
    for node in nodes_of(scene, "vtkMRMLScalarVolumeNode"):
        if node.GetNodeReferenceID(_SEGMENTATION) == segmentation.GetID() and not node.GetAttribute(_SEGMENT):
            found = node
    return found


def show_entropy(scene: Node, pixels: Any, affine: Affine, volume_node: Node) -> Node:
    """Add a filled volume of entropy, as ``show_probability``: 0 certain, 1 all labels alike; its colours say so."""
    node = _add_volume(scene, pixels, affine, f"{_stem(volume_node)}uncertainty (entropy, 0 to 1)", volume_node)
    node.GetDisplayNode().SetAndObserveColorNodeID(perceptual_colours(scene).GetID())
    return node


def entropy_steps(probabilities: NDArray[Any], total: NDArray[np.float32], *, overlap: bool = False) -> Iterator[int]:
    """Compute the uncertainty, a few slices at a time, so that the window stays responsive.

    Shannon's entropy over the labels of each voxel divided by the logarithm of their number, 0..1. Of labels that may
    overlap each is a yes or no of its own: then the entropy in bits of the least certain of them.

    Args:
        probabilities: ``(L, I, J, K)``.
        total: ``(I, J, K)`` in Fortran order: gets the entropy.
        overlap: whether labels may overlap.

    Yields:
        How many slices are done.
    """
    count, slices = probabilities.shape[0], total.shape[2]
    most = np.float32(np.log(max(count, 2)))

    def fill(start: int) -> None:
        part = total[..., start : start + _SLAB]
        part[...] = 0
        for values in probabilities[..., start : start + _SLAB]:
            if overlap:
                no = 1 - values
                bits = -values * np.log2(np.maximum(values, _TINY)) - no * np.log2(np.maximum(no, _TINY))
                np.maximum(part, bits, out=part)
                continue
            part -= values * np.log(np.maximum(values, _TINY))
        np.clip(part if overlap else part / most, 0, 1, out=part)

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:  # NumPy lets other threads run while it computes
        for start in range(0, slices, stride := _SLAB * threads):
            list(pool.map(fill, range(start, min(start + stride, slices), _SLAB)))
            yield min(start + stride, slices)


def _add_volume(scene: Node, pixels: Any, affine: Affine, name: str, volume_node: Node) -> Node:
    """Add a volume of numbers 0..1 beside the scan, with all of 0..1 visible when it is chosen."""
    local = affine if volume_node is None else world_to_parent(volume_node) @ affine
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    changing = node.StartModify()
    node.SetAttribute(_MAP, "1")
    node.SetIJKToRASMatrix(matrix_from_affine(local))
    node.CreateDefaultDisplayNodes()  # before there are voxels: nothing is counted to choose a window
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0.0, 1.0)
    node.SetAndObserveImageData(pixels)
    if volume_node is not None:
        node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    node.EndModify(changing)
    place_beside(scene, node, volume_node)
    return node


def _stem(volume_node: Node) -> str:
    return "" if volume_node is None else f"{volume_node.GetName()} "
