"""The queue with a process in memory that says what a test tells it to say."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medseg.bundles.catalogue import Bundle
from medseg.desktop.queue.job_queue import JobQueue, State
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.order import Order, TimePoint
from medseg.desktop.state.settings import DEFAULTS
from medseg.desktop.worker.job_folder import Request
from medseg.imaging.image import Image
from medseg.spec.errors import ImageError, JobError
from medseg.spec.events import Described, Device, Failed, Finished, Progress, Started, Stopped, Warned
from medseg.spec.job import Job

FINISHED = Finished(("labels.nrrd",), "cpu", 2.5)
IMAGE = Image(np.zeros((1, 2, 2, 2), np.float32), np.eye(4))


class Process:
    """Keeps the jobs; the test speaks for the worker."""

    def __init__(self, on_event, on_log):
        self.say, self.log = on_event, on_log
        self.jobs, self.cancelled, self.is_closed, self.refuse = [], 0, False, None

    def start(self, job):
        if self.refuse is not None:
            refuse, self.refuse = self.refuse, None
            raise refuse
        self.jobs.append(Path(job.output).parent)

    def cancel(self):
        self.cancelled += 1

    def close(self):
        self.is_closed = True


def run_of(order, folder):
    (folder / "input.nii").write_bytes(b"voxels")
    job = Job(inputs=(str(folder / "input.nii"),), model="pair", output=str(folder / "labels.nrrd"))
    return PendingRun(Request(folder, job), order.bundle, IMAGE, order.volume_ids[0], None, "add")


def in_steps(order, folder, sentences):
    for sentence in sentences:
        if isinstance(sentence, BaseException):
            raise sentence
        yield sentence
    return run_of(order, folder)


@pytest.fixture
def made(manifest):
    """A queue, its process, and what it was told."""
    it = SimpleNamespace(
        prepared=[],
        imported=[],
        log=[],
        ended=[],
        changes=0,
        broken={},
        steps={},
        result=ImportedResult(),
        described=[],
    )
    bundle = Bundle(Path("pair"), manifest)

    def order(title="brain"):
        return Order(bundle, ("vtk1",), DEFAULTS, title=title)

    def prepare(order, folder):
        it.prepared.append(order.title)
        if order.title in it.broken:
            raise it.broken[order.title]
        return in_steps(order, folder, it.steps[order.title]) if order.title in it.steps else run_of(order, folder)

    def import_result(run, finished):
        it.imported.append((run, finished))
        if isinstance(it.result, BaseException):
            raise it.result
        return it.result

    def make_process(on_event, on_log):
        it.process = Process(on_event, on_log)
        return it.process

    def changed():
        it.changes += 1

    it.order = order
    it.queue = JobQueue(
        make_process,
        prepare,
        import_result,
        changed,
        it.log.append,
        on_end=lambda row: it.ended.append((row.order.title, str(row.state))),
        on_described=it.described.append,
    )
    return it


def states(queue):
    return [str(row.state) for row in queue.rows]


def test_rows_run_in_order_and_an_input_is_written_only_when_its_turn_comes(made):
    rows = [made.queue.add(made.order(title)) for title in "abc"]
    assert made.prepared == ["a"]
    assert states(made.queue) == ["running", "waiting", "waiting"]
    for title in "abc":
        assert made.queue.current.order.title == title
        made.process.say(Started(""))
        made.process.say(FINISHED)
    assert made.prepared == ["a", "b", "c"]
    assert made.ended == [("a", "done"), ("b", "done"), ("c", "done")]
    assert [row.number for row in rows] == [1, 2, 3]
    assert made.queue.current is None
    assert not made.queue.is_busy
    assert [run.request.folder for run, _ in made.imported] == made.process.jobs
    assert rows[0].finished is FINISHED


@pytest.mark.parametrize("error", [ImageError("the grid is bent; harden the transform"), OSError(28, "no space left")])
def test_what_cannot_be_prepared_fails_alone_with_its_sentence(made, error):
    made.broken["bad"] = error
    rows = [made.queue.add(made.order(title)) for title in ("good", "bad", "next")]
    made.process.say(FINISHED)
    assert states(made.queue) == ["done", "failed", "running"]
    assert rows[1].message == str(error)
    assert str(error) in made.log


def test_between_two_steps_of_preparing_the_row_says_what_is_done_and_can_be_cancelled(made, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    soon = []
    made.queue._later = soon.append  # a turn of the event loop
    made.steps = {"slow": ["case 1 of 2", "case 2 of 2"]}
    rows = [made.queue.add(made.order("slow")) for _ in range(2)]
    heard = []
    while made.queue.current is not rows[1]:
        soon.pop(0)()
        heard.append(rows[0].message)
        if made.process.jobs and made.queue.current is rows[0]:
            made.process.say(FINISHED)
    assert heard[:2] == ["case 1 of 2", "case 2 of 2"]
    assert rows[0].state is State.DONE
    assert made.process.jobs == [made.imported[0][0].request.folder]
    made.queue.cancel(rows[1])
    assert rows[1].state is State.RUNNING  # what is under way ends first
    while soon:
        soon.pop(0)()
    assert rows[1].state is State.CANCELLED
    assert made.process.cancelled == 0  # it never had this job
    assert len(made.process.jobs) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_a_later_step_fails_that_row_alone_and_leaves_nothing(made, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made.steps = {"bad": ["case 1 of 2", ImageError("two has no voxels; draw it")]}
    rows = [made.queue.add(made.order(title)) for title in ("bad", "next")]
    assert [rows[0].message, states(made.queue)] == ["two has no voxels; draw it", ["failed", "running"]]
    made.process.say(FINISHED)
    assert list(tmp_path.iterdir()) == []


def test_thousands_of_steps_are_taken_one_after_the_other_and_not_in_each_other(made):
    made.steps = {"long": [f"case {number}" for number in range(3000)]}
    row = made.queue.add(made.order("long"))
    assert len(made.process.jobs) == 1
    assert row.message == "case 2999"


def test_a_panel_that_closes_between_two_steps_leaves_no_folder_and_sends_no_job(made, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    soon = []
    made.queue._later = soon.append
    made.steps = {"slow": ["case 1 of 2", "case 2 of 2"]}
    row = made.queue.add(made.order("slow"))
    soon.pop(0)()
    made.queue.close()
    while soon:
        soon.pop(0)()
    assert row.state is State.CANCELLED
    assert made.process.jobs == []
    assert list(tmp_path.iterdir()) == []


def test_a_thousand_rows_that_cannot_begin_end_one_after_the_other_and_not_in_each_other(made):
    made.queue.add(made.order("first"))
    made.broken["bad"] = JobError("no")
    for _ in range(1000):
        made.queue.add(made.order("bad"))
    last = made.queue.add(made.order("last"))
    made.process.say(FINISHED)  # recursion would need some thousands of frames here
    assert made.queue.current is last
    assert states(made.queue).count("failed") == 1000


def test_a_process_that_cannot_be_started_fails_the_row_and_leaves_no_folder(made, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made.queue.add(made.order("a"))
    made.process.refuse = JobError("PythonSlicer was not found")
    made.queue.add(made.order("b"))
    made.process.say(Failed("odd voxels; export again", is_bug=False))
    assert states(made.queue) == ["failed", "failed"]
    assert [row.message for row in made.queue.rows] == ["odd voxels; export again", "PythonSlicer was not found"]
    assert list(tmp_path.iterdir()) == []


def test_a_bug_in_preparing_goes_on_to_the_caller_and_leaves_no_row_that_seems_to_run(made):
    made.broken["bug"] = ZeroDivisionError("ours")
    with pytest.raises(ZeroDivisionError):
        made.queue.add(made.order("bug"))
    assert states(made.queue) == ["failed"]
    made.queue.add(made.order("next"))
    assert states(made.queue) == ["failed", "running"]


def test_percent_never_goes_back_and_the_time_left_is_told(made):
    row = made.queue.add(made.order())
    heard = []
    for done in (5, 8, 1, 9):
        made.process.say(Progress("windows", done, 10, 10.0 - done))
        heard.append(row.percent)
    assert heard == sorted(heard)
    assert heard[1] == heard[2] > heard[0]
    assert row.seconds_left == 1.0
    made.process.say(Progress("write", 0, 1))
    assert row.seconds_left is None
    made.process.say(FINISHED)
    assert row.percent == 100


def test_warnings_are_kept_and_do_not_hide_what_happens(made):
    row = made.queue.add(made.order())
    made.process.say(Progress("windows", 1, 2))
    before = row.message
    made.process.say(Warned("slices are missing"))
    made.process.say(Warned("low memory"))
    made.process.say(FINISHED)
    assert row.warnings == ["slices are missing", "low memory"]
    assert before
    assert made.log == ["slices are missing", "low memory"]


def test_a_waiting_row_that_is_cancelled_never_begins(made):
    _first, second, third = (made.queue.add(made.order(title)) for title in "abc")
    made.queue.cancel(second)
    assert made.process.cancelled == 0
    made.process.say(FINISHED)
    assert states(made.queue) == ["done", "cancelled", "running"]
    assert made.prepared == ["a", "c"]
    assert made.queue.current is third


def test_cancelling_the_running_row_sends_the_word_once_and_the_next_begins_when_it_is_gone(made):
    row, follower = made.queue.add(made.order("a")), made.queue.add(made.order("b"))
    made.queue.cancel(row)
    made.queue.cancel(row)
    assert made.process.cancelled == 1
    made.process.say(Progress("windows", 1, 9))
    assert row.message == "Stopping..."
    assert follower.state is State.WAITING
    made.process.say(Stopped())
    assert row.state is State.CANCELLED
    assert made.log == []
    assert follower.state is State.RUNNING


def test_a_result_that_comes_after_cancel_was_pressed_changes_nothing(made):
    row = made.queue.add(made.order())
    made.queue.cancel(row)
    made.process.say(FINISHED)
    assert (row.state, row.finished, made.imported) == (State.CANCELLED, None, [])


def test_cancel_all_leaves_nothing_to_run(made):
    for title in "abc":
        made.queue.add(made.order(title))
    made.queue.cancel_all()
    made.process.say(Stopped())
    assert states(made.queue) == ["cancelled"] * 3
    assert made.prepared == ["a"]


def test_a_failed_row_is_run_again_at_the_end_and_makes_room(made):
    bad, waiting = made.queue.add(made.order("a")), made.queue.add(made.order("b"))
    assert made.queue.retry(bad) is None
    made.process.say(Failed("no", is_bug=False))
    again = made.queue.retry(bad)
    assert made.queue.rows == (waiting, again)
    assert again.order is bad.order
    assert again.number == 3


def test_a_done_row_that_is_run_again_stays_with_its_result(made):
    made.result = ImportedResult(node="segmentation")
    done = made.queue.add(made.order())
    made.process.say(FINISHED)
    again = made.queue.retry(done)
    assert made.queue.rows == (done, again)
    assert done.result.node == "segmentation"


def test_only_rows_that_do_not_run_can_be_taken_out(made):
    running, waiting = made.queue.add(made.order("a")), made.queue.add(made.order("b"))
    made.queue.remove(running)
    made.queue.remove(waiting)
    assert made.queue.rows == (running,)
    assert waiting.state is State.CANCELLED
    made.process.say(FINISHED)
    kept = made.queue.add(made.order("c"))
    made.queue.clear_ended()
    assert made.queue.rows == (kept,)
    assert made.prepared == ["a", "c"]


def test_the_folder_of_a_row_is_removed_unless_it_holds_the_only_copy(made):
    made.queue.add(made.order("a"))
    made.queue.add(made.order("b"))
    made.process.say(FINISHED)
    first, second = made.process.jobs
    assert not first.exists()
    assert (second / "input.nii").is_file()
    made.result = ImportedResult(message=f"could not be shown;\nkept in {second}", kept=second / "labels.nrrd")
    made.process.say(FINISHED)
    assert second.is_dir()
    row = made.queue.rows[-1]
    assert row.state is State.DONE
    assert len(row.message.splitlines()) == 1
    assert str(second) in row.message
    made.queue.clear_ended()
    assert second.is_dir()
    for path in (second / "input.nii", second):
        path.unlink() if path.is_file() else path.rmdir()


def test_a_result_that_cannot_be_shown_is_a_failed_row_and_the_next_begins(made):
    made.result = ImageError("the labels have another shape; please report this")
    row, follower = made.queue.add(made.order("a")), made.queue.add(made.order("b"))
    made.process.say(FINISHED)
    assert (row.state, row.message) == (State.FAILED, "the labels have another shape; please report this")
    assert follower.state is State.RUNNING


def test_a_crash_is_one_readable_line_and_the_log_has_the_rest(made):
    row = made.queue.add(made.order())
    said = "the worker was ended by SIGKILL, as the system does when memory runs out"
    made.process.say(Failed(said, is_bug=True, details="x\ny"))
    assert row.state is State.FAILED
    assert row.message.endswith("ended by SIGKILL, as the system does when memory runs out (more in the log)")
    assert row.details.splitlines()[1:] == ["x", "y"]
    assert made.log == [row.details]


def test_leaving_the_scene_stops_the_running_row_and_nothing_of_it_is_shown(made):
    rows = [made.queue.add(made.order(title)) for title in "abc"]
    made.result = ImportedResult(node="a node of the old scene")
    made.process.say(FINISHED)
    made.queue.leave_scene()
    assert made.process.cancelled == 1
    new = made.queue.add(made.order("new scene"))
    made.process.say(FINISHED)  # it had been done just then
    assert [str(row.state) for row in rows] == ["done", "cancelled", "cancelled"]
    assert len(made.imported) == 1
    assert all(row.result is None for row in rows)
    assert "scene was closed" in rows[1].message
    assert [made.queue.retry(row) for row in rows] == [None] * 3
    assert made.queue.current is new


def test_closing_ends_the_worker_removes_folders_and_begins_nothing(made):
    row = made.queue.add(made.order("a"))
    made.queue.add(made.order("b"))
    (folder,) = made.process.jobs
    made.queue.close()
    assert made.process.is_closed
    assert not folder.exists()
    assert row.state is State.CANCELLED
    made.process.say(FINISHED)
    made.queue.add(made.order("c"))
    assert made.prepared == ["a"]


def test_where_rows_begin_later_adding_one_writes_nothing_yet(made):
    todo = []
    made.queue._later = todo.append
    made.queue.add(made.order("a"))
    assert made.prepared == []
    todo.pop()()
    made.process.say(FINISHED)
    assert made.prepared == ["a"]
    assert made.ended == [("a", "done")]


def test_a_row_cancelled_while_its_input_is_written_is_not_started(made):
    prepare = made.queue._prepare

    def slowly(order, folder):
        made.queue.cancel(made.queue.current)  # a progress dialogue lets clicks through
        return prepare(order, folder)

    made.queue._prepare = slowly
    row = made.queue.add(made.order())
    assert row.state is State.CANCELLED
    assert made.process.jobs == []


def test_every_change_is_told(made):
    row = made.queue.add(made.order())
    for act in (
        lambda: made.process.say(Progress("read", 0, 1)),
        lambda: made.queue.cancel(row),
        lambda: made.process.say(Stopped()),
        lambda: made.queue.remove(row),
    ):
        before = made.changes
        act()
        assert made.changes > before


def test_the_workers_devices_belong_to_no_row(made):
    row = made.queue.add(made.order())
    before = row.message
    made.process.describe = lambda: made.process.say(Described((Device("cpu", "a processor", 10, 20),)))
    made.queue.describe()
    assert [device.name for event in made.described for device in event.devices] == ["cpu"]
    assert row.message == before


def test_a_row_calls_the_volume_by_its_name_and_not_by_the_file_made_of_it(made):
    row = made.queue.add(made.order("brain"))
    made.process.say(Failed(f"{made.process.jobs[0] / 'input.nii'}: voxels must be numbers", is_bug=False))
    assert row.message == "brain: voxels must be numbers"


def test_cancelling_a_time_point_as_a_run_ends_its_sequence_and_nothing_else(made):
    def point(item, output="vtkOutput"):
        return made.queue.add(replace(made.order(f"{output} {item}"), time_point=TimePoint("vtkCine", item, output)))

    rows = [point(0), made.queue.add(made.order("single")), point(1), point(0, "vtkOther"), point(2)]
    made.queue.cancel_run(rows[0])
    assert states(made.queue) == ["running", "waiting", "cancelled", "waiting", "cancelled"]
    made.process.say(Stopped())
    assert made.queue.current is rows[1]
    made.queue.cancel_run(rows[1])
    made.process.say(Stopped())
    assert states(made.queue) == ["cancelled", "cancelled", "cancelled", "running", "cancelled"]
