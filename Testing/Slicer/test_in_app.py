"""The module's own widget and its in-app test on the stand-in: the lines that run in Slicer, with a real worker."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

_NO_QT = "needs Qt: pip install PySide6-Essentials"
pytest.importorskip("PySide6.QtWidgets", reason=_NO_QT, exc_type=ImportError)
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")

IN_APP = Path(__file__).resolve().parent / "in_app" / "panel_in_slicer.py"
FIRST_USE = IN_APP.with_name("first_use_in_slicer.py")
SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "colin27_left_t1.nii.gz"
DOOR = Path(__file__).resolve().parents[2] / "MedSegAttention" / "MedSegAttention.py"


@pytest.fixture
def door(slicer_app, monkeypatch):  # noqa: ARG001 - must be there first
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("medseg.desktop.worker.job_process.find_python", lambda: sys.executable)
    spec = importlib.util.spec_from_file_location("MedSegAttention", DOOR)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "MedSegAttention", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def widget(door, monkeypatch):
    import qt
    import slicer

    parent = qt.QWidget()
    qt.QVBoxLayout(parent)
    made = door.MedSegAttentionWidget(parent)
    made.setup()
    parent.show()
    monkeypatch.setattr(slicer.util, "selectModule", lambda _name: None, raising=False)
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda _name: made, raising=False)
    yield made
    made.cleanup()


@pytest.mark.usefixtures("widget")
def test_the_test_inside_slicer_passes_with_the_model_that_ships(door):
    played = door.MedSegAttentionTest()
    played.runTest()


@pytest.fixture
def in_app(slicer_app):  # noqa: ARG001 - must be there first
    found = {}
    for path in (IN_APP, FIRST_USE):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= {each.__name__: each for each in module.TESTS}
    return found


@pytest.mark.usefixtures("door", "widget")
@pytest.mark.parametrize(
    "name",
    [
        "cancel_ends_a_run_within_two_seconds",
        "a_result_joins_a_segmentation_and_undo_takes_it_back",
        "a_saved_scene_brings_choices_and_segments_back",
        "each_of_several_volumes_is_seen_with_its_own_segments",
        "an_unsuitable_volume_is_told_before_apply",
        "the_forecast_follows_a_new_region",
        "a_wheel_folder_is_kept_and_what_it_lacks_is_said",
    ],
)
def test_what_a_clinician_does_in_slicer_passes_on_the_stand_in_too(in_app, name):
    in_app[name](str(SAMPLE))


def test_while_a_call_from_the_console_is_waited_for_the_window_lives_and_the_console_tells(
    door, slicer_app, slicer_scene, capsys
):
    import qt

    from medseg.io.read import read_image
    from mrml_nodes import volume_node_from_image

    assert slicer_app
    turns = []
    timer = qt.QTimer()
    timer.setInterval(20)
    timer.connect("timeout()", lambda: turns.append(1))
    timer.start()
    volume = volume_node_from_image(slicer_scene, read_image(SAMPLE).image, "head")
    node = door.MedSegAttentionLogic().segment(volume, door.MODEL, device="cpu")
    timer.stop()
    assert node.GetSegmentation().GetNumberOfSegments() == 2
    assert len(turns) > 10
    told = capsys.readouterr().out.splitlines()
    assert "The network looks at the volume" in "\n".join(told)
    assert told[-1].startswith("Done in")


def test_what_a_callback_raises_while_the_window_lives_ends_the_call(door, slicer_scene):
    from medseg.io.read import read_image
    from mrml_nodes import volume_node_from_image

    def refuse(_event):
        msg = "enough"
        raise LookupError(msg)

    volume = volume_node_from_image(slicer_scene, read_image(SAMPLE).image, "head")
    with pytest.raises(LookupError, match="enough"):
        door.MedSegAttentionLogic().segment(volume, door.MODEL, device="cpu", onEvent=refuse)
    assert slicer_scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_the_question_before_an_installation_is_answered_with_yes_or_no(
    door, request, answers, slicer_scene, monkeypatch, tmp_path, array
):
    from mrml_nodes import volume_node_from_image

    for name in ("requirements.txt", "requirements-training.txt"):
        (tmp_path / name).write_text("no-such-package-of-medseg>=1\n")
    monkeypatch.setattr(door, "REQUIREMENTS", tmp_path / "requirements.txt")
    panel = request.getfixturevalue("widget").panel
    from medseg.imaging.image import Image

    panel.parameters.set_inputs([volume_node_from_image(slicer_scene, Image(array), "head")])
    answers.queue("No")
    panel.names.apply.click()
    assert panel.names.status.text.startswith("Nothing was installed")
    assert "no-such-package-of-medseg" in answers.asked[0]
    assert not panel.queue.rows


def test_closing_slicer_while_something_runs_asks_first(request, slicer_app, slicer_scene, answers, array):
    from PySide6 import QtWidgets

    from fake_process import FakeProcess
    from medseg.imaging.image import Image
    from mrml_nodes import volume_node_from_image

    window = slicer_app.mainWindow()
    panel = request.getfixturevalue("widget").panel
    window.show()
    assert QtWidgets.QWidget.close(window)  # nothing runs, nothing is asked
    assert answers.asked == []
    panel.queue._process = FakeProcess()
    panel.parameters.set_inputs([volume_node_from_image(slicer_scene, Image(array), "head")])
    panel.names.apply.click()
    assert panel.queue.is_busy
    window.show()
    answers.queue("No", "Yes")
    assert not QtWidgets.QWidget.close(window)
    assert "MedSegAttention is at work: 1 in the queue." in answers.asked[0]
    assert QtWidgets.QWidget.close(window)


def test_what_a_killed_slicer_has_left_of_a_patient_is_removed_at_the_next_start_and_said_in_the_log(
    monkeypatch, tmp_path, request, spin
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / "medseg-left"
    folder.mkdir()
    for name in ("input0.nii", ".owner"):
        (folder / name).touch()
    os.utime(folder / ".owner", (0, 0))
    panel = request.getfixturevalue("widget").panel
    spin(lambda: panel.log.text())
    assert panel.log.text() == "Temporary folders of jobs that were killed: 1 removed."
    assert not folder.exists()


def test_choices_made_before_a_scene_is_closed_are_gone_and_those_of_a_loaded_one_are_there(
    widget, slicer_scene, tmp_path
):
    parameters = widget.panel.parameters
    parameters.change(overlap=0.75)
    slicer_scene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer_scene.Commit()
    slicer_scene.Clear(False)
    assert parameters.settings.overlap is None
    slicer_scene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer_scene.Import()
    assert parameters.settings.overlap == 0.75


def test_a_module_that_was_closed_hears_no_more_of_the_scene(widget, slicer_scene):
    widget.cleanup()
    slicer_scene.Clear(False)
    assert widget.panel.parameters.node("output") is None


def test_reload_ends_the_worker_and_forgets_the_package_before_slicer_reads_the_file_anew(door, widget, monkeypatch):
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "medseg"}
    left = []
    base = door.MedSegAttentionWidget.__mro__[1]
    monkeypatch.setattr(base, "onReload", lambda _self: left.append(ours.keys() & sys.modules.keys()), raising=False)
    try:
        widget.onReload()
        assert "numpy" in sys.modules
    finally:
        sys.modules.update(ours)
    assert left == [set()]
    assert widget.panel.parameters.node("output") is None
