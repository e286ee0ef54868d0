"""What made a segmentation is written on it and saved with it."""

import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.desktop import results
from medseg.desktop.results import PROVENANCE, read_provenance, show_labels
from medseg.imaging.image import Image
from medseg.mrml.segmentations import add_segmentation
from medseg.mrml.volumes import volume_node_from_image


@pytest.mark.parametrize("text", ["", "not json", '{"an": "object"}'])
def test_a_note_nobody_can_read_is_no_note(scene, array, specs, text):
    node = add_segmentation(scene, Image(array), specs, name="organs")
    node.SetAttribute(PROVENANCE, text)
    assert read_provenance(node) == []


def test_a_new_segmentation_lies_in_the_study_of_its_volume(scene, array, specs, monkeypatch):
    """Outside the application nobody makes items for new nodes, so the test does."""
    logic = slicer.vtkSlicerSubjectHierarchyModuleLogic()
    logic.SetMRMLScene(scene)
    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = tree.CreateStudyItem(tree.GetSceneItemID(), "study")
    volume = volume_node_from_image(scene, Image(array), "volume")
    tree.CreateItem(study, volume)

    def add_with_item(*arguments, **named):
        node = add_segmentation(*arguments, **named)
        tree.CreateItem(tree.GetSceneItemID(), node)
        return node

    monkeypatch.setattr(results, "add_segmentation", add_with_item)
    node, history = show_labels(scene, Image(array), specs, volume)
    assert tree.GetItemParent(tree.GetItemByDataNode(node)) == study
    assert node.GetName() == "volume segmentation"
    assert history is None
    logic.SetMRMLScene(None)
