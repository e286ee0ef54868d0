"""Where a model was located: kept on the segmentation it made, and shown as regions that cannot be moved."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from medseg.desktop.scene.results import read_provenance
from medseg.imaging.image import Affine
from medseg.imaging.locate import placed_box
from medseg.mrml.grids import Node, nodes_of, parent_to_world
from medseg.mrml.rois import add_box
from medseg.spec.errors import FieldError
from medseg.spec.fields import read_record
from medseg.spec.locating import PlacedBox

_OWNER = "MedSegAttention.BoxOf"  # attribute of a region: the segmentation it belongs to


def boxes_below(node: Node, boxes: Sequence[PlacedBox], moved: Affine) -> list[dict[str, Any]]:
    """Boxes as they are kept on a segmentation: in RAS mm below the transform it hangs under.

    Args:
        node: the segmentation.
        boxes: in the world as it was when the job was sent.
        moved: ``(4, 4)``, what became of that world under the volume since then.

    Raises:
        ImageError: if the segmentation hangs under a non-linear transform.
    """
    change = np.linalg.inv(parent_to_world(node)) @ moved
    return [asdict(_changed(box, change)) for box in boxes]


def newest_boxes(node: Node) -> tuple[PlacedBox, ...]:
    """The boxes of the last run that drew into a segmentation; none where it was not located, or nothing readable."""
    if node is None:
        return ()
    entries = [entry for entry in read_provenance(node) if isinstance(entry, dict)]
    kept = entries[-1].get("boxes", []) if entries else []
    try:
        return tuple(read_record(PlacedBox, each, f"boxes[{number}]") for number, each in enumerate(kept))
    except (FieldError, TypeError):
        return ()


def shown_boxes(scene: Node, node: Node) -> list[Node]:
    """The regions that show the boxes of a segmentation now."""
    rois = nodes_of(scene, "vtkMRMLMarkupsROINode")
    return [roi for roi in rois if node is not None and roi.GetAttribute(_OWNER) == node.GetID()]


def toggle_boxes(scene: Node, node: Node) -> list[Node]:
    """Show the boxes of a segmentation, or take those that are shown out of the scene.

    Returns:
        The new regions.
    """
    if shown := shown_boxes(scene, node):
        for roi in shown:
            scene.RemoveNode(roi)
        return []
    made = [add_box(scene, box, node.GetTransformNodeID()) for box in newest_boxes(node)]
    for roi in made:
        roi.SetAttribute(_OWNER, node.GetID())
    return made


def _changed(box: PlacedBox, change: Affine) -> PlacedBox:
    edges = np.eye(4)
    edges[:3, :3] = np.transpose([box.axis_i, box.axis_j, box.axis_k]) * box.size_mm
    edges[:3, 3] = box.centre_mm
    return placed_box(box.name, change @ edges)
