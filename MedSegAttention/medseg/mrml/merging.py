"""Put new labels into a segmentation that is already there, without losing a segment somebody drew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from medseg.imaging.image import Image
from medseg.mrml.grids import Node, world_to_parent
from medseg.mrml.segmentations import BINARY_LABELMAP, make_segment, modifying, shared_labelmap, voxels
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import LabelSpec

CLOSED_SURFACE = "Closed surface"


@dataclass(frozen=True)
class Merge:
    """What became of each segment: ids."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]  # were there before and have not changed


def merge_segments(
    node: Node, labels: Image, specs: Sequence[LabelSpec], *, mode: Literal["add", "replace"] = "add"
) -> Merge:
    """Add labels to a segmentation.

    New segments lie in a labelmap of their own, so they may overlap the old ones and change no voxel of them.

    Args:
        node: the segmentation; stays under its transform.
        labels: ``(1, I, J, K)`` whole numbers from 0 up, in the world's RAS mm.
        specs: the segments to add.
        mode: ``"add"``: every label becomes a new segment; a name that is taken gets a number. ``"replace"``: a
            segment of the same id and name, or failing that of the same name, gets the label's voxels and keeps
            its id, colour and codes as the user set them; a label without such a segment is added.

    Raises:
        JobError: if the mode is neither of these.
        ImageError: if the segmentation is made of surfaces, or lies under a non-linear transform.
        ValueError: if the labels are not single-channel integers from 0 up.
    """
    if mode not in ("add", "replace"):
        msg = f"segments are merged by 'add' or 'replace', got {mode!r}; choose one of these"
        raise JobError(msg)
    check_target(node)
    segmentation = node.GetSegmentation()
    before = list(segmentation.GetSegmentIDs())
    shared = shared_labelmap(labels, world_to_parent(node))
    has_surfaces = segmentation.ContainsRepresentation(CLOSED_SURFACE)
    added, replaced = [], []
    with modifying(node):
        for spec in specs:
            twin = _twin(segmentation, spec, before) if mode == "replace" else None
            if twin is None:
                added.append(_add(segmentation, shared, spec))
            else:
                _replace(segmentation, twin, shared, spec)
                replaced.append(twin)
        if has_surfaces and replaced:  # Slicer converts all or none; added segments have got theirs already
            segmentation.CreateRepresentation(CLOSED_SURFACE, True)
    kept = tuple(segment_id for segment_id in before if segment_id not in replaced)
    return Merge(tuple(added), tuple(replaced), kept)


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


def _twin(segmentation: Any, spec: LabelSpec, ids: Sequence[str]) -> str | None:
    """The segment a label stands for; an id alone is not enough, since Slicer numbers hand-drawn segments the same."""
    named = [segment_id for segment_id in ids if segmentation.GetSegment(segment_id).GetName() == spec.name]
    own = f"Segment_{spec.value}"
    return own if own in named else next(iter(named), None)


def _add(segmentation: Any, shared: Any, spec: LabelSpec) -> str:
    segment = make_segment(shared, spec)
    taken = {segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())}
    segment.SetName(_free_name(spec.name, taken))
    segment_id = str(segmentation.GenerateUniqueSegmentID(f"Segment_{spec.value}"))
    segmentation.AddSegment(segment, segment_id)
    return segment_id


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _replace(segmentation: Any, segment_id: str, shared: Any, spec: LabelSpec) -> None:
    segment = segmentation.GetSegment(segment_id)
    old = segment.GetRepresentation(BINARY_LABELMAP)
    others = [
        segmentation.GetNthSegment(n)
        for n in range(segmentation.GetNumberOfSegments())
        if segmentation.GetNthSegmentID(n) != segment_id
    ]
    is_drawn = old is not None and not old.IsEmpty()  # Slicer's fresh segments share one labelmap without voxels
    if is_drawn and any(other.GetRepresentation(BINARY_LABELMAP) is old for other in others):
        array = voxels(old)  # others stay in the old labelmap; this segment's voxels must not stay behind unowned
        array[array == segment.GetLabelValue()] = 0
        old.Modified()
    segment.RemoveAllRepresentations()
    segment.SetLabelValue(spec.value)
    segment.AddRepresentation(BINARY_LABELMAP, shared)
