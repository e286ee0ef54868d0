"""The panel's behaviour on a real scene; its widgets and its process are stand-ins, so no Qt is needed."""

from pathlib import Path

import numpy as np
import pytest

from fake_panel import FakeControls, FakeProcess

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.bundles.catalogue import Bundle
from medseg.desktop import panel as panel_module
from medseg.desktop.panel import Panel
from medseg.desktop.results import read_provenance
from medseg.imaging.image import Image
from medseg.io.write import write_segmentation
from medseg.mrml.segmentations import labels_from_segmentation
from medseg.mrml.volumes import image_from_volume_node, volume_node_from_image
from medseg.spec.errors import JobError, MissingDependency
from medseg.spec.events import CANCELLED, Failed, Finished, Progress, Warned
from medseg.spec.manifest import ChannelSpec, IntensityRule, ModelManifest


def manifest(model_id, specs, *channels):
    return ModelManifest(
        model_id=model_id,
        title=model_id.title(),
        version="1.0.0",
        description="",
        network="ultralight_unet",
        labels=specs,
        channels=tuple(ChannelSpec(name=name, modality="MR", pattern=name) for name in channels),
        intensity=IntensityRule(kind="zscore"),
        window_shape=(16, 16, 16),
        anatomy="anything",
        intended_use="tests",
        licence="Apache-2.0",
        authors="nobody",
        training_data="none",
    )


@pytest.fixture(autouse=True)
def _bundles(monkeypatch, specs):
    found = {
        "one": Bundle(Path(), manifest("one", specs, "T1")),
        "two": Bundle(Path(), manifest("two", specs, "T1", "FLAIR")),
    }
    monkeypatch.setattr(panel_module, "catalogue", lambda: found)


@pytest.fixture
def process():
    return FakeProcess()


@pytest.fixture
def panel(scene, process):
    made = Panel(scene, process.made_for, controls=FakeControls(), versions={"Slicer": "5.12"})
    yield made
    made.close()


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array.astype(np.float32), affines[-2]), "brain T1")


@pytest.fixture
def ready(panel, volume):
    panel.controls.inputs[0].setCurrentNode(volume)
    return panel


def answer(process, specs, array, affine):
    """What a worker does: write the labels, then say so."""
    job = process.jobs[-1]
    write_segmentation(Path(job.output), Image(array, affine), specs)
    process.tell(Finished((job.output,), "cpu", 1.25))


def test_apply_waits_for_a_volume(panel, volume):
    assert not panel.controls.apply.is_enabled
    panel.controls.inputs[0].setCurrentNode(volume)
    assert panel.controls.apply.is_enabled
    panel.controls.inputs[0].setCurrentNode(None)
    assert not panel.controls.apply.is_enabled


def test_every_control_is_in_the_job(ready, process, scene):
    roi = scene.AddNode(slicer.vtkMRMLMarkupsROINode())
    roi.SetRadiusXYZ(4, 5, 6)
    roi.SetCenter(1, 2, 3)
    controls = ready.controls
    controls.device.choose("cpu")
    controls.overlap.choose(0.25)
    controls.mirror.choose("off")
    controls.roi.setCurrentNode(roi)
    controls.apply.click()
    (job,) = process.jobs
    assert job.model == "one"
    assert (job.options.device, job.options.overlap, job.options.mirror) == ("cpu", 0.25, False)
    np.testing.assert_allclose(job.options.roi_ras_mm, (-3, 5, -3, 7, -3, 9))


def test_while_it_runs_only_cancel_can_be_pressed(ready, process):
    ready.controls.apply.click()
    assert ready.is_busy
    assert not ready.controls.apply.is_enabled
    assert ready.controls.cancel.is_enabled
    assert ready.controls.progress.is_visible
    process.tell(Progress("windows", 2, 4, 3.0))
    assert 0 < ready.controls.progress.number < 100
    assert "3 s left" in ready.controls.status.text


def test_the_answer_becomes_segments_under_the_volumes_transform(
    ready, process, scene, volume, specs, array, hang, motion
):
    hang(volume, motion)
    ready.controls.apply.click()
    process.tell(Warned("the spacing is odd"))
    answer(process, specs, array, image_from_volume_node(volume).affine)
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    labels, names = labels_from_segmentation(node, volume)
    np.testing.assert_array_equal(labels.array, array)
    assert names == tuple(spec.name for spec in specs)
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    assert not ready.is_busy
    assert "Done in 1.2 s on cpu" in ready.controls.status.text
    assert "the spacing is odd" in ready.controls.status.text
    assert read_provenance(node)[0]["versions"] == {"Slicer": "5.12"}


def test_the_segments_follow_a_volume_that_was_moved_meanwhile(
    ready, process, scene, volume, specs, array, affines, hang, motion
):
    ready.controls.apply.click()
    hang(volume, motion)
    answer(process, specs, array, affines[-2])
    labels, _ = labels_from_segmentation(scene.GetFirstNodeByClass("vtkMRMLSegmentationNode"), volume)
    np.testing.assert_array_equal(labels.array, array)


def test_a_volume_that_was_deleted_meanwhile_does_not_cost_the_result(
    ready, process, scene, volume, specs, array, affines
):
    ready.controls.apply.click()
    ready.controls.inputs[0].setCurrentNode(None)
    scene.RemoveNode(volume)
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_adding_to_a_segmentation_is_one_step_that_can_be_taken_back(
    ready, process, scene, volume, specs, array, affines
):
    for _ in range(2):
        ready.controls.apply.click()
        answer(process, specs, array, affines[-2])
        node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        ready.controls.output.setCurrentNode(node)
    assert node.GetSegmentation().GetNumberOfSegments() == 6
    ready.controls.undo.click()
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    labels, _ = labels_from_segmentation(node, volume)
    np.testing.assert_array_equal(labels.array, array)
    assert not ready.controls.undo.is_enabled


def test_replacing_and_undoing_gives_the_old_voxels_back(ready, process, scene, volume, specs, array, affines):
    ready.controls.apply.click()
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    ready.controls.output.setCurrentNode(node)
    ready.controls.mode.choose("replace")
    ready.controls.apply.click()
    answer(process, specs, array[:, ::-1].copy(), affines[-2])
    np.testing.assert_array_equal(labels_from_segmentation(node, volume)[0].array, array[:, ::-1])
    ready.controls.undo.click()
    np.testing.assert_array_equal(labels_from_segmentation(node, volume)[0].array, array)


def test_cancel_changes_nothing_and_leaves_nothing(ready, process, scene):
    ready.controls.apply.click()
    folder = Path(process.jobs[0].output).parent
    ready.controls.cancel.click()
    assert process.cancels == 1
    process.tell(Failed(CANCELLED, is_bug=False))
    assert not ready.is_busy
    assert "nothing was changed" in ready.controls.status.text
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not folder.exists()


def test_a_crash_is_a_message_and_the_panel_can_go_on(ready, process):
    ready.controls.apply.click()
    process.tell(Failed("the worker was ended by SIGSEGV", is_bug=True))
    assert "SIGSEGV" in ready.controls.status.text
    assert ready.controls.apply.is_enabled


def test_what_is_wrong_with_the_choices_is_said_in_the_panel(ready, process, volume, warp):
    warp(volume)
    ready.controls.apply.click()
    assert "non-linear transform" in ready.controls.status.text
    assert process.jobs == []
    assert ready.controls.apply.is_enabled


def test_a_worker_that_cannot_even_be_looked_for_is_a_line_in_the_panel(ready, process, monkeypatch):
    def refuse(_job):
        msg = "PythonSlicer was not found"
        raise JobError(msg)

    monkeypatch.setattr(process, "start", refuse)
    ready.controls.apply.click()
    assert ready.controls.status.text == "PythonSlicer was not found"
    assert not ready.is_busy
    assert ready.controls.apply.is_enabled


def test_a_missing_package_is_asked_for_on_apply_and_not_before(scene, process, volume):
    def refuse():
        msg = "PyTorch was not installed"
        raise MissingDependency(msg)

    panel = Panel(scene, process.made_for, ensure_packages=refuse, controls=FakeControls())
    panel.controls.inputs[0].setCurrentNode(volume)
    assert panel.controls.status.text == ""
    panel.controls.apply.click()
    assert panel.controls.status.text == "PyTorch was not installed"
    assert process.jobs == []


def test_a_model_of_two_channels_gets_its_volumes_by_name(panel, scene, array):
    flair = volume_node_from_image(scene, Image(array), "FLAIR")
    t1 = volume_node_from_image(scene, Image(array), "T1 map")
    panel.controls.model.choose("two")
    assert [selector.currentNode() for selector in panel.controls.inputs] == [t1, flair]
    assert panel.controls.apply.is_enabled
    panel.controls.model.choose("one")
    assert len(panel.controls.inputs) == 1


def test_closing_the_panel_ends_the_worker_and_removes_the_job(ready, process):
    ready.controls.apply.click()
    folder = Path(process.jobs[0].output).parent
    ready.close()
    assert process.is_closed
    assert not folder.exists()


def test_surfaces_are_made_when_asked_for(ready, process, scene, specs, array, affines):
    ready.controls.apply.click()
    answer(process, specs, array, affines[-2])
    ready.controls.show_3d.click()
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
