"""Qt's process between the panel and a worker: warm, cancelled, crashed, deaf. The worker here is a script of ours."""

import importlib
import os
import sys

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="needs Qt: pip install PySide6-Essentials", exc_type=ImportError)

from medseg.spec.events import Described, Failed, Finished, Progress, Started, Stopped
from medseg.spec.job import Job

JOB = Job(inputs=("a.nii",), model="m", output="b.nrrd")

# Answers as the worker does; what a job is called says what becomes of it.
WORKER = """
import json, os, sys, time
def say(kind, **fields):
    print(json.dumps({"event": kind, **fields}), flush=True)
print("hello from", os.getpid(), file=sys.stderr, flush=True)
done = 0
for line in sys.stdin:
    request = json.loads(line)
    if request == "quit":
        break
    if request == "cancel":
        say("Stopped")
        continue
    if done and request["run"]["model"] == "not twice":
        os._exit(1)
    done += 1
    say("Started", name="")
    match request["run"]["model"]:
        case "m" | "not twice":
            say("Progress", stage="windows", done=1, total=1, seconds_left=None)
            say("Finished", outputs=["b.nrrd"], device=str(os.getpid()), seconds=0.1)
        case "deaf":
            time.sleep(60)
        case "crash":
            print("oh no", file=sys.stderr, flush=True)
            os._exit(3)
"""


@pytest.fixture
def qt_process(qt_app, monkeypatch):
    """The module under test, on the stand-in for PythonQt."""
    module = importlib.import_module("medseg.desktop.worker.qt_process")
    assert module.qt is qt_app
    monkeypatch.setattr(module, "worker_command", lambda python, **_: [python, "-c", WORKER])
    return module


@pytest.fixture
def heard():
    return []


@pytest.fixture
def lines():
    return []


@pytest.fixture
def process(qt_process, heard, lines):
    made = qt_process.QtJobProcess(heard.append, lines.append, sys.executable)
    yield made
    made.close()


def is_over(heard):
    return lambda: bool(heard) and isinstance(heard[-1], Finished | Failed)


def job(model):
    return Job(inputs=("a.nii",), model=model, output="b.nrrd")


def test_events_arrive_in_order_and_the_log_beside_them(process, heard, lines, spin):
    process.start(JOB)
    spin(is_over(heard))
    assert [type(event) for event in heard] == [Started, Progress, Finished]
    assert heard[-1].outputs == ("b.nrrd",)
    spin(lambda: lines)
    assert lines[0].startswith("hello from")


def test_the_second_job_finds_the_worker_warm(process, heard, spin):
    process.start(JOB)
    spin(is_over(heard))
    first = heard[-1].device
    heard.clear()
    process.start(JOB)
    spin(is_over(heard))
    assert heard[-1].device == first


def test_a_worker_that_does_not_answer_a_cancel_is_killed_within_two_seconds(process, heard, spin):
    process.start(job("deaf"))
    spin(lambda: heard)
    process.cancel()
    process.cancel()
    assert spin(is_over(heard), 20) < 6.0  # the contract is two seconds; a loaded computer may take longer
    assert heard[-1] == Stopped()
    heard.clear()
    process.start(JOB)
    spin(is_over(heard))
    assert isinstance(heard[-1], Finished)


def test_a_job_for_a_warm_worker_that_is_just_ending_goes_to_a_new_one(process, heard, spin):
    process.start(JOB)
    spin(is_over(heard))
    first = heard[-1].device
    heard.clear()
    process.start(job("not twice"))
    spin(is_over(heard))
    assert [type(event) for event in heard] == [Started, Progress, Finished]
    assert heard[-1].device != first


def test_a_job_cancelled_while_its_worker_is_started_again_is_cancelled(process, heard, spin):
    process.start(JOB)
    spin(is_over(heard))
    heard.clear()
    again = process._relaunch
    process._relaunch = lambda: (process.cancel(), again())
    process.start(job("not twice"))
    spin(is_over(heard))
    assert heard == [Stopped()]


def test_another_python_does_not_get_slicers_own_surroundings(qt_process, heard, monkeypatch, spin):
    monkeypatch.setattr(qt_process, "child_environment", lambda python: {"ONLY": python})
    process = qt_process.QtJobProcess(heard.append, lambda _: None, sys.executable)
    process.start(JOB)
    spin(is_over(heard))
    names = set(process._process.processEnvironment().keys())
    process.close()
    assert names == {"ONLY", "PYTHONPATH"}


def test_a_crash_is_told_once_with_the_last_words(process, heard, spin):
    process.start(job("crash"))
    spin(is_over(heard))
    assert isinstance(heard[-1], Failed)
    assert "exit code 3" in heard[-1].message
    assert "oh no" in heard[-1].details
    assert sum(isinstance(event, Failed) for event in heard) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
def test_a_killed_worker_is_told_with_the_signal(process, heard, spin):
    process.start(job("deaf"))
    spin(lambda: heard)
    os.kill(process._process.processId(), 9)
    spin(is_over(heard))
    assert "SIGKILL" in heard[-1].message


def test_a_python_that_cannot_be_started_is_named(qt_process, heard, spin):
    process = qt_process.QtJobProcess(heard.append, lambda _: None, "/nowhere/python")
    process.start(JOB)
    spin(is_over(heard))
    assert heard == [
        Failed("/nowhere/python cannot be started; choose a Python that has medsegattention", is_bug=False)
    ]


@pytest.mark.parametrize("program", ["/nowhere/python", None], ids=["no worker", "a worker that ends"])
def test_whoever_asks_for_devices_hears_that_nobody_answers(qt_process, heard, lines, spin, monkeypatch, program):
    monkeypatch.setattr(qt_process, "worker_command", lambda python, **_: [python, "-c", "import sys; sys.exit('bad')"])
    process = qt_process.QtJobProcess(heard.append, lines.append, program or sys.executable)
    process.describe()
    spin(lambda: heard)
    assert heard == [Described(())]
    assert any("cannot be started" in line or "bad" in line for line in lines)
    process.close()
    assert len(heard) == 1


def test_closing_ends_the_worker(process, heard, spin):
    process.start(JOB)
    spin(is_over(heard))
    pid = int(heard[-1].device)
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
