"""A finished job -> segments in the scene, with what made them written on the node, and one way back."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from medseg.bundles.catalogue import Bundle
from medseg.desktop.one_step import OneStep
from medseg.imaging.image import Image
from medseg.mrml.grids import Node
from medseg.mrml.merging import merge_segments
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.events import Finished
from medseg.spec.job import Job
from medseg.spec.manifest import LabelSpec

PROVENANCE = "MedSegAttention.Provenance"  # attribute of the node, JSON
Mode: TypeAlias = Literal["add", "replace"]


def show_labels(
    scene: Node,
    labels: Image,
    specs: Sequence[LabelSpec],
    volume_node: Node,
    *,
    target: Node = None,
    mode: Mode = "add",
) -> tuple[Node, OneStep | None]:
    """Put labels into the scene, as a new segmentation or into one that is there.

    Args:
        scene: the MRML scene.
        labels: ``(1, I, J, K)`` on the volume's grid, in the world.
        specs: the segments.
        volume_node: what was segmented; None where it is no longer in the scene.
        target: a segmentation to join; None: a new one.
        mode: "add" keeps every segment, "replace" takes the place of those with the same names.

    Returns:
        The segmentation, and the step that can be taken back; None for a new segmentation.

    Raises:
        MedSegError: as ``merge_segments``; whatever it raises, the target is as it was before.
    """
    if target is None:
        name = "Segmentation" if volume_node is None else f"{volume_node.GetName()} segmentation"
        node = add_segmentation(scene, labels, specs, name=name, reference_node=volume_node)
        _place_beside(scene, node, volume_node)
        return node, None
    step = OneStep(target, PROVENANCE)
    with ExitStack() as on_failure:
        on_failure.callback(step.restore)
        merge_segments(target, labels, specs, mode=mode)
        on_failure.pop_all()
    step.done()
    return target, step


def _place_beside(scene: Node, node: Node, volume_node: Node) -> None:
    """Put the segmentation into the volume's study, from where Slicer exports it as DICOM SEG."""
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if tree is None or volume_node is None:
        return
    volume_item, item = tree.GetItemByDataNode(volume_node), tree.GetItemByDataNode(node)
    if volume_item and item:
        tree.SetItemParent(item, tree.GetItemParent(volume_item))


def write_provenance(node: Node, bundle: Bundle, job: Job, finished: Finished, versions: dict[str, str]) -> None:
    """Append to a node which model made its segments, how, where and when; saved with the scene.

    Args:
        node: the segmentation.
        bundle: the model.
        job: what was done.
        finished: how it ended.
        versions: of the programs that took part.
    """
    entry = {
        "model": bundle.manifest.model_id,
        "model_version": bundle.manifest.version,
        "weights_sha256": _sha256(bundle.weights_path),
        "options": asdict(job.options),
        "device": finished.device,
        "seconds": round(finished.seconds, 2),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
    }
    node.SetAttribute(PROVENANCE, json.dumps([*read_provenance(node), entry]))


def read_provenance(node: Node) -> list[dict[str, Any]]:
    """What ``write_provenance`` wrote, oldest first; empty where nothing readable is."""
    try:
        entries = json.loads(node.GetAttribute(PROVENANCE) or "[]")
    except ValueError:
        return []
    return entries if isinstance(entries, list) else []


def _sha256(path: Path) -> str | None:
    """The digest of a file; None where it cannot be read any more."""
    try:
        with path.open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest()
    except OSError:
        return None
