"""Which segmentation belongs to which volume: by the reference that Slicer keeps, else by names; never by chance."""

import re

from medseg.desktop.scene.cases import scans
from medseg.mrml.grids import Node
from medseg.mrml.training_cases import Pair

_SEGMENTATION = "vtkMRMLSegmentationNode"
_WORD = re.compile(r"[^\W_]+")
# What people add to the name of a volume to name its segmentation.
_PADDING = frozenset(
    ("annotation", "gt", "ground", "label", "labels", "manual", "mask", "of", "seg", "segm", "segmentation", "truth")
)


def propose_pairs(scene: Node) -> list[Pair]:
    """Pairs of which both sides are sure, in the order of the volumes.

    A segmentation belongs to the volume that it was drawn on. Where it knows none, it belongs to the one volume
    whose name says the same, but for words like "segmentation".

    Args:
        scene: the MRML scene.
    """
    volumes = scans(scene)
    drawn = {node.GetID(): _reference(node) for node in _segmentations(scene)}
    found: dict[str, list[Node]] = {volume.GetID(): [] for volume in volumes}
    for node in _segmentations(scene):
        volume = drawn[node.GetID()]
        if volume is None:
            same = [each for each in volumes if _words(each) == _words(node)]
            volume = same[0] if len(same) == 1 and _words(node) else None
        if volume is not None and volume.GetID() in found:
            found[volume.GetID()].append(node)
    # Of several segmentations of one volume nobody knows which is the truth.
    return [Pair(each, found[each.GetID()][0]) for each in volumes if len(found[each.GetID()]) == 1]


def _segmentations(scene: Node) -> list[Node]:
    every = [scene.GetNthNodeByClass(n, _SEGMENTATION) for n in range(scene.GetNumberOfNodesByClass(_SEGMENTATION))]
    return [node for node in every if not node.GetHideFromEditors() and node.GetSegmentation().GetNumberOfSegments()]


def _reference(node: Node) -> Node:
    return node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())


def _words(node: Node) -> tuple[str, ...]:
    return tuple(word for word in _WORD.findall(str(node.GetName() or "").casefold()) if word not in _PADDING)
