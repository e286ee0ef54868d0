"""The queue on Qt's process with the real worker: the window's loop turns, and a crash in between stops nothing."""

import os
import signal
import sys
import time
from functools import partial

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials", exc_type=ImportError)
pytest.importorskip("slicer", reason="needs Slicer's MRML classes: run inside Slicer or install slicer-core")
pytest.importorskip("torch", reason="the worker needs torch")

import psutil

from Integration.tiny import write_tiny_bundle
from medseg.bundles.catalogue import find_bundle
from medseg.desktop.queue.job_queue import JobQueue
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.order import Order
from medseg.desktop.state.settings import PanelSettings
from medseg.desktop.worker.job_folder import read_answer, write_request
from medseg.imaging.image import Image

LOADED_SECONDS = 6  # the contract is two


@pytest.fixture
def queue(qt_app, tmp_path, monkeypatch):
    """Rows called "large" take minutes, others a moment."""
    from medseg.desktop.state.steps import later
    from medseg.desktop.worker.qt_process import QtJobProcess

    assert qt_app
    write_tiny_bundle(tmp_path / "models")
    monkeypatch.setenv("MEDSEG_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rng = np.random.default_rng(0)
    scans = {name: Image(rng.random((1, size, size, size)), np.eye(4)) for name, size in (("large", 48), ("small", 16))}

    def prepare(order, folder):
        image = scans[order.title]
        request = write_request(folder, [image], order.bundle.manifest, order.settings.options())
        return PendingRun(request, order.bundle, image, order.title, None, "add")

    def import_result(run, _finished):
        return ImportedResult(node=read_answer(run.request, run.image))

    made = JobQueue(partial(QtJobProcess, python=sys.executable), prepare, import_result, later=later)
    yield made
    made.close()


def add(queue, title):
    overlap = 0.9 if title == "large" else 0.0
    settings = PanelSettings(device="cpu", overlap=overlap)
    return queue.add(Order(find_bundle("tiny"), (title,), settings, title=title))


def worker_pids():
    return [child.pid for child in psutil.Process().children()]


def test_after_kill_9_the_next_row_finds_a_new_worker_and_the_one_after_finds_it_warm(queue, spin):
    rows = [add(queue, title) for title in ("large", "small", "small")]
    assert rows[0].state == "waiting"  # nothing is written before the window was painted
    spin(lambda: rows[0].percent > 10, seconds=60)
    first = worker_pids()
    for pid in first:
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    spin(lambda: rows[1].has_ended, seconds=60)
    second = worker_pids()
    spin(lambda: rows[2].has_ended, seconds=60)
    assert [str(row.state) for row in rows] == ["failed", "done", "done"]
    assert len(rows[0].message.splitlines()) == 1
    assert second == worker_pids() != first
    assert rows[1].result.node.shape == (16, 16, 16)


def test_cancel_stops_one_row_in_two_seconds_while_the_next_waits(queue, spin):
    row, follower = add(queue, "large"), add(queue, "small")
    spin(lambda: row.percent > 10, seconds=60)
    queue.cancel(row)
    begun = time.monotonic()
    spin(lambda: row.has_ended, seconds=10)
    assert time.monotonic() - begun < LOADED_SECONDS
    spin(lambda: follower.has_ended, seconds=60)
    assert [str(each.state) for each in queue.rows] == ["cancelled", "done"]
