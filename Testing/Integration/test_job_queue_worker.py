"""The queue with the real worker: order, failures, cancel within two seconds, kill -9, a warm second run."""

import os
import queue as queues
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the worker needs torch")

from medseg.bundles.catalogue import find_bundle
from medseg.desktop.queue.job_queue import JobQueue, State
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.order import Order
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.worker.job_folder import read_answer, write_request
from medseg.imaging.image import Image
from medseg.io.read import read_image
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.events import End, Progress

# The contract is two seconds; a computer that does other things too may take longer, and is no reason to fail.
LOADED_SECONDS = 6
PATIENCE_SECONDS = 90


class ThreadedProcess:
    """``JobProcess`` with a thread instead of Qt: events wait in an inbox until the test's own thread takes them."""

    def __init__(self, inbox, on_event, on_log):
        self._inbox, self._on_event = inbox, on_event
        self.worker = WorkerProcess(on_log=lambda line: inbox.put((on_log, line)))
        self.pids = []

    def start(self, job):
        threading.Thread(target=self._follow, args=(job,), daemon=True).start()

    def cancel(self):
        self.worker.cancel()

    def close(self):
        self.worker.close()

    def _follow(self, job):
        for event in self.worker.run(job):
            if isinstance(event, Progress) and event.stage == "read" and event.done == 0:
                self.pids.append(self.worker.pid)
            last = event
            if not isinstance(event, End):
                self._inbox.put((self._on_event, event))
        self._inbox.put((self._on_event, last))  # when the worker is ready for the next


@pytest.fixture
def made(scan_file, monkeypatch):
    """A queue with a real worker, and what turns the loop that Qt would turn."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Made(scan_file)


@pytest.fixture(autouse=True)
def _closed(made):
    yield
    made.queue.close()


class Made:
    def __init__(self, scan_file):
        self.inbox, self.imported, self.log = queues.Queue(), [], []
        self.bundle = find_bundle("tiny")
        self.scans = {"small": read_image(scan_file).image}
        # more than a thousand windows: seconds of work, of which a tenth is waited for
        noise = np.random.default_rng(0).normal(size=(1, 32, 32, 32)).astype(np.float32)
        self.scans["large"] = Image(noise, np.diag([2.0, 2.0, 2.0, 1.0]))
        self.scans["void"] = Image(np.full((1, 8, 8, 8), np.nan, np.float32), np.eye(4))
        self.queue = JobQueue(self.make_process, self.prepare, self.import_result, on_log=self.log.append)

    def make_process(self, on_event, on_log):
        self.process = ThreadedProcess(self.inbox, on_event, on_log)
        return self.process

    def prepare(self, order, folder):
        image = self.scans[order.title]
        request = write_request(folder, [image], order.bundle.manifest, order.settings.options())
        return PendingRun(request, order.bundle, image, order.volume_ids[0], None, "add")

    def import_result(self, run, _finished):
        self.imported.append(read_answer(run.request, run.image))
        return ImportedResult(node="shown")

    def add(self, title, overlap=None):
        settings = PanelSettings(device="cpu", overlap=overlap)
        return self.queue.add(Order(self.bundle, (title,), settings, title=title))

    def turn_until(self, is_over, seconds=PATIENCE_SECONDS):
        """Take events until something is so; the seconds that took."""
        begun = time.monotonic()
        while not is_over():
            left = begun + seconds - time.monotonic()
            assert left > 0, f"after {seconds} s: {[(str(row.state), row.message) for row in self.queue.rows]}"
            try:
                slot, value = self.inbox.get(timeout=min(left, 0.05))
            except queues.Empty:
                continue
            slot(value)
        return time.monotonic() - begun

    def states(self):
        return [str(row.state) for row in self.queue.rows]


def is_computing(row):
    return row.percent > 10


def test_rows_end_in_order_a_bad_one_stops_none_and_one_worker_does_them_all(made):
    rows = [made.add(title) for title in ("small", "void", "small")]
    ended = []
    made.queue._on_end = lambda row: ended.append(row.number)
    made.turn_until(lambda: not made.queue.is_busy)
    assert ended == [1, 2, 3]
    assert made.states() == ["done", "failed", "done"]
    assert rows[1].message.startswith("void: voxels must be numbers")
    assert len(made.imported) == 2
    np.testing.assert_array_equal(made.imported[0].array, made.imported[1].array)
    assert made.imported[0].shape == made.scans["small"].shape
    assert len(set(made.process.pids)) == 1


def test_the_second_run_computes_within_a_moment_in_the_same_process(made):
    made.add("small")
    cold = made.turn_until(lambda: not made.queue.is_busy)
    row = made.add("small")
    warm = made.turn_until(lambda: row.has_ended)
    assert row.state is State.DONE
    assert made.process.pids == [made.process.worker.pid] * 2
    assert warm < cold
    assert warm < LOADED_SECONDS / 2


def test_cancel_ends_a_row_in_two_seconds_and_the_next_is_done(made):
    row, follower = made.add("large", overlap=0.9), made.add("small")
    made.turn_until(lambda: is_computing(row))
    made.queue.cancel(row)
    assert made.turn_until(lambda: row.has_ended) < LOADED_SECONDS
    assert row.state is State.CANCELLED
    made.turn_until(lambda: follower.has_ended)
    assert follower.state is State.DONE
    assert len(made.imported) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")
def test_kill_9_fails_its_row_with_a_sentence_and_the_next_finds_a_new_worker(made):
    row, follower = made.add("large", overlap=0.9), made.add("small")
    made.turn_until(lambda: is_computing(row))
    pid = made.process.worker.pid
    os.kill(pid, signal.SIGKILL)
    made.turn_until(lambda: row.has_ended)
    assert row.state is State.FAILED
    assert "SIGKILL, as the system does when memory runs out" in row.message
    assert len(row.message.splitlines()) == 1
    made.turn_until(lambda: follower.has_ended)
    assert follower.state is State.DONE
    assert made.process.worker.pid != pid


def test_a_closed_scene_stops_the_row_shows_nothing_and_leaves_no_folder(made, tmp_path, monkeypatch):
    folders = tmp_path / "jobs"
    folders.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folders))
    row, waiting = made.add("large", overlap=0.9), made.add("small")
    made.turn_until(lambda: is_computing(row))
    assert len(list(folders.iterdir())) == 1
    made.queue.leave_scene()
    assert made.turn_until(lambda: row.has_ended) < LOADED_SECONDS
    assert (row.state, waiting.state) == (State.CANCELLED, State.CANCELLED)
    assert made.imported == []
    new = made.add("small")
    made.turn_until(lambda: new.has_ended)
    assert new.state is State.DONE
    assert len(made.imported) == 1
    assert list(folders.iterdir()) == []


def test_closing_in_the_middle_of_a_row_leaves_no_process_and_no_folder(made, tmp_path, monkeypatch):
    folders = tmp_path / "jobs"
    folders.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folders))
    row = made.add("large", overlap=0.9)
    made.turn_until(lambda: is_computing(row))
    pid = made.process.worker.pid
    made.queue.close()
    assert list(folders.iterdir()) == []
    assert not Path(f"/proc/{pid}").exists()
