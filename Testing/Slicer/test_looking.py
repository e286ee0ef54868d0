"""A result is seen on its own volume: several volumes are in the scene, and the views show another one."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

from fake_process import FakeProcess
from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene.looking import centre_on, look_at, look_at_volume
from medseg.desktop.scene.results import PROVENANCE
from medseg.imaging.image import Image
from medseg.io.write import write_segmentation
from medseg.mrml.grids import affine_from_matrix, nodes_of
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.events import Finished
from mrml_nodes import volume_node_from_image
from small_manifest import small_manifest


@pytest.fixture
def patients(slicer_scene, array):
    """Two volumes at different places, of different sizes; the views show the second."""
    near = volume_node_from_image(slicer_scene, Image(array.astype(np.float32), np.eye(4)), "Anna")
    far = np.diag([3.0, 3.0, 3.0, 1.0])
    far[:3, 3] = 400
    other = volume_node_from_image(slicer_scene, Image(array.astype(np.float32), far), "Bert")
    for view in nodes_of(slicer_scene, "vtkMRMLSliceCompositeNode"):
        view.SetBackgroundVolumeID(other.GetID())
        view.SetForegroundVolumeID(other.GetID())
    return near, other


def result_on(scene, volume, array, specs, name="found"):
    affine = np.eye(4) if volume.GetName() == "Anna" else np.diag([3.0, 3.0, 3.0, 1.0])
    if volume.GetName() == "Bert":
        affine[:3, 3] = 400
    node = add_segmentation(scene, Image(array, affine), specs, name=name, reference_node=volume)
    node.SetAttribute(PROVENANCE, f'[{{"model": "one", "time": "2026-01-0{1 + scene.GetNumberOfNodes() % 9}"}}]')
    return node


def backgrounds(scene):
    """Names of what lies behind the segments and in front, in each slice view."""
    views = nodes_of(scene, "vtkMRMLSliceCompositeNode")
    assert len(views) == 3
    names = [
        tuple(
            None if not each else scene.GetNodeByID(each).GetName()
            for each in (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID())
        )
        for view in views
    ]
    assert len(set(names)) == 1
    return names[0]


def is_visible(node):
    return bool(node.GetDisplayNode().GetVisibility())


def test_looking_at_a_result_shows_its_volume_fitted_and_hides_what_belongs_elsewhere(
    slicer_scene, patients, array, specs
):
    anna, bert = patients
    mine, older = (result_on(slicer_scene, anna, array, specs, name) for name in ("mine", "older"))
    hers = result_on(slicer_scene, bert, array, specs, "hers")
    truth = add_segmentation(slicer_scene, Image(array), specs, name="truth", reference_node=anna)
    unknown = add_segmentation(slicer_scene, Image(array), specs, name="unknown")
    mine.GetDisplayNode().SetVisibility(False)
    look_at(slicer_scene, mine)
    assert backgrounds(slicer_scene) == ("Anna", None)
    assert [is_visible(each) for each in (mine, older, hers, truth, unknown)] == [True, False, False, True, True]
    widest = max(array.shape[1:])
    for view in nodes_of(slicer_scene, "vtkMRMLSliceNode"):
        assert widest / 2 <= max(view.GetFieldOfView()[:2]) <= 2 * widest  # mm, of voxels of 1 mm; Bert's are 3 mm


def test_views_that_show_the_volume_already_stay_as_they_are(slicer_scene, patients, array, specs):
    _anna, bert = patients
    (view, *_) = nodes_of(slicer_scene, "vtkMRMLSliceNode")
    view.SetFieldOfView(17, 17, 1)
    look_at(slicer_scene, result_on(slicer_scene, bert, array, specs))
    assert backgrounds(slicer_scene) == ("Bert", "Bert")
    assert view.GetFieldOfView()[0] == 17


def test_a_segmentation_that_knows_no_volume_changes_no_view(slicer_scene, patients, array, specs):
    hers = result_on(slicer_scene, patients[1], array, specs)
    look_at(slicer_scene, add_segmentation(slicer_scene, Image(array), specs, name="unknown"))
    assert backgrounds(slicer_scene) == ("Bert", "Bert")
    assert is_visible(hers)


def test_a_volume_that_is_looked_at_hides_segments_of_all_that_were_not_chosen(slicer_scene, patients, array, specs):
    anna, bert = patients
    mine, hers = (result_on(slicer_scene, each, array, specs) for each in patients)
    assert look_at_volume(slicer_scene, anna, [bert]) is not None
    assert is_visible(mine)
    assert is_visible(hers)
    assert look_at_volume(slicer_scene, anna) is mine
    assert is_visible(mine)
    assert not is_visible(hers)


def test_views_and_cameras_are_centred_on_all_segments(slicer_scene, patients, specs):
    anna, _bert = patients
    shape = anna.GetImageData().GetDimensions()
    labels = np.zeros((1, *shape), dtype=np.uint8)
    labels[0, 1, 1, 1], labels[0, -1, -1, -1] = 1, 2
    node = result_on(slicer_scene, anna, labels, specs)
    camera = slicer_scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetPosition(0, 500, 0)
    camera.SetFocalPoint(0, 0, 0)
    centre_on(slicer_scene, node)
    middle = np.array(shape) / 2  # of the corners 0.5 and shape - 0.5
    for view in nodes_of(slicer_scene, "vtkMRMLSliceNode"):
        np.testing.assert_allclose(affine_from_matrix(view.GetSliceToRAS())[:3, 3], middle)
    np.testing.assert_allclose(camera.GetFocalPoint(), middle)
    side = np.subtract(camera.GetPosition(), middle)
    np.testing.assert_allclose(side / np.linalg.norm(side), (0, 1, 0), atol=1e-9)  # seen from where it was seen before
    radius = np.linalg.norm(np.array(shape) - 1) / 2
    assert radius <= np.linalg.norm(side) * np.sin(np.radians(camera.GetViewAngle() / 2)) + 1e-6


@pytest.fixture
def panel(slicer_scene, specs, spin):
    from medseg.desktop.panel.panel import Panel

    process = FakeProcess()
    bundles = {"one": Bundle(Path(), small_manifest(model_id="one", labels=specs))}
    made = Panel(slicer_scene, process.made_for, find_models=lambda: bundles)
    made.process, made.spin = process, spin
    made.widget.show()
    yield made
    made.close()


def owner(panel):
    import slicer

    return slicer.util.childWidgetVariables(panel.results.widget).ownerLabel.text


def finish_run(panel, array, specs, affine):
    panel.spin(lambda: panel.queue.current is not None)
    job = panel.process.jobs[-1]
    write_segmentation(Path(job.output), Image(array, affine), specs)
    panel.process.tell(Finished((job.output,), "cpu", 1.25))


def test_after_add_all_volumes_the_last_result_alone_is_seen_and_the_panel_says_whose_it_is(
    panel, slicer_scene, patients, array, specs
):
    anna, _bert = patients
    panel.parameters.set_inputs([anna])
    panel.apply_to_all()
    far = np.diag([3.0, 3.0, 3.0, 1.0])
    far[:3, 3] = 400
    finish_run(panel, array, specs, np.eye(4))
    assert owner(panel) == "On Anna"
    assert backgrounds(slicer_scene)[0] == "Anna"
    finish_run(panel, array, specs, far)
    assert panel.results.node.GetName() == "Bert segmentation"
    assert owner(panel) == "On Bert, not on the volume chosen above"
    assert backgrounds(slicer_scene)[0] == "Bert"
    assert [is_visible(each) for each in nodes_of(slicer_scene, "vtkMRMLSegmentationNode")] == [False, True]


def test_jumping_to_a_segment_brings_its_own_image_behind_it(panel, slicer_scene, patients, array, specs):
    node = result_on(slicer_scene, patients[0], array, specs)
    panel.results.show(node)
    assert backgrounds(slicer_scene) == ("Bert", "Bert")  # a scene that was opened is seen as it was saved
    table = panel.results.widget.findChild("QWidget", "segmentsTable")
    table.setSelectedSegmentIDs(["Segment_1"])
    panel.results.go()
    assert backgrounds(slicer_scene) == ("Anna", None)


def test_a_result_that_the_user_chooses_is_shown_on_its_volume(panel, slicer_scene, patients, array, specs):
    mine, hers = (result_on(slicer_scene, each, array, specs, each.GetName()) for each in patients)
    panel.results.show(hers)
    selector = panel.results.widget.findChild("QWidget", "segmentationSelector")
    selector.setCurrentNode(mine)
    selector.nodeActivated.emit(mine)
    assert backgrounds(slicer_scene) == ("Anna", None)
    assert (is_visible(mine), is_visible(hers)) == (True, False)


def test_a_volume_that_the_user_chooses_is_shown_with_its_own_result(panel, slicer_scene, patients, array, specs):
    anna, _bert = patients
    mine, hers = (result_on(slicer_scene, each, array, specs, each.GetName()) for each in patients)
    panel.results.show(hers)
    (selector,) = panel.choices.inputs.selectors
    selector.setCurrentNode(anna)
    selector.nodeActivated.emit(anna)
    assert backgrounds(slicer_scene) == ("Anna", None)
    assert panel.results.node is mine
    assert owner(panel) == "On Anna"
    assert (is_visible(mine), is_visible(hers)) == (True, False)


def test_while_the_user_is_elsewhere_no_view_changes_and_nothing_lies_over_another_image(
    panel, slicer_scene, patients, array, specs
):
    anna, _bert = patients
    panel.parameters.set_inputs([anna])
    panel.apply()
    panel.widget.hide()
    finish_run(panel, array, specs, np.eye(4))
    node = panel.results.node
    assert backgrounds(slicer_scene) == ("Bert", "Bert")
    assert not is_visible(node)
    panel.widget.show()
    panel.enter()
    assert backgrounds(slicer_scene) == ("Anna", None)
    assert is_visible(node)
    panel.spin(lambda: node.GetSegmentation().ContainsRepresentation("Closed surface"))


def test_the_panel_says_that_the_volume_of_a_result_is_gone(panel, slicer_scene, patients, array, specs):
    anna, _bert = patients
    panel.results.show(result_on(slicer_scene, anna, array, specs))
    slicer_scene.RemoveNode(anna)
    panel.refresh()
    assert owner(panel) == "The volume it was drawn on is no longer in the scene."
