"""What made a segmentation is written on it and saved with it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene import results
from medseg.desktop.scene.results import PROVENANCE, read_provenance, show_labels, write_provenance
from medseg.imaging.image import Image
from medseg.mrml import merging
from medseg.mrml.segmentations import add_segmentation, labels_from_segmentation, make_segment
from medseg.spec.events import Finished
from medseg.spec.job import Job
from mrml_nodes import volume_node_from_image


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
    node, history, *_ = show_labels(scene, Image(array), specs, volume)
    assert tree.GetItemParent(tree.GetItemByDataNode(node)) == study
    assert node.GetName() == "volume segmentation"
    assert history.is_possible
    logic.SetMRMLScene(None)


def test_a_merge_that_fails_half_way_leaves_the_segmentation_as_it_was(scene, array, specs, monkeypatch):
    volume = volume_node_from_image(scene, Image(array), "volume")
    node = add_segmentation(scene, Image(array), specs, name="organs", reference_node=volume)
    made = []

    def make(*arguments):
        made.append(arguments)
        if len(made) == 2:
            msg = "the second one fails"
            raise RuntimeError(msg)
        return make_segment(*arguments)

    fewer = [replace(specs[0], name="new"), replace(specs[1], name="other")]
    monkeypatch.setattr(merging, "make_segment", make)
    with pytest.raises(RuntimeError, match="the second one fails"):
        show_labels(scene, Image(array[:, ::-1].copy()), [specs[2], *fewer], volume, target=node, mode="replace")
    labels, names = labels_from_segmentation(node, volume)
    np.testing.assert_array_equal(labels.array, array)
    assert names == tuple(spec.name for spec in specs)


def test_the_note_names_the_programs_and_the_very_weights(scene, array, specs, tmp_path):
    weights = tmp_path / "models" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    manifest = SimpleNamespace(model_id="m", version="2", composition=None)
    node = add_segmentation(scene, Image(array), specs, name="organs")
    job, finished = Job(inputs=("a",), model="m", output="o"), Finished(("o",), "cpu", 1.0)
    write_provenance(node, Bundle(tmp_path, manifest), job, finished, {"Slicer": "5.12"})
    weights.unlink()
    write_provenance(node, Bundle(tmp_path, manifest), job, finished, {})
    first, second = read_provenance(node)
    # sha256sum of the seven letters
    assert first["weights_sha256"] == "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert first["versions"] == {"Slicer": "5.12"}
    assert second["weights_sha256"] is None
