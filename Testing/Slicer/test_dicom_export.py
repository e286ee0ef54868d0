"""The button that writes a segmentation as DICOM SEG: Slicer reads the series, other programs the file."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials")
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("highdicom", reason="the job needs highdicom")

from dicom_round_trips import OBLIQUE, SPECS, by_dcmqi, by_highdicom, farthest, points_of
from dicom_series import places, write_mr_series
from fake_process import FakeProcess
from medseg.desktop.scene.results import PROVENANCE
from medseg.imaging.image import Image
from medseg.io.read import read_image, read_layers
from medseg.jobs.export_job import run_export
from medseg.mrml.dicom_origin import INSTANCES
from medseg.mrml.grids import ijk_to_world
from medseg.mrml.segmentations import add_segmentation
from medseg.spec.errors import MedSegError
from medseg.spec.events import Failed, Finished, Warned
from mrml_nodes import volume_node_from_image


@pytest.fixture
def series(tmp_path):
    """Files by their SOP Instance UID, as Slicer's database knows them."""
    volume = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
    folder = write_mr_series(tmp_path / "series", volume, places(OBLIQUE), OBLIQUE)
    return {str(pydicom.dcmread(path).SOPInstanceUID): path for path in sorted(folder.iterdir())}


@pytest.fixture
def volume(load, series):
    """The series as Slicer itself reads it."""
    node = load(next(iter(series.values())))
    node.SetAttribute(INSTANCES, " ".join(series))
    return node


@pytest.fixture
def segmentation(scene, volume):
    """Two segments that overlap and one without a voxel."""
    dimensions = volume.GetImageData().GetDimensions()
    array = np.zeros((2, *dimensions), np.uint8)
    array[0, 2:6, 2:6, 1:4], array[1, 4:8, 3:7, 2:5] = 1, 2
    node = add_segmentation(scene, Image(array, ijk_to_world(volume)), SPECS, name="organs", reference_node=volume)
    node.SetAttribute(PROVENANCE, '[{"model": "tiny", "model_version": "3.0", "weights_sha256": "cd"}]')
    return node


@pytest.fixture
def made(slicer_app, series, tmp_path):
    """The button, what it asked for, and what it said."""
    import qt

    from medseg.desktop.panel.sections.dicom_export import DicomExport

    it = SimpleNamespace(said=[], node=None, path=tmp_path / "out.dcm", process=FakeProcess(), app=slicer_app)
    it.button = qt.QPushButton()
    it.export = DicomExport(
        it.button,
        lambda: it.node,
        it.process.made_for,
        None,
        say=it.said.append,
        ask_path=lambda _name: it.path,
        file_of=lambda uid: str(series.get(uid, "")),
    )
    yield it
    it.export.close()


def work(made):
    """Do the job as the worker would, and tell what becomes of it."""
    (job,) = made.process.jobs
    try:
        run_export(job, made.process.tell, lambda: False)
    except MedSegError as error:
        made.process.tell(Failed(str(error), is_bug=False))


def test_the_segments_of_the_scene_lie_on_the_slices_of_their_series_in_other_programs(
    made, segmentation, series, tmp_path
):
    made.node = segmentation
    made.export.refresh()
    assert not made.button.isHidden()
    made.button.click()
    assert not made.button.enabled  # one at a time
    labels = Path(made.process.jobs[0].labels)
    assert labels.is_file()
    work(made)
    assert made.said[-1] == f"Saved as {tmp_path / 'out.dcm'}"
    assert made.button.enabled
    assert not labels.parent.exists()
    reading = read_image(next(iter(series.values())).parent)
    masks = {1: np.zeros((10, 8, 7), bool), 2: np.zeros((10, 8, 7), bool), 3: np.zeros((10, 8, 7), bool)}
    masks[1][2:6, 2:6, 1:4], masks[2][4:8, 3:7, 2:5] = True, True
    layers = read_layers(tmp_path / "out.dcm", reading).array
    ours = ijk_to_world(segmentation.GetNodeReference("referenceImageGeometryRef"))
    np.testing.assert_allclose(ours, reading.image.affine, atol=1e-4)  # Slicer has the slices in the same order
    for value, mask in masks.items():
        np.testing.assert_array_equal((layers == value).any(axis=0), mask)
    for read in (by_highdicom, by_dcmqi):
        found = read(tmp_path / "out.dcm", tmp_path / "dcmqi")
        for spec in SPECS:
            assert farthest(found[spec.name].points, points_of(masks[spec.value], reading.image.affine)) < 1e-3
            assert found[spec.name].type == spec.type.value
            assert found[spec.name].modifier == ("" if spec.type_modifier is None else spec.type_modifier.value)
    segment = pydicom.dcmread(tmp_path / "out.dcm").SegmentSequence[0]
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("tiny", "3.0")
    assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_the_button_is_there_only_where_the_volume_came_from_dicom(made, scene, segmentation, volume):
    assert made.button.isHidden()
    plain = volume_node_from_image(scene, Image(np.zeros((1, 4, 4, 4), np.int16)), "from a file")
    labels = Image(np.ones((1, 4, 4, 4), np.uint8))
    made.node = add_segmentation(scene, labels, SPECS[:1], name="organs", reference_node=plain)
    made.export.refresh()
    assert made.button.isHidden()
    made.node = segmentation
    made.export.refresh()
    assert not made.button.isHidden()
    volume.RemoveAttribute(INSTANCES)
    made.export.refresh()
    assert made.button.isHidden()


def test_what_keeps_it_from_being_written_is_said_and_the_button_can_be_pressed_again(
    made, segmentation, series, volume, tmp_path
):
    made.node = segmentation
    uids = list(series)
    volume.SetAttribute(INSTANCES, " ".join([*uids[1:], "1.2.3"]))
    made.export.refresh()
    made.button.click()
    assert "1 of the 7 DICOM files of volume" in made.said[-1]
    assert made.process.jobs == []
    volume.SetAttribute(INSTANCES, " ".join(uids[1:]))
    made.button.click()
    work(made)
    assert "6 slices or frames, and the result 7" in made.said[-1]
    assert made.button.enabled
    assert not (tmp_path / "out.dcm").exists()
    made.path = None  # thought better of it
    made.button.click()
    assert len(made.process.jobs) == 1


def test_warnings_of_the_series_are_said_with_the_file(made, segmentation, tmp_path):
    made.node = segmentation
    made.export.refresh()
    made.button.click()
    made.process.tell(Warned("the slices are tilted"))
    made.process.tell(Finished((str(tmp_path / "out.dcm"),), "CPU", 1.0))
    assert made.said[-1].splitlines() == [f"Saved as {tmp_path / 'out.dcm'}", "the slices are tilted"]


def test_the_button_is_below_the_result_in_the_panel(slicer_app, scene, segmentation, tmp_path, monkeypatch, series):
    from medseg.desktop.panel.sections.onward import DicomExport
    from medseg.desktop.panel.sections.results import ResultsView
    from medseg.desktop.scene.undo import UndoStack
    from medseg.desktop.state.parameters import Parameters

    used = DicomExport.__init__.__globals__  # a test before this one may have loaded the module anew
    monkeypatch.setitem(used, "ask_dicom_path", lambda name: tmp_path / f"{name}.dcm")
    monkeypatch.setitem(used, "file_in_database", lambda uid: str(series[uid]))
    process = FakeProcess()
    view = ResultsView(Parameters(scene), undo=UndoStack(), make_process=process.made_for)
    view.show(segmentation)
    button = view.widget.findChild("QWidget", "dicomButton")
    assert not button.isHidden()
    button.click()
    run_export(process.jobs[0], process.tell, lambda: False)
    slicer_app.processEvents()
    assert view.widget.findChild("QWidget", "statusLabel").text == f"Saved as {tmp_path / 'organs.dcm'}"
    assert (tmp_path / "organs.dcm").is_file()
    view.stop()
    assert process.is_closed
