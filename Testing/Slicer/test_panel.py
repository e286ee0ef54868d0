"""The panel's behaviour on a real scene; its widgets and its process are stand-ins, so no Qt is needed."""

from pathlib import Path

import numpy as np
import pytest

from fake_panel import FakeControls, FakeProcess

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.bundles.catalogue import Bundle
from medseg.desktop import landing as landing_module
from medseg.desktop import panel as panel_module
from medseg.desktop.panel import Panel
from medseg.desktop.results import read_provenance
from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_segmentation
from medseg.mrml.segmentations import labels_from_segmentation, voxels
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
    assert ready.controls.undo.text == "R&edo"
    ready.controls.undo.click()
    assert node.GetSegmentation().GetNumberOfSegments() == 6
    assert ready.controls.undo.text == "&Undo"


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


@pytest.fixture
def joined(ready, process, scene, specs, array, affines):
    """A segmentation with two results in it; the second can be undone."""
    for _ in range(2):
        ready.controls.apply.click()
        answer(process, specs, array, affines[-2])
        node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        ready.controls.output.setCurrentNode(node)
    return node


def close(panel, scene):
    """File > Close Scene, as the module hears of it."""
    panel.leave_scene()
    scene.Clear(False)
    panel.set_scene(scene)


def test_an_answer_that_outlives_its_scene_is_dropped(ready, process, scene, specs, array, affines):
    ready.controls.apply.click()
    folder = Path(process.jobs[0].output).parent
    ready.controls.inputs[0].setCurrentNode(None)
    close(ready, scene)
    assert process.cancels == 1
    assert ready.is_busy
    other = volume_node_from_image(scene, Image(array.astype(np.float32), affines[3]), "another patient")
    answer(process, specs, array, affines[-2])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert "the result was dropped" in ready.controls.status.text
    assert not ready.is_busy
    assert not folder.exists()
    ready.controls.inputs[0].setCurrentNode(other)
    ready.controls.apply.click()
    answer(process, specs, array, affines[3])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


@pytest.mark.usefixtures("joined")
def test_a_closed_scene_leaves_nothing_to_undo_or_show(ready, scene):
    assert ready.controls.undo.is_enabled
    ready.controls.output.setCurrentNode(None)
    close(ready, scene)
    assert not ready.controls.undo.is_enabled
    assert not ready.controls.show_3d.is_enabled


def test_undo_does_not_take_manual_work_with_it(ready, joined):
    joined.GetSegmentation().AddEmptySegment("mine", "drawn by hand")
    ready.controls.undo.click()
    assert "changed by hand since" in ready.controls.status.text
    assert joined.GetSegmentation().GetNumberOfSegments() == 7
    assert not ready.controls.undo.is_enabled


def test_undo_sees_a_voxel_that_was_painted(ready, joined):
    labelmap = joined.GetSegmentation().GetNthSegment(3).GetRepresentation("Binary labelmap")
    voxels(labelmap)[0, 0, 0] = 1
    labelmap.Modified()
    ready.controls.undo.click()
    assert joined.GetSegmentation().GetNumberOfSegments() == 6


def test_showing_surfaces_is_no_manual_work(ready, joined):
    ready.controls.show_3d.click()
    ready.controls.undo.click()
    assert joined.GetSegmentation().GetNumberOfSegments() == 3


def test_undo_takes_the_note_of_the_run_back_and_redo_brings_it_again(ready, joined):
    assert len(read_provenance(joined)) == 2
    ready.controls.undo.click()
    assert len(read_provenance(joined)) == 1
    ready.controls.undo.click()
    assert len(read_provenance(joined)) == 2


def test_undo_of_a_segmentation_that_was_deleted_is_a_sentence(ready, joined, scene):
    ready.controls.output.setCurrentNode(None)
    scene.RemoveNode(joined)
    ready.controls.undo.click()
    assert "no longer in the scene" in ready.controls.status.text


def test_a_target_of_surfaces_is_refused_before_the_work_starts(ready, joined, process):
    joined.CreateClosedSurfaceRepresentation()
    joined.SetSourceRepresentationToClosedSurface()
    ready.controls.apply.click()
    assert "Closed surface" in ready.controls.status.text
    assert len(process.jobs) == 2
    assert not ready.is_busy


def test_a_result_that_can_no_longer_join_becomes_a_new_segmentation(
    ready, joined, process, scene, specs, array, affines
):
    ready.controls.apply.click()
    joined.CreateClosedSurfaceRepresentation()
    joined.SetSourceRepresentationToClosedSurface()
    answer(process, specs, array, affines[-2])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
    assert "it is in the new segmentation" in ready.controls.status.text
    assert "it is in the new segmentation" in ready.controls.log.lines[-1]
    assert not Path(process.jobs[-1].output).exists()


def test_a_target_deleted_meanwhile_is_told(ready, joined, process, scene, specs, array, affines):
    ready.controls.apply.click()
    ready.controls.output.setCurrentNode(None)
    scene.RemoveNode(joined)
    answer(process, specs, array, affines[-2])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert "no longer there; the segments are in the new segmentation" in ready.controls.status.text


def test_a_volume_bent_meanwhile_does_not_cost_the_result(ready, process, scene, volume, specs, array, affines, warp):
    ready.controls.apply.click()
    warp(volume)
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    assert "non-linear transform" in ready.controls.status.text


def test_a_result_nothing_can_show_is_kept_and_its_place_is_told(
    ready, process, specs, array, affines, monkeypatch, tmp_path
):
    def fail(*_arguments, **_named):
        msg = "VTK is out of sorts"
        raise RuntimeError(msg)

    monkeypatch.setattr(panel_module.tempfile, "mkdtemp", lambda **_: str(tmp_path))
    monkeypatch.setattr(landing_module, "show_labels", fail)
    ready.controls.apply.click()
    answer(process, specs, array, affines[-2])
    path = process.jobs[-1].output
    assert path in ready.controls.status.text
    np.testing.assert_array_equal(read_labels(Path(path)).array, array)
    assert not ready.is_busy
    assert ready.controls.apply.is_enabled


def test_apply_says_at_once_that_it_starts(ready):
    ready.controls.apply.click()
    assert ready.controls.status.painted == "Starting..."


@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError])
def test_a_job_that_never_started_leaves_no_folder(ready, process, monkeypatch, tmp_path, error):
    folder = tmp_path / "job"
    folder.mkdir()
    monkeypatch.setattr(panel_module.tempfile, "mkdtemp", lambda **_: str(folder))

    def fail(_job):
        raise error

    monkeypatch.setattr(process, "start", fail)
    with pytest.raises(error):
        ready.controls.apply.click()
    assert not folder.exists()
    assert not ready.is_busy
    assert ready.controls.apply.is_enabled


def test_labelmaps_and_colour_images_are_not_guessed_as_channels(panel, scene, array):
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "FLAIR")
    t1 = volume_node_from_image(scene, Image(array), "T1")
    panel.controls.model.choose("two")
    assert [selector.currentNode() for selector in panel.controls.inputs] == [t1, None]
