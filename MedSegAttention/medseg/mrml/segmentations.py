"""Labelmaps <-> segmentation nodes: one shared labelmap for all segments, so that twenty appear as fast as one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from medseg.imaging.image import Affine, Image
from medseg.io.segnrrd import terminology_entry
from medseg.mrml.grids import Node, ijk_to_parent, ijk_to_world, matrix_from_affine, parent_to_world, world_to_parent
from medseg.spec.errors import ImageError
from medseg.spec.manifest import LabelSpec

BINARY_LABELMAP = "Binary labelmap"
CLOSED_SURFACE = "Closed surface"


def own_volume(segmentation: Node) -> Node:
    """The volume that a segmentation was drawn on; None where that is unknown, or no longer in the scene."""
    return segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())


def add_segmentation(
    scene: Node, labels: Image, specs: Sequence[LabelSpec], *, name: str, reference_node: Node = None
) -> Node:
    """Add one segmentation node, a segment per label, exactly on the labels' own grid.

    Args:
        scene: the MRML scene.
        labels: ``(N, I, J, K)`` whole numbers from 0 up, in the world's RAS mm; segments that overlap lie in several
            layers, each in one by its own number.
        specs: value, name, colour and codes of each segment. A label no voxel carries becomes an empty segment.
        name: of the new node.
        reference_node: the volume that was segmented. The result hangs under the same transform, so that both move
            together, and keeps the volume's grid as the one to draw and to export on.

    Returns:
        The new node; segment ids are ``Segment_<value>``, as in a .seg.nrrd file.

    Raises:
        ImageError: if the reference lies under a non-linear transform.
        ValueError: if the labels are not integers from 0 up.
    """
    local = np.eye(4) if reference_node is None else world_to_parent(reference_node)
    shared = shared_labelmaps(labels, specs, local)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    with modifying(node):
        if reference_node is not None:
            node.SetAndObserveTransformNodeID(reference_node.GetTransformNodeID())
            node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)
        for spec in specs:
            node.GetSegmentation().AddSegment(make_segment(shared[spec.value], spec), f"Segment_{spec.value}")
        node.CreateDefaultDisplayNodes()
    return node


def labels_from_segmentation(
    node: Node, reference_node: Node, segment_ids: Sequence[str] | None = None
) -> tuple[Image, tuple[str, ...]]:
    """Copy segments out of the scene as one labelmap on a volume's grid, nearest voxel.

    Args:
        node: the segmentation. One drawn as surfaces only gets a binary labelmap, as when Slicer shows it in slices.
        reference_node: the volume whose grid the result has.
        segment_ids: which segments, in this order; None: all.

    Returns:
        ``(1, I, J, K)`` labels in the world, value n for the n-th segment, and the segments' names.

    Raises:
        ImageError: if two segments overlap, a segment is missing, or a parent transform is not linear.
    """
    segmentation = node.GetSegmentation()
    ids = list(segmentation.GetSegmentIDs()) if segment_ids is None else list(segment_ids)
    names = tuple(existing_segment(node, segment_id).GetName() for segment_id in ids)
    if ids and not segmentation.ContainsRepresentation(BINARY_LABELMAP):
        node.CreateBinaryLabelmapRepresentation()
    layers: dict[Any, dict[int, int]] = {}  # segments share labelmaps: value in the labelmap -> number in the result
    for number, segment_id in enumerate(ids, start=1):
        segment = segmentation.GetSegment(segment_id)
        layer = segment.GetRepresentation(BINARY_LABELMAP)
        if layer is not None and not layer.IsEmpty():
            layers.setdefault(layer, {})[segment.GetLabelValue()] = number
    grid = _empty_grid(reference_node)
    change = vtk.vtkTransform()  # from below the segmentation's transform to below the volume's
    change.SetMatrix(matrix_from_affine(world_to_parent(reference_node) @ parent_to_world(node)))
    flat = np.zeros(reference_node.GetImageData().GetDimensions()[::-1], dtype=np.min_scalar_type(len(ids)))  # K-J-I
    for layer, numbers in layers.items():
        found = _numbered(_sample(layer, grid, change), numbers, flat.dtype)
        both = (flat != 0) & (found != 0)
        if both.any():
            here = tuple(np.argwhere(both)[0])
            one, other = names[int(flat[here]) - 1], names[int(found[here]) - 1]
            msg = f"segments {one!r} and {other!r} of {node.GetName()!r} overlap; choose one of them, or mend it"
            raise ImageError(msg)
        flat += found
    return Image(flat.transpose(2, 1, 0)[None], ijk_to_world(reference_node)), names


def shared_labelmaps(labels: Image, specs: Sequence[LabelSpec], world_to_parent: Affine) -> dict[int, Any]:
    """The labelmap of each segment by its value: one of a layer that all segments in it share, on the same voxels.

    Args:
        labels: ``(N, I, J, K)`` integers from 0 up, in the world.
        specs: the segments; one that is in no layer shares the first.
        world_to_parent: from the world to below the transform the segmentation hangs under.
    """
    if labels.array.dtype.kind not in "iub" or int(labels.array.min(initial=0)) < 0:
        msg = f"labels are (N, I, J, K) integers from 0 up, got {labels.array.shape} of type {labels.array.dtype}"
        raise ValueError(msg)
    layers = [_labelmap(Image(layer[None], labels.affine), world_to_parent) for layer in labels.array]
    holders = [set() if len(layers) == 1 else set(np.unique(layer).tolist()) for layer in labels.array]
    return {
        spec.value: next((layer for layer, held in zip(layers, holders, strict=True) if spec.value in held), layers[0])
        for spec in specs
    }


def _labelmap(labels: Image, world_to_parent: Affine) -> Any:
    import slicer

    # uint8 and int16 are what Slicer's segment editor itself draws in.
    kind = np.uint8 if int(labels.array.max(initial=0)) <= 255 else np.int16
    pixels = slicer.vtkOrientedImageData()
    pixels.SetDimensions(*labels.shape)
    pixels.AllocateScalars(get_vtk_array_type(kind), 1)
    voxels(pixels)[...] = labels.array[0]
    pixels.SetGeometryFromImageToWorldMatrix(matrix_from_affine(world_to_parent @ labels.affine))
    return pixels


def make_segment(shared: Any, spec: LabelSpec) -> Any:
    """A ``vtkSegment`` with name, colour and codes that owns one value of a shared labelmap."""
    import slicer

    segment = slicer.vtkSegment()
    segment.SetName(spec.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*(part / 255 for part in spec.color))
    segment.SetColorAutoGenerated(False)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology_entry(spec))
    segment.SetLabelValue(spec.value)
    segment.AddRepresentation(BINARY_LABELMAP, shared)
    return segment


def voxels(pixels: vtk.vtkImageData) -> NDArray[Any]:
    """The voxels of a one-component image as ``(I, J, K)``: a view of VTK's memory."""
    columns, rows, slices = pixels.GetDimensions()
    flat = vtk_to_numpy(pixels.GetPointData().GetScalars())
    return flat.reshape(slices, rows, columns).transpose(2, 1, 0)  # type: ignore[no-any-return]


def existing_segment(node: Node, segment_id: str) -> Any:
    """A segment by its id.

    Raises:
        ImageError: if there is none; the sentence lists those there are.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        known = ", ".join(node.GetSegmentation().GetSegmentIDs()) or "none"
        msg = f"segmentation {node.GetName()!r} has no segment {segment_id!r}; it has: {known}"
        raise ImageError(msg)
    return segment


def segment_names(node: Node) -> dict[str, str]:
    """What the segments are called, by their ids, in their order; one without a name is called by its id."""
    inside = node.GetSegmentation()
    return {each: str(inside.GetSegment(each).GetName() or each) for each in inside.GetSegmentIDs()}


def set_drawing_grid(node: Node, volume_node: Node) -> None:
    """Make a volume's own grid the one further segments are drawn on, also where the two are in different scenes."""
    import slicer

    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    text = slicer.vtkSegmentationConverter.SerializeImageGeometry(_empty_grid(volume_node))
    node.GetSegmentation().SetConversionParameter(name, text)


@contextmanager
def modifying(node: Node) -> Iterator[None]:
    """Let the views hear of a segmentation once, when everything is in it."""
    changing = node.StartModify()
    try:
        yield
    finally:
        node.EndModify(changing)


def _empty_grid(volume_node: Node) -> Any:
    import slicer

    grid = slicer.vtkOrientedImageData()
    grid.SetDimensions(*volume_node.GetImageData().GetDimensions())
    grid.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    grid.SetGeometryFromImageToWorldMatrix(matrix_from_affine(ijk_to_parent(volume_node)))
    return grid


def _sample(layer: Any, grid: Any, change: vtk.vtkTransform) -> NDArray[Any]:
    """A labelmap on the grid, nearest voxel, as ``(K, J, I)``: in the order of memory, which is faster to count in."""
    import slicer

    resampled = slicer.vtkOrientedImageData()
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    resample(layer, grid, resampled, False, False, change)
    return voxels(resampled).transpose(2, 1, 0)


def _numbered(sampled: NDArray[Any], numbers: dict[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Look every value up; values of segments that were not asked for become background."""
    values = np.round(sampled).astype(np.int64) if sampled.dtype.kind == "f" else sampled
    lowest = min(0, int(values.min(initial=0)))
    table = np.zeros(max(int(values.max(initial=0)), *numbers) - lowest + 1, dtype=dtype)
    for value, number in numbers.items():
        table[value - lowest] = number
    return table[values if lowest == 0 else values.astype(np.int64) - lowest]
