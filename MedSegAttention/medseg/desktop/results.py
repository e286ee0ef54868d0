"""A finished job -> segments in the scene, with what made them written on the node, and one way back."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from medseg.imaging.image import Image
from medseg.mrml.grids import Node
from medseg.mrml.merging import merge_segments
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.events import Finished
from medseg.spec.job import Job
from medseg.spec.manifest import LabelSpec, ModelManifest

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
) -> tuple[Node, Any]:
    """Put labels into the scene, as a new segmentation or into one that is there.

    Args:
        scene: the MRML scene.
        labels: ``(1, I, J, K)`` on the volume's grid, in the world.
        specs: the segments.
        volume_node: what was segmented; None where it is no longer in the scene.
        target: a segmentation to join; None: a new one.
        mode: "add" keeps every segment, "replace" takes the place of those with the same names.

    Returns:
        The segmentation, and a ``vtkSegmentationHistory`` whose ``RestorePreviousState()`` takes this one step back;
        None for a new segmentation.
    """
    import slicer

    if target is None:
        name = "Segmentation" if volume_node is None else f"{volume_node.GetName()} segmentation"
        node = add_segmentation(scene, labels, specs, name=name, reference_node=volume_node)
        _place_beside(scene, node, volume_node)
        return node, None
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(target.GetSegmentation())
    history.SaveState()
    merge_segments(target, labels, specs, mode=mode)
    return target, history


def _place_beside(scene: Node, node: Node, volume_node: Node) -> None:
    """Put the segmentation into the volume's study, from where Slicer exports it as DICOM SEG."""
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if tree is None or volume_node is None:
        return
    volume_item, item = tree.GetItemByDataNode(volume_node), tree.GetItemByDataNode(node)
    if volume_item and item:
        tree.SetItemParent(item, tree.GetItemParent(volume_item))


def write_provenance(
    node: Node, manifest: ModelManifest, job: Job, finished: Finished, versions: dict[str, str]
) -> None:
    """Append to a node which model made its segments, how, where and when; saved with the scene."""
    entry = {
        "model": manifest.model_id,
        "model_version": manifest.version,
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
