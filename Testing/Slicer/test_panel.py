"""The whole panel on a real scene: its real widgets on the Qt stand-in; what computes is told by the test."""

import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fake_process import FakeProcess

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene import importing as importing
from medseg.desktop.scene.results import read_provenance
from medseg.desktop.state.preferences import Preferences
from medseg.imaging.image import Image
from medseg.io.read import read_labels
from medseg.io.write import write_segmentation
from medseg.mrml.grids import ijk_to_world
from medseg.mrml.rois import roi_bounds, roi_voxels
from medseg.mrml.segmentations import labels_from_segmentation, voxels
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.errors import JobError, MissingDependency
from medseg.spec.events import Described, Device, Failed, Finished, Progress, Stopped, Warned
from medseg.spec.manifest import ChannelSpec
from medseg.spec.postprocess import PostprocessRule
from mrml_nodes import volume_node_from_image
from small_manifest import small_manifest


def manifest(model_id, specs, *channels):
    return small_manifest(
        model_id=model_id,
        title=model_id.title(),
        labels=specs,
        channels=tuple(ChannelSpec(name=name, modality="MR", pattern=name) for name in channels),
    )


@pytest.fixture
def bundles(specs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    picture = Path(__file__).resolve().parents[2] / "Models" / "hippocampus-ultralight3d" / "docs" / "picture.png"
    (folder / "docs").mkdir()
    shutil.copy(picture, folder / "docs")
    return {
        "one": Bundle(Path(), manifest("one", specs, "T1")),
        "two": Bundle(folder, manifest("two", specs, "T1", "FLAIR")),
    }


@pytest.fixture
def process():
    return FakeProcess()


class Driver:
    """What a user does with the panel, and what they see of it."""

    def __init__(self, panel, process, spin):
        self.panel, self.process, self._spin = panel, process, spin
        self.names, self.log = panel.names, panel.log

    @property
    def inputs(self):
        return self.panel.choices.inputs.selectors

    @property
    def status(self):
        return self.names.status.text

    @property
    def results(self):
        return self.panel.results.widget

    def control(self, name):
        """A control by the name it has in its .ui file."""
        import qt

        return self.panel.widget.findChild(qt.QWidget, name)

    def apply(self):
        assert self.names.apply.enabled, "a user cannot click what is disabled"
        self.names.apply.click()
        self._spin(lambda: self.panel.queue.current is not None or not self.panel.queue.is_busy)

    def wait(self):
        self._spin(lambda: self.panel.queue.current is not None)

    def undo(self):
        assert self.control("undoButton").enabled, "a user cannot click what is disabled"
        self.control("undoButton").click()

    def redo(self):
        assert self.control("redoButton").enabled, "a user cannot click what is disabled"
        self.control("redoButton").click()

    def idle(self):
        """Let Qt's loop turn some times, in which nothing is expected to happen."""
        turns = iter(range(5))
        self._spin(lambda: next(turns) == 4)

    def choose(self, box, value):
        box.setCurrentIndex(next(n for n in range(box.count) if box.itemData(n) == value))


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene


@pytest.fixture
def panel(scene, process, bundles, spin):
    from medseg.desktop.panel.panel import Panel

    made = Panel(scene, process.made_for, versions={"Slicer": "5.12"}, find_models=lambda: bundles)
    made.widget.show()
    yield Driver(made, process, spin)
    made.close()


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array.astype(np.float32), affines[-2]), "brain T1")


@pytest.fixture
def ready(panel, volume):
    panel.inputs[0].setCurrentNode(volume)
    return panel


def answer(process, specs, array, affine):
    """What a worker does: write the labels, then say so."""
    job = process.jobs[-1]
    write_segmentation(Path(job.output), Image(array, affine), specs)
    process.tell(Finished((job.output,), "cpu", 1.25))


def test_apply_waits_for_a_volume(panel, volume):
    assert not panel.names.apply.enabled
    panel.inputs[0].setCurrentNode(volume)
    assert panel.names.apply.enabled
    panel.inputs[0].setCurrentNode(None)
    assert not panel.names.apply.enabled


def test_every_control_is_in_the_job(ready, process, scene, volume):
    roi = scene.AddNode(slicer.vtkMRMLMarkupsROINode())
    roi.SetRadiusXYZ(4, 5, 6)
    roi.SetCenter(*(ijk_to_world(volume) @ [4, 3, 2, 1])[:3])
    ready.choose(ready.control("device"), "cpu")
    ready.choose(ready.control("overlap"), 0.25)
    ready.choose(ready.control("mirror"), False)
    ready.control("roi").setCurrentNode(roi)
    ready.control("quick").click()
    ready.choose(ready.control("rule"), True)
    ready.control("minIsland").setValue(12.5)
    ready.control("probabilitiesBox").click()
    ready.apply()
    (job,) = process.jobs
    assert job.model == "one"
    assert job.options.device == "cpu"
    assert (job.options.overlap, job.options.mirror, job.options.spacing_factor) == (0.25, False, 2.0)
    assert job.options.postprocess == PostprocessRule(min_island_mm3=12.5)
    assert job.probabilities is not None
    assert job.options.roi_voxels == roi_voxels(roi, volume)
    assert job.options.roi_ras_mm is None


def test_a_region_beside_one_of_all_volumes_stops_that_row_alone(ready, process, scene, volume, array, affines, spin):
    far = affines[3].copy()
    far[:3, 3] += 900
    volume_node_from_image(scene, Image(array.astype(np.float32), far), "second scan")
    roi = scene.AddNode(slicer.vtkMRMLMarkupsROINode())
    roi.SetSize(2, 3, 4)
    roi.SetCenter(*(ijk_to_world(volume) @ [4, 3, 2, 1])[:3])
    ready.control("roi").setCurrentNode(roi)
    ready.control("allButton").click()
    spin(lambda: len(process.jobs) == 1)
    process.tell(Failed("as the worker says", is_bug=False))
    spin(lambda: len(process.jobs) == 2)
    assert {job.options.roi_voxels for job in process.jobs} == {roi_voxels(roi, volume), None}
    assert {job.options.roi_ras_mm for job in process.jobs} == {roi_bounds(roi), None}


def test_while_it_runs_it_can_be_cancelled_and_progress_is_shown(ready, process):
    ready.apply()
    assert ready.panel.queue.is_busy
    assert ready.names.cancel.enabled
    assert not ready.control("undoButton").enabled
    assert ready.names.progress.visible
    process.tell(Progress("windows", 2, 4, 3.0))
    assert 0 < ready.names.progress.value < 100
    assert "a few seconds left" in ready.status


def test_the_answer_becomes_segments_under_the_volumes_transform(
    ready, process, scene, volume, specs, array, hang, motion
):
    hang(volume, motion)
    ready.apply()
    process.tell(Warned("the spacing is odd"))
    answer(process, specs, array, image_from_volume_node(volume).affine)
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    labels, names = labels_from_segmentation(node, volume)
    np.testing.assert_array_equal(labels.array, array)
    assert names == tuple(spec.name for spec in specs)
    assert node.GetParentTransformNode() is volume.GetParentTransformNode()
    assert not ready.panel.queue.is_busy
    assert "Done in 1.2 s on cpu" in ready.status
    assert "the spacing is odd" in ready.status
    assert read_provenance(node)[0]["versions"] == {"Slicer": "5.12"}


def test_the_segments_follow_a_volume_that_was_moved_meanwhile(
    ready, process, scene, volume, specs, array, affines, hang, motion
):
    ready.apply()
    hang(volume, motion)
    answer(process, specs, array, affines[-2])
    labels, _ = labels_from_segmentation(scene.GetFirstNodeByClass("vtkMRMLSegmentationNode"), volume)
    np.testing.assert_array_equal(labels.array, array)


def test_a_volume_that_was_deleted_meanwhile_does_not_cost_the_result(
    ready, process, scene, volume, specs, array, affines
):
    ready.apply()
    ready.inputs[0].setCurrentNode(None)
    scene.RemoveNode(volume)
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_adding_to_a_segmentation_is_one_step_that_can_be_taken_back(
    ready, process, scene, volume, specs, array, affines
):
    for _ in range(2):
        ready.apply()
        answer(process, specs, array, affines[-2])
        node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        ready.names.output.setCurrentNode(node)
    assert node.GetSegmentation().GetNumberOfSegments() == 6
    ready.undo()
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    labels, _ = labels_from_segmentation(node, volume)
    np.testing.assert_array_equal(labels.array, array)
    ready.undo()  # what made it new
    assert node.GetSegmentation().GetNumberOfSegments() == 0
    assert "is empty, as it was before" in ready.status
    assert not ready.control("undoButton").enabled
    for count in (3, 6):
        ready.redo()
        assert node.GetSegmentation().GetNumberOfSegments() == count
    assert ready.control("redoButton").isHidden()
    assert ready.control("undoButton").enabled


def test_replacing_and_undoing_gives_the_old_voxels_back(ready, process, scene, volume, specs, array, affines):
    ready.apply()
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    ready.names.output.setCurrentNode(node)
    ready.choose(ready.names.mode, "replace")
    ready.apply()
    answer(process, specs, array[:, ::-1].copy(), affines[-2])
    np.testing.assert_array_equal(labels_from_segmentation(node, volume)[0].array, array[:, ::-1])
    ready.undo()
    np.testing.assert_array_equal(labels_from_segmentation(node, volume)[0].array, array)


def test_cancel_changes_nothing_and_leaves_nothing(ready, process, scene):
    ready.apply()
    folder = Path(process.jobs[0].output).parent
    ready.names.cancel.click()
    assert process.cancels == 1
    process.tell(Stopped())
    assert not ready.panel.queue.is_busy
    assert "nothing was changed" in ready.status
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not folder.exists()


def test_a_crash_is_a_message_and_the_panel_can_go_on(ready, process):
    ready.apply()
    process.tell(Failed("the worker was ended by SIGSEGV", is_bug=True))
    assert "SIGSEGV" in ready.status
    assert ready.names.apply.enabled


def test_what_is_wrong_with_the_choices_is_said_in_the_panel(ready, process, volume, warp):
    warp(volume)
    ready.apply()
    assert "non-linear transform" in ready.status
    assert process.jobs == []
    assert ready.names.apply.enabled


def test_a_worker_that_cannot_even_be_looked_for_is_a_line_in_the_panel(ready, process, monkeypatch):
    def refuse(_job):
        msg = "PythonSlicer was not found"
        raise JobError(msg)

    monkeypatch.setattr(process, "start", refuse)
    ready.apply()
    assert ready.status == "PythonSlicer was not found"
    assert not ready.panel.queue.is_busy
    assert ready.names.apply.enabled


def test_a_missing_package_is_asked_for_on_apply_and_not_before(scene, process, volume, bundles, spin):
    class Closed:
        def ensure(self):
            msg = "PyTorch was not installed"
            raise MissingDependency(msg)

        def state(self):
            return "not installed"

        def may_add(self, _package):
            return False

    from medseg.desktop.panel.panel import Panel

    made = Panel(scene, process.made_for, installer=Closed(), find_models=lambda: bundles)
    panel = Driver(made, process, spin)
    panel.inputs[0].setCurrentNode(volume)
    assert panel.status == ""
    panel.apply()
    assert panel.status == "PyTorch was not installed"
    assert process.jobs == []


def test_pressing_apply_again_while_something_is_installed_orders_nothing_twice(scene, process, volume, bundles, spin):
    from medseg.desktop.panel.panel import Panel

    class Slow:
        """Lets events through, as Slicer's installer does."""

        def ensure(self):
            made.names.apply.click()

        def state(self):
            return ""

        def may_add(self, _package):
            return False

    made = Panel(scene, process.made_for, installer=Slow(), find_models=lambda: bundles)
    panel = Driver(made, process, spin)
    panel.inputs[0].setCurrentNode(volume)
    panel.apply()
    assert [row.number for row in made.queue.rows] == [1]
    made.close()


def test_where_the_output_is_deleted_no_other_segmentation_takes_its_place(ready, scene):
    first, _second = (scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in ("one", "two"))
    ready.names.output.setCurrentNode(first)
    scene.RemoveNode(first)
    assert ready.panel.parameters.node("output") is None
    assert ready.names.output.currentNode() is None


def test_of_two_volumes_of_one_name_the_chosen_one_is_segmented(ready, scene, array):
    match = volume_node_from_image(scene, Image(array.astype(np.float32)), "other")
    match.SetName("brain T1")
    # Slicer tells of another node where the text of the selector changes; of what a user does it tells always.
    selector = ready.inputs[0]
    selector.blockSignals(True)
    selector.setCurrentNode(match)
    selector.blockSignals(False)
    selector.nodeActivated.emit(match)
    assert ready.panel.parameters.inputs(1)[0] is match


def test_a_panel_that_was_closed_lists_no_nodes_and_may_be_closed_again(ready, scene):
    ready.panel.close()
    scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "later")
    assert all(each.mrmlScene() is None for each in (ready.names.output, *ready.inputs))
    ready.panel.close()


def test_a_model_of_two_channels_gets_its_volumes_by_name(panel, scene, array):
    flair = volume_node_from_image(scene, Image(array), "FLAIR")
    t1 = volume_node_from_image(scene, Image(array), "T1 map")
    panel.panel.parameters.change(model="two")
    assert [selector.currentNode() for selector in panel.inputs] == [t1, flair]
    assert panel.names.apply.enabled
    panel.panel.parameters.change(model="one")
    assert len(panel.inputs) == 1


def test_closing_the_panel_ends_the_worker_and_removes_the_job(ready, process):
    ready.apply()
    folder = Path(process.jobs[0].output).parent
    ready.panel.close()
    assert process.is_closed
    assert not folder.exists()


def test_surfaces_of_a_result_are_there_without_asking_and_hidden_when_asked_for(
    ready, process, scene, specs, array, affines, spin
):
    ready.apply()
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    spin(lambda: ready.control("show3dButton").text == "Hide &3D")
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert node.GetDisplayNode().GetVisibility3D()
    ready.control("show3dButton").click()
    assert not node.GetDisplayNode().GetVisibility3D()


@pytest.fixture
def joined(ready, process, scene, specs, array, affines):
    """A segmentation with two results in it; the second can be undone."""
    for _ in range(2):
        ready.apply()
        answer(process, specs, array, affines[-2])
        node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
        ready.names.output.setCurrentNode(node)
    return node


def close(ready, scene):
    """File > Close Scene, as the module hears of it."""
    ready.panel.leave_scene()
    scene.Clear(False)
    ready.panel.set_scene(scene)


def test_an_answer_that_outlives_its_scene_is_dropped(ready, process, scene, specs, array, affines):
    ready.apply()
    folder = Path(process.jobs[0].output).parent
    ready.inputs[0].setCurrentNode(None)
    close(ready, scene)
    assert process.cancels == 1
    assert ready.panel.queue.is_busy
    other = volume_node_from_image(scene, Image(array.astype(np.float32), affines[3]), "another patient")
    answer(process, specs, array, affines[-2])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert "the result was dropped" in ready.status
    assert not ready.panel.queue.is_busy
    assert not folder.exists()
    ready.inputs[0].setCurrentNode(other)
    ready.apply()
    answer(process, specs, array, affines[3])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


@pytest.mark.usefixtures("joined")
def test_a_closed_scene_leaves_nothing_to_undo_or_show(ready, scene):
    assert ready.control("undoButton").enabled
    ready.names.output.setCurrentNode(None)
    close(ready, scene)
    assert not ready.control("undoButton").enabled
    assert not ready.results.visible


def test_undo_does_not_take_manual_work_with_it(ready, joined):
    joined.GetSegmentation().AddEmptySegment("mine", "drawn by hand")
    ready.undo()
    assert "changed by hand since" in ready.status
    assert joined.GetSegmentation().GetNumberOfSegments() == 7


def test_a_change_by_hand_that_was_taken_back_by_hand_is_none(ready, joined):
    segment = joined.GetSegmentation().GetNthSegment(0)
    name = segment.GetName()
    segment.SetName("renamed")
    ready.undo()
    assert "changed by hand since" in ready.status
    segment.SetName(name)
    ready.undo()
    assert joined.GetSegmentation().GetNumberOfSegments() == 3


def test_undo_sees_a_voxel_that_was_painted(ready, joined):
    labelmap = joined.GetSegmentation().GetNthSegment(3).GetRepresentation("Binary labelmap")
    voxels(labelmap)[0, 0, 0] = 1
    labelmap.Modified()
    ready.undo()
    assert joined.GetSegmentation().GetNumberOfSegments() == 6


def test_showing_surfaces_is_no_manual_work(ready, joined):
    joined.CreateClosedSurfaceRepresentation()
    ready.undo()
    assert joined.GetSegmentation().GetNumberOfSegments() == 3


def test_undo_takes_the_note_of_the_run_back_and_redo_brings_it_again(ready, joined):
    assert len(read_provenance(joined)) == 2
    ready.undo()
    assert len(read_provenance(joined)) == 1
    ready.redo()
    assert len(read_provenance(joined)) == 2


def test_a_segmentation_that_was_deleted_has_nothing_to_undo(ready, joined, scene):
    ready.names.output.setCurrentNode(None)
    scene.RemoveNode(joined)
    ready.panel.refresh()
    assert not ready.control("undoButton").enabled


def test_two_queued_replacements_are_taken_back_one_after_the_other(
    ready, process, scene, volume, specs, array, affines
):
    ready.apply()
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    ready.names.output.setCurrentNode(node)
    ready.choose(ready.names.mode, "replace")
    ready.apply()
    ready.apply()
    for axis in (1, 2):
        ready.wait()
        answer(process, specs, np.flip(array, axis).copy(), affines[-2])
    for found in (np.flip(array, 1), array):
        ready.undo()
        np.testing.assert_array_equal(labels_from_segmentation(node, volume)[0].array, found)
    for axis in (1, 2):
        ready.redo()
        np.testing.assert_array_equal(labels_from_segmentation(node, volume)[0].array, np.flip(array, axis))


def test_undo_is_about_the_segmentation_that_is_looked_at(ready, joined, scene):
    other = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "other")
    assert joined.GetName() in ready.control("undoButton").toolTip
    ready.control("segmentationSelector").setCurrentNode(other)
    assert not ready.control("undoButton").enabled
    ready.control("segmentationSelector").setCurrentNode(joined)
    ready.undo()
    assert joined.GetName() in ready.status
    assert joined.GetSegmentation().GetNumberOfSegments() == 3


def test_a_code_that_was_edited_is_manual_work(ready, joined):
    segment = joined.GetSegmentation().GetNthSegment(0)
    code = "mine~SCT^123^Anatomy~SCT^456^Other~^^~mine~^^~^^"
    segment.SetTag(segment.GetTerminologyEntryTagName(), code)
    ready.undo()
    assert "changed by hand since" in ready.status
    assert segment.GetTerminology() == code


def test_a_target_of_surfaces_is_refused_before_the_work_starts(ready, joined, process):
    joined.CreateClosedSurfaceRepresentation()
    joined.SetSourceRepresentationToClosedSurface()
    ready.apply()
    assert "Closed surface" in ready.status
    assert len(process.jobs) == 2
    assert not ready.panel.queue.is_busy


def test_a_result_that_can_no_longer_join_becomes_a_new_segmentation(
    ready, joined, process, scene, specs, array, affines
):
    ready.apply()
    joined.CreateClosedSurfaceRepresentation()
    joined.SetSourceRepresentationToClosedSurface()
    answer(process, specs, array, affines[-2])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
    assert "it is in the new segmentation" in ready.status
    assert "it is in the new segmentation" in ready.log.text()
    assert not Path(process.jobs[-1].output).exists()


def test_a_target_deleted_meanwhile_is_told(ready, joined, process, scene, specs, array, affines):
    ready.apply()
    ready.names.output.setCurrentNode(None)
    scene.RemoveNode(joined)
    answer(process, specs, array, affines[-2])
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert "no longer there; the segments are in the new segmentation" in ready.status


def test_a_volume_bent_meanwhile_does_not_cost_the_result(ready, process, scene, volume, specs, array, affines, warp):
    ready.apply()
    warp(volume)
    answer(process, specs, array, affines[-2])
    node = scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    assert "non-linear transform" in ready.status


def test_a_result_nothing_can_show_is_kept_and_its_place_is_told(
    ready, process, specs, array, affines, monkeypatch, tmp_path
):
    def fail(*_arguments, **_named):
        msg = "VTK is out of sorts"
        raise RuntimeError(msg)

    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(tmp_path))
    monkeypatch.setattr(importing, "show_labels", fail)
    ready.apply()
    answer(process, specs, array, affines[-2])
    path = process.jobs[-1].output
    assert path in ready.status
    np.testing.assert_array_equal(read_labels(Path(path)).array, array)
    assert not ready.panel.queue.is_busy
    assert ready.names.apply.enabled


@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError])
def test_a_job_that_never_started_leaves_no_folder(ready, process, monkeypatch, tmp_path, error, qt_errors):
    folder = tmp_path / "job"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(folder))

    def fail(_job):
        raise error

    monkeypatch.setattr(process, "start", fail)
    ready.apply()
    assert error.__name__ in "".join(qt_errors)  # a bug of ours, told where Qt tells those of slots
    qt_errors.clear()
    assert not folder.exists()
    assert not ready.panel.queue.is_busy
    assert ready.names.apply.enabled


def test_labelmaps_and_colour_images_are_not_guessed_as_channels(panel, scene, array, spin):
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "FLAIR")
    t1 = volume_node_from_image(scene, Image(array), "T1")
    panel.panel.parameters.change(model="two")
    assert [selector.currentNode() for selector in panel.inputs] == [None, None]
    scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "FLAIR")
    flair = volume_node_from_image(scene, Image(array), "a FLAIR")
    spin(lambda: panel.names.apply.enabled)
    assert [selector.currentNode() for selector in panel.inputs] == [t1, flair]


def test_two_volumes_run_one_after_the_other(ready, process, scene, specs, array, affines, spin):
    volume_node_from_image(scene, Image(array.astype(np.float32), affines[3]), "second scan")
    ready.control("allButton").click()
    spin(lambda: len(process.jobs) == 1)
    assert [row.state.value for row in ready.panel.queue.rows] == ["running", "waiting"]
    answer(process, specs, array, affines[-2])
    spin(lambda: len(process.jobs) == 2)
    answer(process, specs, array, affines[3])
    assert [row.state.value for row in ready.panel.queue.rows] == ["done", "done"]
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2


def test_choices_are_saved_with_the_scene_and_come_back(ready, scene, tmp_path):
    ready.choose(ready.control("overlap"), 0.25)
    ready.control("entropyBox").click()
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    close(ready, scene)
    assert ready.control("overlap").itemData(ready.control("overlap").currentIndex) is None
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Import()
    ready.panel.set_scene(scene)
    assert ready.control("overlap").itemData(ready.control("overlap").currentIndex) == 0.25
    assert ready.control("entropyBox").checked
    titles = [button.text for button in ready.panel.sections.buttons]
    assert any("Performance" in title and "Overlap" in title for title in titles)


_LONG = (
    "no weights for mirroring were found, so that each window was computed once; the edges are less smooth than usual"
)


@pytest.mark.parametrize("model", ["one", "two"])
@pytest.mark.parametrize("output", ["new", "existing"])
@pytest.mark.parametrize("measured", [False, True], ids=["segments", "statistics"])
def test_the_panel_fits_a_window_of_900_pixels(
    panel, process, scene, specs, array, affines, volume, spin, grab, tmp_path, model, output, measured
):
    flair = volume_node_from_image(scene, Image(array.astype(np.float32), affines[-2]), "brain FLAIR")
    panel.panel.parameters.change(model=model)
    panel.panel.parameters.set_inputs([volume, flair][: len(panel.inputs)])
    if output == "existing":
        panel.panel.parameters.set_node("output", scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand"))
    panel.apply()
    assert_fits(panel, grab, tmp_path / "running.png")
    process.tell(Warned(_LONG))
    answer(process, specs, array, affines[-2])
    assert panel.results.visible
    if measured:
        measure(panel, spin)
    assert _LONG in panel.status
    assert panel.control("picture").isHidden() == (model == "one")
    assert_fits(panel, grab, tmp_path / "calm.png")


def measure(driver, spin):
    driver.control("measureButton").click()
    spin(lambda: driver.control("measureButton").text == "Segmen&ts")
    assert driver.control("statisticsTable").rowCount > 0


def assert_fits(driver, grab, path):
    """Slicer's own bars and the module's header take 150 of 900 pixels; as high as it is drawn at its usual width."""
    height = grab(driver.panel.widget, path, 420).height()
    assert height <= 750


@pytest.mark.parametrize("model", ["one", "two"])
def test_of_what_is_seen_together_no_two_have_one_key_and_none_has_that_of_a_menu(
    panel, process, scene, specs, array, affines, volume, spin, model
):
    flair = volume_node_from_image(scene, Image(array.astype(np.float32), affines[-2]), "brain FLAIR")
    panel.panel.parameters.change(model=model, all_time_points=True)
    panel.panel.parameters.set_inputs([volume, flair][: len(panel.inputs)])
    panel.panel.parameters.set_node("output", scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand"))
    panel.panel.parameters.change(all_time_points=False)
    panel.apply()
    answer(process, specs, array, affines[-2])
    panel.control("find").setChecked(True)
    panel.names.allTimePoints.setVisible(True)
    assert_keys_differ(panel)
    panel.control("measureButton").click()
    assert_keys_differ(panel)  # while it is measured
    spin(lambda: panel.control("measureButton").text == "Segmen&ts")
    assert_keys_differ(panel)
    panel.undo()
    assert_keys_differ(panel)


def assert_keys_differ(driver):
    """Alt with a letter; File, Edit, View and Help are Slicer's."""
    import qt

    texts = [
        each.text
        for kind in (qt.QLabel, qt.QAbstractButton)
        for each in driver.panel.widget.findChildren(kind)
        if each.visible and (kind is not qt.QLabel or each.buddy() is not None)
    ]
    keys = [re.search("&([^&])", text.replace("&&", ""))[1].upper() for text in texts if "&" in text.replace("&&", "")]
    twice = {key: [text for text in texts if f"&{key}" in text.upper()] for key in keys if keys.count(key) > 1}
    assert twice == {}
    assert len(keys) > 12
    assert not set(keys) & set("FEVH")


def test_opening_performance_for_the_first_time_lists_the_devices(ready, process):
    asked = []
    process.describe = lambda: asked.append(True)
    button = next(each for each in ready.panel.sections.buttons if each.text.startswith("Performance"))
    for is_collapsed in (False, True, False):
        button.collapsed = is_collapsed
    assert asked == [True]


def open_section(panel, title):
    next(each for each in panel.sections.buttons if each.text.startswith(title)).collapsed = False


def test_where_there_is_no_python_to_ask_for_devices_this_is_said_and_one_can_try_again(ready, process):
    def describe():
        msg = "PythonSlicer was not found"
        raise JobError(msg)

    process.describe = describe
    open_section(ready.panel, "Performance")
    assert ready.status == "PythonSlicer was not found"
    assert ready.control("deviceNote").text.startswith("The devices could not be listed")
    assert ready.control("look").enabled


def test_where_packages_are_missing_devices_are_not_asked_for(scene, process, bundles):
    from medseg.desktop.panel.panel import Panel

    asked = []
    process.describe = lambda: asked.append(True)
    installer = SimpleNamespace(is_ready=lambda: False, state=lambda: "", may_add=lambda _package: False)
    made = Panel(scene, process.made_for, installer=installer, find_models=lambda: bundles)
    open_section(made, "Performance")
    assert asked == []
    made.close()


def test_devices_are_listed_with_their_free_memory(ready, process):
    process.tell(Described((Device("cuda:0", "Card", 2048, 4096), Device("cpu", "Processor", 1000, 2000))))
    device = ready.control("device")
    assert any("Card" in device.itemText(n) and "2" in device.itemText(n) for n in range(device.count))


def test_the_time_of_a_window_is_remembered_for_the_forecast(
    scene, process, bundles, volume, specs, array, affines, spin
):
    from medseg.desktop.panel.panel import Panel

    preferences = Preferences()
    made = Panel(scene, process.made_for, preferences=preferences, find_models=lambda: bundles)
    driver = Driver(made, process, spin)
    driver.inputs[0].setCurrentNode(volume)
    assert "known after the first run" in driver.names.forecast.text
    driver.apply()
    write_segmentation(Path(process.jobs[-1].output), Image(array, affines[-2]), specs)
    process.tell(Finished((process.jobs[-1].output,), "cpu", 8.0, windows_seconds=6.0, window_count=3))
    assert preferences.window_seconds("one", "auto") == 2.0
    assert driver.names.forecast.text == "Takes a few seconds."  # one window of 2 s and the start of a worker
    made.close()


def test_a_volume_that_is_loaded_after_the_panel_was_opened_is_chosen_and_until_then_the_reason_is_said(
    panel, scene, array, spin
):
    assert not panel.names.apply.enabled
    assert panel.names.forecast.text == "Choose a volume; if there is none yet, load one."
    assert panel.names.forecast.visible
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    volume = volume_node_from_image(scene, Image(array), "brain")
    spin(lambda: panel.names.apply.enabled)
    assert panel.panel.parameters.inputs(1)[0] is volume
    assert panel.names.forecast.text == "How long it takes is known after the first run."
    volume_node_from_image(scene, Image(array), "another")
    panel.idle()
    assert panel.panel.parameters.inputs(1)[0] is volume


def test_channels_loaded_one_after_the_other_are_chosen_when_the_last_is_there(panel, scene, array, spin):
    panel.panel.parameters.change(model="two")
    assert panel.names.forecast.text == "Choose a volume for T1, FLAIR"
    other = volume_node_from_image(scene, Image(array), "Miller FLAIR")
    t1 = volume_node_from_image(scene, Image(array), "Smith T1")
    panel.idle()
    assert [selector.currentNode() for selector in panel.inputs] == [None, None]
    panel.inputs[0].setCurrentNode(t1)
    assert panel.names.forecast.text == "Choose a volume for FLAIR"
    flair = volume_node_from_image(scene, Image(array), "Smith FLAIR")
    spin(lambda: panel.names.apply.enabled)
    assert [selector.currentNode() for selector in panel.inputs] == [t1, flair]
    assert other.GetScene() is scene


def test_volumes_of_a_batch_are_chosen_when_it_has_ended(panel, scene, array, spin):
    scene.StartState(scene.BatchProcessState)
    volume = volume_node_from_image(scene, Image(array), "brain")
    panel.idle()
    assert panel.panel.parameters.inputs(1)[0] is None
    scene.EndState(scene.BatchProcessState)
    spin(lambda: panel.names.apply.enabled)
    assert panel.panel.parameters.inputs(1)[0] is volume


def test_volumes_of_two_patients_are_queued_apart_and_what_is_left_out_stays_said(panel, process, scene, array, spin):
    for name in ("A T1", "B T1", "C T1", "B FLAIR", "A FLAIR"):
        volume_node_from_image(scene, Image(array), name)
    panel.panel.parameters.change(model="two")
    assert [selector.currentNode().GetName() for selector in panel.inputs] == ["A T1", "A FLAIR"]
    panel.control("allButton").click()
    spin(lambda: len(process.jobs) == 1)
    chosen = [[scene.GetNodeByID(each).GetName() for each in row.order.volume_ids] for row in panel.panel.queue.rows]
    assert chosen == [["A T1", "A FLAIR"], ["B T1", "B FLAIR"]]
    process.tell(Progress("windows", 2, 4, 3.0))
    assert "The network looks at the volume" in panel.status
    assert "which of them belong together: C T1;" in panel.status


def test_where_nothing_can_be_paired_nothing_is_queued_and_it_is_said(panel, process, scene, array):
    for name in ("A T1", "B FLAIR"):
        volume_node_from_image(scene, Image(array), name)
    panel.panel.parameters.change(model="two")
    assert [selector.currentNode() for selector in panel.inputs] == [None, None]
    panel.control("allButton").click()
    panel.idle()
    assert process.jobs == []
    assert panel.status.startswith("Not queued")
    assert "A T1, B FLAIR" in panel.status


@pytest.fixture
def cine(panel, scene, array, affines):
    """Three time points, played by a browser; the first is chosen."""
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beats")
    for number in range(3):
        frame = volume_node_from_image(scene, Image(array.astype(np.float32), affines[0]), "frame")
        sequence.SetDataNodeAtValue(frame, str(number))
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic.UpdateAllProxyNodes()
    panel.inputs[0].setCurrentNode(browser.GetProxyNode(sequence))
    panel.panel.parameters.change(all_time_points=True)
    yield browser
    logic.SetMRMLScene(None)


def count_nodes(scene):
    names = ("vtkMRMLSequenceNode", "vtkMRMLSegmentationNode", "vtkMRMLSegmentationDisplayNode")
    return tuple(scene.GetNumberOfNodesByClass(name) for name in names)


def test_cancel_stops_all_time_points_and_leaves_no_empty_sequence(panel, process, scene, cine, spin):
    before = count_nodes(scene)
    panel.apply()
    assert count_nodes(scene) != before
    single = panel.panel.queue.add(replace(panel.panel.queue.rows[0].order, time_point=None))
    panel.names.cancel.click()
    process.tell(Stopped())
    assert [str(row.state) for row in panel.panel.queue.rows[:3]] == ["cancelled"] * 3
    assert count_nodes(scene) == before
    assert cine.GetNumberOfSynchronizedSequenceNodes(True) == 1
    spin(lambda: panel.panel.queue.current is single)  # what was ordered otherwise goes on
    assert len(process.jobs) == 2


def test_time_points_that_came_before_the_cancel_stay(panel, process, scene, specs, array, affines, cine, spin):
    panel.apply()
    answer(process, specs, array, affines[0])
    spin(lambda: len(process.jobs) == 2)
    panel.names.cancel.click()
    process.tell(Stopped())
    assert [str(row.state) for row in panel.panel.queue.rows] == ["done", "cancelled", "cancelled"]
    assert cine.GetNumberOfSynchronizedSequenceNodes(True) == 2
    output = scene.GetNodeByID(panel.panel.queue.rows[0].order.time_point.output_id)
    assert output.GetNthDataNode(0).GetSegmentation().GetNumberOfSegments() == 3


@pytest.mark.usefixtures("cine")
def test_further_time_points_leave_the_views_where_the_user_has_put_them(
    panel, process, scene, specs, array, affines, spin
):
    panel.apply()
    answer(process, specs, array, affines[0])
    spin(lambda: len(process.jobs) == 2)
    view = scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    view.JumpSliceByCentering(500.0, 500.0, 500.0)
    answer(process, specs, array, affines[0])
    spin(lambda: len(process.jobs) == 3)
    assert [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)] == [500.0] * 3
    node = panel.panel.results.node
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    panel.names.cancel.click()
    process.tell(Stopped())


def test_a_time_point_whose_sequence_was_removed_is_not_computed_again(panel, process, cine):
    panel.apply()
    panel.names.cancel.click()
    process.tell(Stopped())
    assert cine.GetNumberOfSynchronizedSequenceNodes(True) == 1
    again = panel.panel.queue.retry(panel.panel.queue.rows[0])
    panel.idle()
    assert "press Apply for all time points again" in again.message
    assert len(process.jobs) == 1


@pytest.mark.parametrize("wish", ["probabilities", "entropy", "output"])
def test_what_time_points_cannot_have_is_refused_before_anything_is_made(panel, process, scene, cine, wish):
    if wish == "output":
        panel.names.output.setCurrentNode(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "old"))
    else:
        panel.panel.parameters.change(**{wish: True})
    before = count_nodes(scene)
    panel.apply()
    assert "time points" in panel.status.lower()
    assert process.jobs == []
    assert count_nodes(scene) == before
    assert cine.GetNumberOfSynchronizedSequenceNodes(True) == 1


def test_the_support_file_names_no_patient_though_the_screen_does(
    panel, process, scene, array, warp, spin, monkeypatch
):
    monkeypatch.setattr("medseg.desktop.panel.session.collect_versions", dict)
    volume = volume_node_from_image(scene, Image(array.astype(np.float32)), "Mustermann Erika 1961 T1")
    panel.inputs[0].setCurrentNode(volume)
    panel.apply()
    process.log("input.nii: reading Mustermann Erika 1961 T1")
    process.tell(Warned(f"{process.jobs[0].inputs[0]} is tilted"))
    process.tell(Failed(f"{process.jobs[0].inputs[0]} holds no numbers", is_bug=False))
    volume.SetName("Mustermann, E.")
    warp(volume)
    panel.control("allButton").click()
    spin(lambda: not panel.panel.queue.is_busy)
    assert "Mustermann" in panel.status
    close(panel, scene)
    log, report = panel.log.text(), panel.panel._session.report((), "")
    assert log.count("Mustermann") >= 3
    assert "Mustermann" not in report
    assert "1961" not in report
    assert "<volume 1> holds no numbers" in report
    assert "<volume 1> is tilted" in report


def test_what_was_said_of_a_scene_goes_with_it(ready, process, scene, specs, array, affines):
    ready.apply()
    answer(process, specs, array, affines[-2])
    assert ready.status.startswith("Done in")
    close(ready, scene)
    assert ready.status == ""
    assert "Done in" in ready.log.text()  # the log tells of every run, not of failures alone
