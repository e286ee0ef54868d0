"""Put new labels into a segmentation that is already there, without losing a segment drawn by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Literal, TypeAlias

import numpy as np

from medseg.imaging.geometry import resample_to
from medseg.imaging.image import Affine, Image
from medseg.mrml.cuts import layer_affine, value_box
from medseg.mrml.grids import Node, world_to_parent
from medseg.mrml.segmentations import BINARY_LABELMAP, CLOSED_SURFACE, make_segment, modifying, shared_labelmaps, voxels
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import LabelSpec

# The three of the Segment Editor's "Modify other segments": allow overlap, overwrite all, overwrite visible.
Overlap: TypeAlias = Literal["allow", "all", "visible"]


@dataclass(frozen=True)
class Merge:
    """What became of labels and of the segments that were there."""

    ids: tuple[str, ...]  # the segment of each label, in the order of the labels
    lost: Mapping[str, int]  # voxels that other segments lost by the overlap rule, by their id


def merge_segments(
    node: Node,
    labels: Image,
    specs: Sequence[LabelSpec],
    *,
    mode: Literal["add", "replace"] = "add",
    overlap: Overlap = "allow",
) -> Merge:
    """Add labels to a segmentation.

    New segments lie in a labelmap of their own. By default they overlap the old ones and change no voxel of them.

    Args:
        node: the segmentation; stays under its transform.
        labels: ``(N, I, J, K)`` whole numbers from 0 up, in the world's RAS mm; N layers as of ``add_segmentation``.
        specs: the segments to add.
        mode: ``"add"``: every label becomes a new segment; a name that is taken gets a number. ``"replace"``: a
            segment of the same id and name, or failing that of the same name, gets the label's voxels and keeps
            its id, colour and codes as the user set them; a label without such a segment is added.
        overlap: the Segment Editor's rule: "allow", or the new voxels are taken away from "all" or the "visible" ones
            of the segments that were there and are not replaced; ``Merge.lost`` says from whom and how many.

    Raises:
        JobError: if the mode is neither of these.
        ImageError: if the segmentation is made of surfaces, or lies under a non-linear transform.
        ValueError: if the labels are not integers from 0 up.
    """
    if mode not in ("add", "replace"):
        msg = f"segments are merged by 'add' or 'replace', got {mode!r}; choose one of these"
        raise JobError(msg)
    check_target(node)
    segmentation = node.GetSegmentation()
    before = list(segmentation.GetSegmentIDs())
    local = world_to_parent(node)
    shared = shared_labelmaps(labels, specs, local)
    has_surfaces = segmentation.ContainsRepresentation(CLOSED_SURFACE)
    ids: list[str] = []
    with modifying(node):
        for spec in specs:
            match = _match(segmentation, spec, before) if mode == "replace" else None
            if match is None:
                segment = make_segment(shared[spec.value], spec)
                taken = {segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())}
                free = (f"{spec.name} ({number})" for number in count(2))
                segment.SetName(next(name for name in chain([spec.name], free) if name not in taken))
                ids.append(str(segmentation.GenerateUniqueSegmentID(f"Segment_{spec.value}")))
                segmentation.AddSegment(segment, ids[-1])
            else:
                move_segment(segmentation, match, shared[spec.value], spec.value)
                ids.append(match)
        losers = overwritable(node, [each for each in before if each not in ids], overlap)
        lost = overwrite(segmentation, _known(labels, specs, local), losers) if losers else {}
        if has_surfaces and (
            set(ids) & set(before) or lost
        ):  # Slicer converts all or none; added segments have got theirs already
            segmentation.CreateRepresentation(CLOSED_SURFACE, True)
    return Merge(tuple(ids), lost)


def check_target(node: Node) -> None:
    """Refuse a segmentation that labels cannot join, before anything is computed for it.

    Raises:
        ImageError: if it is made of surfaces, or lies under a non-linear transform.
    """
    segmentation = node.GetSegmentation()
    world_to_parent(node)
    if segmentation.GetNumberOfSegments() and segmentation.GetSourceRepresentationName() != BINARY_LABELMAP:
        msg = (
            f"segmentation {node.GetName()!r} is made of {segmentation.GetSourceRepresentationName()!r}, which voxels "
            "would coarsen; choose a new segmentation, or make binary labelmap its source in the Segmentations module"
        )
        raise ImageError(msg)


def _known(labels: Image, specs: Sequence[LabelSpec], local: Affine) -> Image:
    """The voxels that become segments; a value without a segment takes nothing away."""
    known = labels.array != 0
    for value in set(range(1, int(labels.array.max(initial=0)) + 1)) - {spec.value for spec in specs}:
        known &= labels.array != value
    return Image(known.any(axis=0, keepdims=True), local @ labels.affine)


def _match(segmentation: Any, spec: LabelSpec, ids: Sequence[str]) -> str | None:
    """The segment a label stands for; an id alone is not enough, since Slicer numbers hand-drawn segments the same."""
    named = [segment_id for segment_id in ids if segmentation.GetSegment(segment_id).GetName() == spec.name]
    own = f"Segment_{spec.value}"
    return own if own in named else next(iter(named), None)


def move_segment(segmentation: Any, segment_id: str, labelmap: Any, value: int) -> None:
    """Give a segment another labelmap; the one it shared with others keeps no voxel of it, and all of theirs.

    Args:
        segmentation: the ``vtkSegmentation``.
        segment_id: which of its segments; its surface goes, since it is no longer true.
        labelmap: the ``vtkOrientedImageData`` it lies in from now on.
        value: of its voxels there.
    """
    segment = segmentation.GetSegment(segment_id)
    old = segment.GetRepresentation(BINARY_LABELMAP)
    others = [each for each in segmentation.GetSegmentIDs() if each != segment_id]
    is_drawn = old is not None and not old.IsEmpty()  # Slicer's fresh segments share one labelmap without voxels
    if is_drawn and any(segmentation.GetSegment(each).GetRepresentation(BINARY_LABELMAP) is old for each in others):
        box = value_box(voxels(old), segment.GetLabelValue())
        if box is not None:  # others stay in it; these voxels must not stay behind unowned
            part = voxels(old)[box]
            part[part == segment.GetLabelValue()] = 0
            old.GetPointData().GetScalars().Modified()
            old.Modified()
    segment.RemoveAllRepresentations()
    segment.SetLabelValue(value)
    segment.AddRepresentation(BINARY_LABELMAP, labelmap)


def overwritable(node: Node, segment_ids: Sequence[str], rule: Overlap) -> list[str]:
    """Those of some segments that a rule lets others overwrite."""
    if rule == "allow":
        return []
    display = node.GetDisplayNode()
    if rule == "all" or display is None:
        return list(segment_ids)
    return [each for each in segment_ids if display.GetVisibility() and display.GetSegmentVisibility(each)]


def overwrite(segmentation: Any, taken: Image, segment_ids: Sequence[str]) -> dict[str, int]:
    """Take voxels away from segments.

    Args:
        segmentation: the ``vtkSegmentation``.
        taken: ``(1, I, J, K)`` bool, where others are; below the transforms of the segmentation. Labelmaps on another
            grid lose the voxels whose centres lie there.
        segment_ids: who loses; other segments of the same labelmap keep every voxel.

    Returns:
        How many voxels each segment lost, for those that lost any.
    """
    layers: dict[Any, dict[int, str]] = {}
    for segment_id in segment_ids:
        segment = segmentation.GetSegment(segment_id)
        layer = segment.GetRepresentation(BINARY_LABELMAP)
        if layer is not None and not layer.IsEmpty():
            layers.setdefault(layer, {})[segment.GetLabelValue()] = segment_id
    mask = Image(taken.array.astype(np.uint8), taken.affine)
    lost: dict[str, int] = {}
    for layer, owners in layers.items():
        i, j, k = layer.GetDimensions()
        here = resample_to(mask, (i, j, k), layer_affine(layer), order="nearest").array[0]
        array = voxels(layer)
        for slice_k in range(k):  # as they lie in memory
            plane, where = array[:, :, slice_k].T.reshape(-1), np.flatnonzero(here[:, :, slice_k].T)
            found = plane[where]
            mine = np.isin(found, list(owners))
            for value, number in zip(*np.unique(found[mine], return_counts=True), strict=True):
                lost[owners[int(value)]] = lost.get(owners[int(value)], 0) + int(number)
            plane[where[mine]] = 0
        if lost.keys() & set(owners.values()):
            layer.GetPointData().GetScalars().Modified()
            layer.Modified()
    return lost
