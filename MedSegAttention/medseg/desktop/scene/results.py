"""A finished job -> segments in the scene, with what made them written on the node, and one way back."""

import json
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from medseg.bundles.catalogue import Bundle
from medseg.bundles.digest import weights_digest
from medseg.desktop.scene.undo import UndoStep
from medseg.imaging.image import Image
from medseg.mrml.grids import Node, nodes_of
from medseg.mrml.merging import Overlap, merge_segments
from medseg.mrml.placing import place_beside
from medseg.mrml.segmentations import add_segmentation, own_volume
from medseg.spec.events import Finished
from medseg.spec.job import Job
from medseg.spec.manifest import LabelSpec

PROVENANCE = "MedSegAttention.Provenance"  # attribute of the node and tag of its segments, JSON
Mode: TypeAlias = Literal["add", "replace"]


class ShownResult(NamedTuple):
    """Where labels are in the scene."""

    node: Node  # the segmentation
    step: UndoStep  # takes them back out of the segmentation; a new one is then empty
    segment_ids: tuple[str, ...]  # of each label, in the order of the labels
    overwritten: tuple[tuple[str, int], ...] = ()  # segments that lost voxels by the overlap rule: name, how many


def show_labels(
    scene: Node,
    labels: Image,
    specs: Sequence[LabelSpec],
    volume_node: Node,
    *,
    target: Node = None,
    mode: Mode = "add",
    overlap: Overlap = "allow",
    title: str = "",
) -> ShownResult:
    """Put labels into the scene, as a new segmentation or into one that is there.

    Args:
        scene: the MRML scene.
        labels: ``(N, I, J, K)`` on the volume's grid, in the world.
        specs: the segments.
        volume_node: what was segmented; None where it is no longer in the scene.
        target: a segmentation to join; None: a new one.
        mode: "add" keeps every segment, "replace" takes the place of those with the same names.
        overlap: whether the new segments take voxels away from the others of the target, see ``merge_segments``.
        title: what the volume was called, where it is no longer in the scene.

    Raises:
        MedSegError: as ``merge_segments``; whatever it raises, the target is as it was before.
    """
    if target is None:
        whose = title if volume_node is None else str(volume_node.GetName())
        name = f"{whose} segmentation" if whose else "Segmentation"
        node = add_segmentation(scene, labels, specs, name=name, reference_node=volume_node)
        place_beside(scene, node, volume_node)
        filled = UndoStep(node, PROVENANCE, is_new=True)
        filled.done()
        return ShownResult(node, filled, tuple(f"Segment_{spec.value}" for spec in specs))
    step = UndoStep(target, PROVENANCE)
    with ExitStack() as on_failure:
        on_failure.callback(step.restore)
        merge = merge_segments(target, labels, specs, mode=mode, overlap=overlap)
        on_failure.pop_all()
    step.done()
    names = {each: target.GetSegmentation().GetSegment(each).GetName() for each in merge.lost}
    return ShownResult(target, step, merge.ids, tuple((names[each], count) for each, count in merge.lost.items()))


def write_provenance(
    node: Node,
    bundle: Bundle,
    job: Job,
    finished: Finished,
    versions: dict[str, str],
    segment_ids: Sequence[str] = (),
    boxes: Sequence[dict[str, Any]] = (),
) -> None:
    """Append to a node which model made its segments, how, where and when; saved with the scene.

    A .seg.nrrd file keeps nothing of a node but its segments, so the short of it is written on those too.

    Args:
        node: the segmentation.
        bundle: the model.
        job: what was done.
        finished: how it ended.
        versions: of the programs that took part.
        segment_ids: the segments that were made.
        boxes: where the model was located, below the transform of the node.
    """
    entry: dict[str, Any] = {
        "model": bundle.manifest.model_id,
        "model_version": bundle.manifest.version,
        "weights_sha256": weights_digest(bundle),
        "options": asdict(job.options),
        "device": finished.device,
        "engine": finished.engine,
        "seconds": round(finished.seconds, 2),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }
    if boxes:
        entry["boxes"] = list(boxes)
    node.SetAttribute(PROVENANCE, json.dumps([*read_provenance(node), entry]))
    short = {name: entry[name] for name in ("model", "model_version", "weights_sha256", "time")}
    for segment_id in segment_ids:
        segment = node.GetSegmentation().GetSegment(segment_id)
        segment.SetTag(PROVENANCE, json.dumps(short).replace("|", " "))  # the file's own mark between two tags


def read_provenance(node: Node) -> list[dict[str, Any]]:
    """What ``write_provenance`` wrote, oldest first; empty where nothing readable is."""
    try:
        entries = json.loads(node.GetAttribute(PROVENANCE) or "[]")
    except ValueError:
        return []
    return entries if isinstance(entries, list) else []


def newest_result(scene: Node, on: Collection[Node] | None = None) -> Node:
    """The segmentation of a scene that a model drew last, by what is written on it; None where none did.

    Args:
        scene: the MRML scene.
        on: only those drawn on one of these volumes; None: all.
    """
    found, latest = None, ""
    for node in nodes_of(scene, "vtkMRMLSegmentationNode"):
        if on is not None and own_volume(node) not in on:
            continue
        times = [str(entry.get("time", "")) for entry in read_provenance(node) if isinstance(entry, dict)]
        if times and max(times) >= latest:
            found, latest = node, max(times)
    return found
