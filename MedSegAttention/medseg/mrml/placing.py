"""The subject hierarchy: a new node beside the scan it was made from, and which examination a scan belongs to."""

from medseg.mrml.grids import Node


def place_beside(scene: Node, node: Node, volume_node: Node) -> None:
    """Put a node into the study of a scan, from where Slicer exports both as DICOM.

    Args:
        scene: the MRML scene.
        node: what was made; nothing happens where the hierarchy does not know it.
        volume_node: what it was made from; None: nothing happens.
    """
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if tree is None or volume_node is None:
        return
    volume_item, item = tree.GetItemByDataNode(volume_node), tree.GetItemByDataNode(node)
    if volume_item and item:
        tree.SetItemParent(item, tree.GetItemParent(volume_item))


def examination_of(scene: Node, node: Node) -> int | None:
    """The study of a node, else its patient, as an item of the subject hierarchy; None where it is in neither."""
    import slicer

    study = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy()
    return _above(scene, node, study) or patient_of(scene, node)


def patient_of(scene: Node, node: Node) -> int | None:
    """The patient of a node, as an item of the subject hierarchy; None where it is in none."""
    import slicer

    return _above(scene, node, slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelPatient())


def modality_of(scene: Node, node: Node) -> str:
    """The modality of a volume that came from DICOM, e.g. "CT"; "" where the subject hierarchy knows none."""
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = 0 if tree is None else tree.GetItemByDataNode(node)
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return str(tree.GetItemAttribute(item, name) or "") if item else ""


def _above(scene: Node, node: Node, level: str) -> int | None:
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = 0 if tree is None else tree.GetItemByDataNode(node)
    return (int(tree.GetItemAncestorAtLevel(item, level)) or None) if item else None
