"""Volumes with their segmentations -> a folder of labelled cases; the scene is read and never changed."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import vtk

from medseg.imaging.image import Image
from medseg.io.segnrrd import read_terminology
from medseg.io.write import write_image
from medseg.mrml.cuts import Cut, cut_segment
from medseg.mrml.grids import Node, ijk_to_world, parent_to_world
from medseg.mrml.placing import patient_of
from medseg.mrml.segmentations import BINARY_LABELMAP, labels_from_segmentation
from medseg.mrml.volumes import channel_view
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import LabelSpec
from medseg.spec.same_segment import UNCODED

FEWEST = 2  # one to learn from, one to score
NAMELESS = "volume"  # what a volume is called in whose name nothing can be part of a file's
_LONGEST = 50  # letters of a file name, which may have 255 bytes
_BEYOND = 1.0  # voxels that a segment may reach over the border of its volume: it was drawn on another grid


@dataclass(frozen=True, eq=False)
class Pair:
    """A volume and the segmentation that says what is seen in it."""

    volume: Node
    segmentation: Node


def labels_of(pairs: Sequence[Pair]) -> tuple[LabelSpec, ...]:
    """What the segmentations have in common: names, colours and codes of the first one's segments, in its order.

    Raises:
        JobError: if there are too few pairs, a node is in two of them, or the segmentations name different segments;
            the sentence names the node.
    """
    if len(pairs) < FEWEST:
        msg = f"a training takes at least {FEWEST} volumes with their segmentations, got {len(pairs)}; add some"
        raise JobError(msg)
    for nodes in ([pair.volume for pair in pairs], [pair.segmentation for pair in pairs]):
        for number, node in enumerate(nodes):
            if node in nodes[:number]:
                msg = f"each node is in one pair, and {node.GetName()!r} is in two; remove one of them"
                raise JobError(msg)
    first = pairs[0].segmentation
    specs = tuple(segment_spec(value, segment) for value, (_id, segment) in enumerate(_segments(first), start=1))
    names = [spec.name for spec in specs]
    for pair in pairs:
        own = [segment.GetName() for _id, segment in _segments(pair.segmentation)]
        if sorted(own) != sorted(names):
            missing, more = sorted(set(names) - set(own)), sorted(set(own) - set(names))
            parts = [f"lacks {', '.join(missing)}"] if missing else []
            parts += [f"has also {', '.join(more)}"] if more else []
            msg = (
                f"the segmentations name the same segments, and {pair.segmentation.GetName()!r} "
                f"{' and '.join(parts)}, compared with {first.GetName()!r}; rename, add (it may be empty) or remove it"
            )
            raise JobError(msg)
    return specs


def check_steps(pairs: Sequence[Pair], labels: Sequence[LabelSpec]) -> Iterator[str]:
    """Look at every case, one a step.

    Args:
        pairs: what ``labels_of`` accepted.
        labels: what it gave, in any order.

    Returns:
        Yields the name of each volume that was looked at.

    Raises:
        ImageError: if a volume has no voxels, several channels or lies under a bent transform; if a segmentation has
            no voxels, is made of surfaces, reaches out of its volume or has segments that overlap.
        JobError: at the end, if a segment has voxels in no case.
    """
    seen: set[str] = set()
    for pair in pairs:
        truth = _truth(pair, labels).array
        seen |= {spec.name for spec in labels if (truth == spec.value).any()}
        yield str(pair.volume.GetName())
    never = [spec.name for spec in labels if spec.name not in seen]
    if never:
        msg = f"a segment has voxels in at least one case, and {', '.join(never)} has none; draw or remove it"
        raise JobError(msg)


def write_steps(pairs: Sequence[Pair], labels: Sequence[LabelSpec], folder: Path) -> Iterator[str]:
    """Write the volumes, and the segments as labelmaps on the volumes' own grids, one case a step.

    Args:
        pairs: the cases.
        labels: which segment becomes which value.
        folder: exists and is empty; ``write_description`` makes it a data set afterwards.

    Returns:
        Yields the name of each volume before it is written.

    Raises:
        ImageError: as ``check_steps``, for what changed since.
        JobError: if a file cannot be written.
    """
    for part in ("images", "labels"):
        (folder / part).mkdir()
    for pair, name in zip(pairs, _file_names(pairs), strict=True):
        yield str(pair.volume.GetName())
        truth = _truth(pair, labels)
        write_image(folder / "images" / f"{name}.nii", Image(channel_view(pair.volume), truth.affine))
        write_image(folder / "labels" / f"{name}.nii", truth)


def write_description(
    scene: Node, pairs: Sequence[Pair], labels: Sequence[LabelSpec], folder: Path, title: str
) -> Path | None:
    """Say what the files of ``write_steps`` are, so that they become a Decathlon folder.

    Args:
        scene: the MRML scene; its subject hierarchy says which volumes are one patient's.
        pairs: the cases that were written.
        labels: which segment became which value.
        folder: holds the files.
        title: of the data set.

    Returns:
        CSV file of the cases that are one patient's; None where no two are known to be.
    """
    names = _file_names(pairs)
    document = {
        "name": title,
        "labels": {"0": "background", **{str(spec.value): spec.name for spec in labels}},
        "modality": {"0": ""},
        "training": [{"image": f"images/{name}.nii", "label": f"labels/{name}.nii"} for name in names],
    }
    (folder / "dataset.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    # A volume that is in no patient of the subject hierarchy counts as one of its own.
    patients = [patient_of(scene, pair.volume) for pair in pairs]
    subjects = [name if item is None else f"patient {item}" for name, item in zip(names, patients, strict=True)]
    if len(set(subjects)) == len(subjects):
        return None
    path = folder / "subjects.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("case", "subject"), *zip(names, subjects, strict=True)])
    return path


def _segments(node: Node) -> list[tuple[str, Any]]:
    """Id and segment, in order.

    Raises:
        JobError: if there are none, or two bear one name.
    """
    inside = node.GetSegmentation()
    found = [(each, inside.GetSegment(each)) for each in inside.GetSegmentIDs()]
    names = [segment.GetName() for _id, segment in found]
    if not found:
        msg = f"segmentation {node.GetName()!r} has no segments; draw them, or take it out of the list"
        raise JobError(msg)
    if "" in names or len(set(names)) < len(names):
        msg = f"each segment has a name of its own, and {node.GetName()!r} has {', '.join(map(repr, names))}; rename"
        raise JobError(msg)
    return found


def segment_spec(value: int, segment: Any) -> LabelSpec:
    """Name, colour and codes of a ``vtkSegment``."""
    text = vtk.reference("")
    entry = str(text) if segment.GetTag(segment.GetTerminologyEntryTagName(), text) else ""
    category, kind, modifier, region, region_modifier = read_terminology(entry)
    red, green, blue = (min(255, max(0, round(255 * part))) for part in segment.GetColor())
    return LabelSpec(
        value=value,
        name=segment.GetName(),
        color=(red, green, blue),
        category=category or UNCODED,
        type=kind or UNCODED,
        type_modifier=modifier,
        region=region,
        region_modifier=region_modifier,
    )


def _truth(pair: Pair, labels: Sequence[LabelSpec]) -> Image:
    """``(1, I, J, K)`` labels on the grid of the volume.

    Raises:
        ImageError: if the case cannot be learnt from.
    """
    volume, node = pair.volume, pair.segmentation
    channels = channel_view(volume).shape[0]
    if channels != 1:
        msg = f"volume {volume.GetName()!r} has {channels} channels, and one is learnt from; choose a scalar volume"
        raise ImageError(msg)
    inside = node.GetSegmentation()
    if not inside.ContainsRepresentation(BINARY_LABELMAP):
        msg = f"segmentation {node.GetName()!r} is made of surfaces; make a binary labelmap in the Segmentations module"
        raise ImageError(msg)
    to_volume = np.linalg.solve(ijk_to_world(volume), parent_to_world(node))
    for segment_id, segment in _segments(node):
        cut = cut_segment(node, segment_id)
        if cut is not None and _reaches_out(cut, to_volume, volume.GetImageData().GetDimensions()):
            msg = (
                f"segment {segment.GetName()!r} of {node.GetName()!r} reaches out of volume {volume.GetName()!r}; "
                "choose the volume it was drawn on"
            )
            raise ImageError(msg)
    ids = {segment.GetName(): segment_id for segment_id, segment in _segments(node)}
    wanted = [ids[spec.name] for spec in sorted(labels, key=lambda spec: spec.value)]
    truth = labels_from_segmentation(node, volume, wanted)[0]
    if not truth.array.any():
        msg = f"segmentation {node.GetName()!r} has no voxels in {volume.GetName()!r}; draw it, or take it out"
        raise ImageError(msg)
    return truth


def _reaches_out(cut: Cut, to_volume: Any, dimensions: Sequence[int]) -> bool:
    """Whether the box of a segment leaves the volume; ``to_volume`` goes from below the segment's transforms."""
    box = [(1, size - 2) for size in cut.mask.shape]  # without the border of background
    corners = np.array([[i, j, k, 1] for i in box[0] for j in box[1] for k in box[2]], dtype=np.float64)
    spots = (corners @ (to_volume @ cut.affine).T)[:, :3]
    return bool((spots < -_BEYOND).any() or (spots > np.array(dimensions) - 1 + _BEYOND).any())


def file_name(name: str) -> str:
    """What a volume's files are called, so that what is said about a file names the volume.

    Args:
        name: of the node.
    """
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:_LONGEST] or NAMELESS


def _file_names(pairs: Sequence[Pair]) -> list[str]:
    """A file name for each volume, no two the same."""
    made: list[str] = []
    for plain in (file_name(str(pair.volume.GetName())) for pair in pairs):
        taken = {each.casefold() for each in made}
        number = 2
        free = plain
        while free.casefold() in taken:
            free, number = f"{plain}-{number}", number + 1
        made.append(free)
    return made


def renamed(labels: Sequence[LabelSpec], order: Sequence[str]) -> tuple[LabelSpec, ...]:
    """The labels in the order of other names, where both name the same things; else as they are.

    A model that is trained further keeps its last layer where its labels are the same in number, order and spelling.

    Args:
        labels: of the segmentations.
        order: names of a model's labels; capital letters count as small ones.
    """
    known = {spec.name.casefold(): spec for spec in labels}
    if len(known) < len(labels) or sorted(known) != sorted(name.casefold() for name in order):
        return tuple(labels)
    return tuple(replace(known[name.casefold()], value=value) for value, name in enumerate(order, start=1))
