"""Put new labels into a segmentation that is already there, without losing a segment somebody drew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from medseg.imaging.image import Affine, Image
from medseg.mrml.cuts import value_box
from medseg.mrml.grids import Node, world_to_parent
from medseg.mrml.overlap import Overlap, overwritable, overwrite
from medseg.mrml.segmentations import BINARY_LABELMAP, CLOSED_SURFACE, make_segment, modifying, shared_labelmap, voxels
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import LabelSpec


@dataclass(frozen=True)
class Merge:
    """What became of each segment: ids."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]  # were there before and are there still
    ids: tuple[str, ...] = ()  # the segment of each label, in the order of the labels
    lost: Mapping[str, int] = field(default_factory=dict)  # voxels taken away from those kept, by the overlap rule


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
        labels: ``(1, I, J, K)`` whole numbers from 0 up, in the world's RAS mm.
        specs: the segments to add.
        mode: ``"add"``: every label becomes a new segment; a name that is taken gets a number. ``"replace"``: a
            segment of the same id and name, or failing that of the same name, gets the label's voxels and keeps
            its id, colour and codes as the user set them; a label without such a segment is added.
        overlap: the Segment Editor's rule: "allow", or the new voxels are taken away from "all" or the "visible" ones
            of the segments that were there and are not replaced; ``Merge.lost`` says from whom and how many.

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
    local = world_to_parent(node)
    shared = shared_labelmap(labels, local)
    has_surfaces = segmentation.ContainsRepresentation(CLOSED_SURFACE)
    added: list[str] = []
    replaced: list[str] = []
    ids: list[str] = []
    with modifying(node):
        for spec in specs:
            twin = _twin(segmentation, spec, before) if mode == "replace" else None
            if twin is None:
                added.append(_add(segmentation, shared, spec))
            else:
                move_segment(segmentation, twin, shared, spec.value)
                replaced.append(twin)
            ids.append(twin or added[-1])
        kept = tuple(segment_id for segment_id in before if segment_id not in replaced)
        losers = overwritable(node, kept, overlap)
        lost = overwrite(segmentation, _known(labels, specs, local), losers) if losers else {}
        if has_surfaces and (replaced or lost):  # Slicer converts all or none; added segments have got theirs already
            segmentation.CreateRepresentation(CLOSED_SURFACE, True)
    return Merge(tuple(added), tuple(replaced), kept, tuple(ids), lost)


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
    """The voxels that become segments; a value nobody asked for takes nothing away."""
    known = labels.array != 0
    for value in set(range(1, int(labels.array.max(initial=0)) + 1)) - {spec.value for spec in specs}:
        known &= labels.array != value
    return Image(known, local @ labels.affine)


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
        _take_out(old, segment.GetLabelValue())  # others stay in it; these voxels must not stay behind unowned
    segment.RemoveAllRepresentations()
    segment.SetLabelValue(value)
    segment.AddRepresentation(BINARY_LABELMAP, labelmap)


def _take_out(labelmap: Any, value: int) -> None:
    box = value_box(voxels(labelmap), value)
    if box is not None:
        part = voxels(labelmap)[box]
        part[part == value] = 0
        labelmap.GetPointData().GetScalars().Modified()
        labelmap.Modified()
