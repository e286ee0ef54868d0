"""A finished job comes into the scene as it was asked for, whatever happened meanwhile."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

import slicer

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene import importing
from medseg.desktop.scene.importing import import_result
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.scene.probability_volumes import DeferredVolumes
from medseg.desktop.scene.results import read_provenance
from medseg.desktop.state.order import TimePoint
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.worker.job_folder import Request
from medseg.imaging.image import Image
from medseg.io.write import write_image
from medseg.mrml.probabilities import linked_entropy, linked_probabilities, noted_drawn
from medseg.mrml.segmentations import add_segmentation, labels_from_segmentation, voxels
from medseg.mrml.sequences import add_output_sequence, item_image, proxy_of
from medseg.mrml.volumes import image_from_volume_node
from medseg.spec.errors import EXPECTED_ERRORS, ImageError, JobError
from medseg.spec.events import Finished
from medseg.spec.job import Job
from mrml_nodes import normalised_entropy, read_segment_provenance, volume_node_from_image
from small_manifest import small_manifest

FINISHED = Finished(("labels.nii",), "cpu", 2.0)


@pytest.fixture
def scores(array):
    """Probabilities of which the labels are the largest."""
    values = np.random.default_rng(7).random((4, *array.shape[1:]), dtype=np.float32)
    for label in range(4):
        values[label][array[0] == label] += 1
    return values / values.sum(axis=0)


@pytest.fixture
def volume(scene, array, affines):
    return volume_node_from_image(scene, Image(array.astype(np.int16), affines[-1]), "CT")


@pytest.fixture
def run(tmp_path, specs, array, scores, volume):
    """A run whose worker has answered."""

    def make(image=None, **fields):
        image = image_from_volume_node(volume) if image is None else image
        folder = tmp_path / "job"
        folder.mkdir(exist_ok=True)
        probabilities = folder / "probabilities.nii"
        job = Job(
            inputs=("input0.nii",), model="m", output=str(folder / "labels.nii"), probabilities=str(probabilities)
        )
        write_image(folder / "labels.nii", Image(array, image.affine), overwrite=True)
        write_image(probabilities, Image(scores, image.affine), overwrite=True)
        bundle = Bundle(tmp_path, small_manifest(model_id="m", labels=specs))
        whole = {"volume_id": volume.GetID(), "target_id": None, "mode": "add", **fields}
        return PendingRun(request=Request(folder, job), bundle=bundle, image=image, **whole)

    return make


def test_a_result_has_its_segments_and_its_note_and_nothing_more(scene, run, volume, array):
    result = import_result(scene, run(), FINISHED, {})
    assert result.message is None
    assert result.volumes == ()
    assert result.segment_ids == ("Segment_1", "Segment_2", "Segment_3")
    labels, _ = labels_from_segmentation(result.node, volume)
    np.testing.assert_array_equal(labels.array, array)
    assert read_provenance(result.node)[0]["model"] == "m"
    assert read_segment_provenance(result.node.GetSegmentation().GetSegment("Segment_2"))["model"] == "m"


def test_probabilities_and_entropy_come_along_when_asked_for(scene, run, scores):
    result = import_result(scene, run(settings=PanelSettings(probabilities=True, entropy=True)), FINISHED, {})
    assert len(result.volumes) == 4
    found = linked_probabilities(scene, result.node)
    assert list(found) == ["Segment_1", "Segment_2", "Segment_3"]
    for label, node in enumerate(found.values(), start=1):
        np.testing.assert_array_equal(image_from_volume_node(node).array[0], scores[label])
    doubt = image_from_volume_node(result.volumes[-1]).array[0]
    np.testing.assert_allclose(doubt, normalised_entropy(scores), atol=1e-6)


@pytest.mark.parametrize(("asked", "count"), [({"probabilities": True}, 3), ({"entropy": True}, 1)])
def test_only_what_was_asked_for_comes(scene, run, asked, count):
    assert len(import_result(scene, run(settings=PanelSettings(**asked)), FINISHED, {}).volumes) == count


def test_they_lie_on_a_volume_that_was_moved_meanwhile(scene, run, volume, hang, motion, affines):
    pending = run(settings=PanelSettings(probabilities=True))
    transform = hang(volume, motion)
    result = import_result(scene, pending, FINISHED, {})
    for node in result.volumes:
        assert node.GetParentTransformNode() is transform
        np.testing.assert_allclose(image_from_volume_node(node).affine, motion @ affines[-1], atol=1e-9)


def test_probabilities_join_the_segments_of_a_segmentation_that_was_there(scene, run, volume, array, specs):
    target = add_segmentation(scene, Image(array), specs[:1], name="mine", reference_node=volume)
    pending = run(target_id=target.GetID(), settings=PanelSettings(probabilities=True))
    result = import_result(scene, pending, FINISHED, {})
    assert result.node is target
    assert set(linked_probabilities(scene, target)) == set(result.segment_ids)
    assert "Segment_1" not in result.segment_ids  # that is the one drawn before


def test_probabilities_that_cannot_be_read_cost_no_segment(scene, run, volume, array):
    pending = run(settings=PanelSettings(probabilities=True))
    (pending.request.folder / "probabilities.nii").unlink()
    result = import_result(scene, pending, FINISHED, {})
    assert result.message.startswith("The probabilities could not be shown")
    labels, _ = labels_from_segmentation(result.node, volume)
    np.testing.assert_array_equal(labels.array, array)


def test_what_the_overlap_rule_took_is_said_and_can_be_taken_back(scene, run, volume, array, specs, affines):
    target = add_segmentation(scene, Image(np.full_like(array, 3), affines[-1]), specs[2:], name="mine")
    result = import_result(scene, run(target_id=target.GetID(), overlap="all"), FINISHED, {})
    assert f"Spleen ({np.count_nonzero(array)})" in result.message
    result.step.toggle()
    labels, names = labels_from_segmentation(target, volume)
    assert names == ("Spleen",)
    assert labels.array.all()


# What readers, NumPy and VTK's wrapping raise; written out, so that a list in the program that is cut short is found.
KINDS = (
    ImageError,
    ZeroDivisionError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    PermissionError,
    RuntimeError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
)


def raising(kind):
    error = kind("utf-8", b"", 0, 1, "broken") if kind is UnicodeDecodeError else kind("broken")

    def fail(*_arguments, **_named):
        raise error

    return fail


def assert_kept(result, pending):
    """No node shows it: the file is still there, and the message says where."""
    assert result.node is None
    assert result.kept == Path(pending.request.job.output)
    assert result.kept.is_file()
    assert f"it is kept in the file {result.kept}" in result.message
    assert "broken" in result.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_cannot_be_read_is_kept_whatever_is_raised(scene, run, monkeypatch, kind):
    pending = run()
    monkeypatch.setattr(importing, "read_answer", raising(kind))
    assert_kept(import_result(scene, pending, FINISHED, {}), pending)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_cannot_be_shown_anywhere_is_kept_whatever_is_raised(scene, run, monkeypatch, kind):
    pending = run()
    monkeypatch.setattr(importing, "show_labels", raising(kind))
    assert_kept(import_result(scene, pending, FINISHED, {}), pending)


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_that_cannot_be_written_costs_no_segment_whatever_is_raised(scene, run, monkeypatch, kind):
    monkeypatch.setattr(importing, "write_provenance", raising(kind))
    result = import_result(scene, run(), FINISHED, {})
    assert result.node.GetSegmentation().GetNumberOfSegments() == 3
    assert "could not be written on it" in result.message


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_that_cannot_be_shown_cost_no_segment_whatever_is_raised(scene, run, monkeypatch, kind):
    monkeypatch.setattr(importing, "ProbabilityVolumes", raising(kind))
    result = import_result(scene, run(settings=PanelSettings(probabilities=True)), FINISHED, {})
    assert result.node.GetSegmentation().GetNumberOfSegments() == 3
    assert result.message.startswith("The probabilities could not be shown")


@pytest.mark.parametrize("kept_bytes", [0, 100, 400])
def test_a_file_that_was_cut_short_is_kept(scene, run, kept_bytes):
    pending = run()
    path = Path(pending.request.job.output)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    result = import_result(scene, pending, FINISHED, {})
    assert result.kept == path
    assert path.stat().st_size == kept_bytes
    assert str(path) in result.message


def test_labels_of_another_grid_are_kept(scene, run, array):
    pending = run()
    path = Path(pending.request.job.output)
    write_image(path, Image(array[:, 1:]), overwrite=True)
    result = import_result(scene, pending, FINISHED, {})
    assert result.kept == path
    assert "have shape" in result.message


@pytest.fixture
def sequence(scene, array, affines):
    node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine")
    for number in range(2):
        frame = volume_node_from_image(scene, Image(array.astype(np.int16), affines[-1]), "frame")
        node.SetDataNodeAtValue(frame, str(number))
        scene.RemoveNode(frame)
    return node


@pytest.fixture
def browser(scene, sequence):
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    node = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    node.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    logic.UpdateAllProxyNodes()
    yield node
    logic.SetMRMLScene(None)


def test_a_time_point_comes_into_the_sequence_of_segmentations(scene, run, sequence, browser, array, specs):
    output = add_output_sequence(scene, sequence)
    point = TimePoint(sequence.GetID(), 1, output.GetID())
    shown = browser.GetProxyNode(sequence)
    pending = run(image=item_image(scene, sequence, 1), volume_id=shown.GetID(), time_point=point)
    result = import_result(scene, pending, FINISHED, {})
    assert result.message is None
    item = output.GetNthDataNode(1)
    assert item.GetSegmentation().GetNumberOfSegments() == 3
    assert read_provenance(item)[0]["model"] == "m"
    assert result.node is proxy_of(scene, output)
    assert output.GetNthDataNode(0).GetSegmentation().GetNumberOfSegments() == 0
    browser.SetSelectedItemNumber(1)
    labels, names = labels_from_segmentation(result.node, shown)
    np.testing.assert_array_equal(labels.array, array)
    assert names == tuple(spec.name for spec in specs)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


@pytest.mark.usefixtures("browser")
def test_a_time_point_whose_sequence_is_gone_is_shown_by_itself(scene, run, sequence, volume, array):
    output = add_output_sequence(scene, sequence)
    point = TimePoint(sequence.GetID(), 0, output.GetID())
    pending = run(image=item_image(scene, sequence, 0), time_point=point)
    scene.RemoveNode(output)
    result = import_result(scene, pending, FINISHED, {})
    assert "no longer in the scene" in result.message
    labels, _ = labels_from_segmentation(result.node, volume)
    np.testing.assert_array_equal(labels.array, array)


@pytest.mark.usefixtures("browser")
def test_time_points_say_that_they_bring_no_probabilities(scene, run, sequence):
    output = add_output_sequence(scene, sequence)
    point = TimePoint(sequence.GetID(), 0, output.GetID())
    pending = run(time_point=point, settings=PanelSettings(probabilities=True))
    result = import_result(scene, pending, FINISHED, {})
    assert "of time points only the segments are" in result.message
    assert result.volumes == ()


ASKED = {"settings": PanelSettings(probabilities=True, entropy=True)}


@pytest.fixture
def imported(scene, run, tmp_path):
    """A result whose volumes are still to come, and whose job folder is gone, as after every job."""
    brought = []
    pending = run(**ASKED)
    result = import_result(scene, pending, FINISHED, {}, bring=brought.append)
    for path in pending.request.folder.iterdir():
        path.unlink()
    pending.request.folder.rmdir()
    return result.node, brought[0], tmp_path


def count(scene):
    return scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")


def test_at_first_there_are_only_segments_and_each_step_brings_one_volume_at_most(scene, imported, scores):
    node, volumes, folder = imported
    before = numbers = count(scene)
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    for each in volumes:
        assert count(scene) - numbers == (each is not None)
        numbers = count(scene)
    assert numbers == before + 4
    for label, each in enumerate(linked_probabilities(scene, node).values(), start=1):
        np.testing.assert_array_equal(image_from_volume_node(each).array[0], scores[label])
    doubt = image_from_volume_node(linked_entropy(scene, node)).array[0]
    np.testing.assert_allclose(doubt, normalised_entropy(scores), atol=1e-6)
    assert list(folder.glob("*volumes*")) == []


@pytest.mark.parametrize("drawn", [0, 1, 5])
def test_closing_removes_the_file_however_far_it_is(imported, drawn):
    _node, volumes, folder = imported
    assert len(list(folder.glob("*volumes*/*.nii"))) == 1
    for _ in range(drawn):
        next(volumes)
    volumes.close()
    assert list(folder.glob("*volumes*")) == []
    assert next(volumes, "nothing") == "nothing"


def test_a_segmentation_deleted_meanwhile_leaves_volumes_that_belong_to_nobody(scene, imported):
    node, volumes, _folder = imported
    next(volumes)
    scene.RemoveNode(node)
    rest = [each for each in volumes if each is not None]
    assert len(rest) == 4
    assert all(noted_drawn(each) is None for each in rest)


def test_what_was_painted_before_the_probabilities_came_is_known_as_such(scene, imported):
    node, volumes, _folder = imported
    labelmap = node.GetSegmentation().GetSegment("Segment_2").GetRepresentation("Binary labelmap")
    voxels(labelmap)[0, 0, 0] = 2
    labelmap.Modified()
    list(volumes)
    assert {noted_drawn(each) for each in linked_probabilities(scene, node).values()} == {""}


def test_a_file_that_was_lost_is_a_sentence(imported):
    _node, volumes, folder = imported
    next(folder.glob("*volumes*/*.nii")).unlink()
    with pytest.raises(JobError, match="probabilities could not be shown"):
        list(volumes)
    assert list(folder.glob("*volumes*")) == []


@pytest.mark.parametrize("kind", EXPECTED_ERRORS)
def test_whatever_is_expected_to_go_wrong_with_a_volume_is_a_sentence(imported, monkeypatch, kind):
    def fail(_shape):
        raise kind(*["odd"])

    monkeypatch.setattr("medseg.desktop.scene.probability_volumes.empty_volume", fail)
    _node, volumes, folder = imported
    with pytest.raises(JobError, match=r"probabilities could not be shown: .*odd"):
        list(volumes)
    assert list(folder.glob("*volumes*")) == []


def test_in_the_window_they_come_in_several_turns_and_stop_with_the_scene(slicer_app, scene, imported):
    node, volumes, folder = imported
    heard = []
    deferred = DeferredVolumes(lambda: heard.append(len(linked_probabilities(scene, node))), heard.append)
    deferred.bring(volumes)
    while not heard:
        slicer_app.processEvents()
    assert heard == [1]
    assert deferred.is_busy
    deferred.stop()
    for _ in range(10):
        slicer_app.processEvents()
    assert heard == [1]
    assert list(folder.glob("*volumes*")) == []


@pytest.mark.usefixtures("slicer_app")
def test_in_the_window_all_come_in_the_end(scene, imported, spin):
    node, volumes, folder = imported
    heard = []
    deferred = DeferredVolumes(lambda: heard.append(len(linked_probabilities(scene, node))), heard.append)
    deferred.bring(volumes)
    spin(lambda: not deferred.is_busy)
    assert heard == [1, 2, 3, 3, 3]
    assert list(folder.glob("*volumes*")) == []


def test_a_result_whose_volume_was_deleted_is_called_as_the_volume_was(scene, run, volume):
    pending = run(title="brain T1")
    scene.RemoveNode(volume)
    assert import_result(scene, pending, FINISHED, {}).node.GetName() == "brain T1 segmentation"
