"""The queue's section with the real queue; a process in memory says what a test tells it to say."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medseg.bundles.catalogue import Bundle
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.order import Order
from medseg.desktop.state.parameters import Parameters
from medseg.desktop.state.settings import DEFAULTS
from medseg.desktop.worker.job_folder import Request
from medseg.imaging.image import Image
from medseg.spec.events import Failed, Finished, Progress, Stopped, Warned
from medseg.spec.job import Job
from medseg.spec.manifest import ChannelSpec
from small_manifest import small_manifest

DONE = Finished(("labels.nrrd",), "cpu", 2.5)


@pytest.fixture
def scene(slicer_scene):
    return slicer_scene


@pytest.fixture
def bundle(specs):
    manifest = small_manifest(
        model_id="abdomen",
        title="Abdomen",
        description="Three organs",
        labels=specs,
        channels=(ChannelSpec(name="CT", modality="CT"),),
        anatomy="abdomen",
        intended_use="Research",
    )
    return Bundle(Path("abdomen"), manifest)


@pytest.fixture
def made(slicer_app, scene, bundle):
    """The section, its queue, and who speaks for the worker."""
    from medseg.desktop.panel.sections.queue import QueueSection

    it = SimpleNamespace(result=ImportedResult(), ordered=0, app=slicer_app)
    image = Image(np.zeros((1, 2, 2, 2), np.float32), np.eye(4))

    def make_process(on_event, _on_log):
        it.say = on_event
        return SimpleNamespace(start=lambda _job: None, cancel=lambda: None, close=lambda: None)

    def prepare(order, folder):
        job = Job(inputs=("input.nii",), model="abdomen", output=str(folder / "labels.nrrd"))
        return PendingRun(Request(folder, job), order.bundle, image, order.volume_ids[0], None, "add")

    def order_all():
        it.ordered += 1

    it.queue = JobQueue(make_process, prepare, lambda _run, _finished: it.result, lambda: it.section.refresh())
    it.section = QueueSection(Parameters(scene), it.queue, order_all)
    it.widget = it.section.widget
    it.table = child(it, "queueTable")
    it.add = lambda *titles: [it.queue.add(Order(bundle, ("vtk1",), DEFAULTS, title=each)) for each in titles]
    yield it
    it.queue.close()


def child(made, name):
    return made.widget.findChild("QWidget", name)


def click(made, name):
    button = child(made, name)
    assert button.enabled, "a user cannot click what is disabled"
    button.click()


def texts(made, column):
    return [made.table.item(line, column).text() for line in range(made.table.rowCount)]


def test_each_job_is_a_line_with_its_state_in_words(made):
    made.add("brain", "liver", "spleen")
    made.say(Progress("windows", 5, 10, 12.0))
    assert texts(made, 0) == ["brain", "liver", "spleen"]
    assert texts(made, 1) == ["Abdomen"] * 3
    assert texts(made, 2) == ["running", "waiting", "waiting"]
    assert texts(made, 3) == ["48 %", "", ""]
    assert texts(made, 4)[0] == "The network looks at the volume, about 10 seconds left"


def test_a_result_is_called_by_its_node_and_an_error_by_its_sentence(made, scene):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "brain segmentation")
    made.add("brain", "liver")
    made.result = ImportedResult(node)
    made.say(Warned("the volume was cut off"))
    made.say(DONE)
    made.say(Failed("no memory is left; close other programs", is_bug=False))
    assert texts(made, 4) == ["brain segmentation (warnings: 1)", "no memory is left; close other programs"]
    assert "the volume was cut off" in made.table.item(0, 0).toolTip()
    node.SetName("checked by hand")
    made.section.refresh()
    assert texts(made, 4)[0] == "checked by hand (warnings: 1)"
    scene.RemoveNode(node)
    made.section.refresh()
    assert texts(made, 4)[0] == "The result was removed from the scene (warnings: 1)"


def test_the_tip_holds_every_line_of_an_error(made):
    made.add("brain")
    made.say(Failed("the worker ended", is_bug=True, details="First line\nSegmentation fault"))
    assert "Segmentation fault" not in texts(made, 4)[0]
    assert all(made.table.item(0, column).toolTip().endswith("First line\nSegmentation fault") for column in range(5))


def test_a_chosen_job_is_told_below_the_table_for_those_who_cannot_point(made):
    made.add("brain", "liver")
    made.say(Failed("no memory is left; close other programs", is_bug=False))
    assert child(made, "detailLabel").isHidden()
    made.table.selectRow(0)
    assert "no memory is left; close other programs" in child(made, "detailLabel").text
    made.table.selectAll()
    assert child(made, "detailLabel").isHidden()


def test_the_choice_stays_while_jobs_go_on_come_and_go(made):
    rows = made.add("a", "b", "c")
    made.table.selectRow(1)
    item = made.table.item(1, 2)
    made.say(Progress("windows", 5, 10))
    made.say(DONE)
    made.add("d")
    assert made.section.chosen == [rows[1]]
    assert made.table.item(1, 2) is item
    made.queue.clear_ended()
    assert texts(made, 0) == ["b", "c", "d"]
    assert made.section.chosen == [rows[1]]


def test_what_is_chosen_says_what_can_be_done(made):
    def can():
        names = ("cancelButton", "retryButton", "removeButton", "clearButton")
        return [child(made, name).enabled for name in names]

    made.add("a", "b", "c")
    assert can() == [False, False, False, False]
    made.say(Failed("broken", is_bug=False))
    made.say(DONE)
    made.table.selectRow(0)
    assert can() == [False, True, True, True]
    made.table.selectRow(1)
    assert can() == [False, False, True, True]
    made.table.selectRow(2)
    assert can() == [True, False, False, True]


def test_cancel_stops_the_chosen_jobs_and_starts_none_of_them(made):
    made.add("a", "b", "c")
    made.table.selectAll()
    click(made, "cancelButton")
    assert texts(made, 2) == ["stopping", "cancelled", "cancelled"]
    assert not child(made, "cancelButton").enabled
    made.say(Stopped())
    assert texts(made, 2) == ["cancelled"] * 3
    assert made.queue.current is None


def test_a_failed_job_runs_again_at_the_end(made):
    made.add("a", "b")
    made.say(Failed("broken", is_bug=False))
    made.table.selectRow(0)
    click(made, "retryButton")
    assert texts(made, 0) == ["b", "a"]
    assert texts(made, 2) == ["running", "waiting"]


def test_remove_and_clear_take_only_what_has_ended(made):
    made.add("a", "b", "c", "d")
    made.say(DONE)
    made.say(DONE)
    made.table.selectAll()
    click(made, "removeButton")
    assert texts(made, 0) == ["c", "d"]
    made.say(DONE)
    click(made, "clearButton")
    assert texts(made, 0) == ["d"]
    assert not child(made, "clearButton").enabled


def test_the_delete_key_removes_what_has_ended_and_cancels_what_waits(made):
    made.add("a", "b", "c")
    made.say(DONE)
    made.table.selectRow(0)
    press_delete(made)
    assert texts(made, 0) == ["b", "c"]
    made.table.selectRow(1)
    press_delete(made)
    assert texts(made, 2) == ["running", "cancelled"]


def press_delete(made):
    from PySide6 import QtCore, QtTest

    made.widget.show()
    made.widget.activateWindow()
    made.table.setFocus()
    made.app.processEvents()
    QtTest.QTest.keyClick(made.table, QtCore.Qt.Key.Key_Delete)


def test_all_volumes_are_queued_by_whom_the_panel_says(made):
    click(made, "allButton")
    assert made.ordered == 1


def test_the_title_counts_what_needs_attention(made):
    assert made.section.differences() == []
    made.add("a", "b", "c")
    assert made.section.differences() == ["1 running", "2 waiting"]
    made.say(Failed("broken", is_bug=False))
    assert made.section.differences() == ["1 running", "1 waiting", "1 failed"]
    made.queue.cancel_all()
    made.say(Stopped())
    made.queue.clear_ended()
    assert made.section.differences() == []


def test_every_control_has_a_name_a_tip_and_a_key(made):
    for name in ("cancelButton", "retryButton", "removeButton", "clearButton", "allButton"):
        button = child(made, name)
        assert button.accessibleName
        assert button.toolTip
        assert "&" in button.text
    assert made.table.accessibleName
    assert child(made, "queueLabel").buddy() == made.table
