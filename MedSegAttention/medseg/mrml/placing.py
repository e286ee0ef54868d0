"""Where a new node stands in the subject hierarchy: beside the scan it was made from, in the same study."""

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
