"""A worker for callers that wait; what both transports share is in Testing/Slicer/test_worker_protocol.py."""

import subprocess
import sys
import threading
import time

import pytest

from medseg.jobs.worker.command import Interpreter, describe_exit, worker_command, worker_environment
from medseg.jobs.worker.subprocess_worker import WorkerProcess
from medseg.spec.errors import JobError
from medseg.spec.events import Device, Failed, Finished, Started, Stopped, Warned
from medseg.spec.job import Job

needs_scripts = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are started by their #! line")

JOB = Job(inputs=("a",), model="m", output="o")
START = "tell(event='Started', name=json.loads(sys.stdin.readline()).get('name', ''))"
DONE = "tell(event='Finished', outputs=['o'], device='cpu', seconds=1)"


@pytest.fixture
def stand_in(tmp_path):
    """Make an interpreter that does some lines of Python instead of starting a worker."""

    def make(*lines):
        path = tmp_path / "python"
        tell = "tell = lambda **event: print(json.dumps(event), flush=True)"
        head = [f"#!{sys.executable} -SE", "import json, os, signal, sys, time", tell]
        path.write_text("\n".join([*head, *lines]))
        path.chmod(0o755)
        return WorkerProcess(str(path))

    return make


@needs_scripts
def test_the_events_of_a_job_are_an_iterator_and_the_worker_ends_with_its_context(stand_in):
    lines = [START, "print('loading', flush=True)", "tell(event='Warned', message='odd')", DONE, "sys.stdin.read()"]
    with stand_in(*lines) as worker:
        assert list(worker.run(JOB, "7")) == [Started("7"), Warned("odd"), Finished(("o",), "cpu", 1)]
        assert worker.log == ["loading"]
        assert worker.pid is not None
    assert worker.pid is None


@needs_scripts
def test_after_a_bug_there_is_no_worker(stand_in):
    bug = "tell(event='Failed', message='ZeroDivisionError', is_bug=True); time.sleep(0.1); sys.exit(1)"
    with stand_in(START, bug) as worker:
        for _ in range(2):
            assert list(worker.run(JOB)) == [Started(""), Failed("ZeroDivisionError", is_bug=True)]
            assert worker.pid is None


@needs_scripts
def test_a_cancel_may_come_from_another_thread(stand_in):
    word = "assert sys.stdin.readline() == '\"cancel\"\\n'"
    with stand_in(START, word, "tell(event='Stopped')", START, DONE) as worker:
        events = worker.run(JOB, "1")
        next(events)
        threading.Thread(target=worker.cancel, kwargs={"grace_seconds": 0.3}).start()
        assert list(events) == [Stopped()]
        time.sleep(0.4)
        assert list(worker.run(JOB, "2")) == [Started("2"), Finished(("o",), "cpu", 1)]


@needs_scripts
def test_a_deaf_worker_is_killed_while_another_thread_waits_for_it(stand_in):
    with stand_in("signal.signal(signal.SIGTERM, signal.SIG_IGN)", START, "time.sleep(60)") as worker:
        events = worker.run(JOB)
        next(events)
        begun = time.monotonic()
        threading.Thread(target=worker.cancel, kwargs={"grace_seconds": 0.2}).start()
        assert list(events) == [Stopped()]
        assert 0.1 < time.monotonic() - begun < 2
        assert worker.pid is None


@needs_scripts
def test_closing_from_another_thread_ends_the_iterator(stand_in):
    worker = stand_in(START, "time.sleep(60)")
    events = worker.run(JOB)
    next(events)
    threading.Timer(0.1, worker.close, [0.2]).start()
    assert list(events) == []
    assert worker.pid is None


@needs_scripts
def test_leaving_a_job_early_ends_its_worker(stand_in):
    with stand_in(START, "time.sleep(60)") as worker:
        for event in worker.run(JOB):
            assert event == Started("")
            break
        deadline = time.monotonic() + 2
        while worker.pid is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert worker.pid is None


@needs_scripts
def test_a_worker_says_what_it_can_run_on_and_does_a_job_then(stand_in):
    word = "assert sys.stdin.readline() == '\"describe\"\\n'"
    described = "tell(event='Described', devices=[{'name': 'cpu', 'title': 'P', 'free_mb': 5, 'total_mb': None}])"
    with stand_in(word, "print('loading', flush=True)", described, START, DONE) as worker:
        assert worker.devices() == (Device("cpu", "P", 5, None),)
        assert list(worker.run(JOB)) == [Started(""), Finished(("o",), "cpu", 1)]


@needs_scripts
def test_a_worker_that_ends_instead_of_describing_is_a_job_error_with_its_own_words(stand_in):
    torchless = "tell(event='Failed', message='this needs torch', is_bug=False); sys.exit(1)"
    with stand_in(torchless) as worker, pytest.raises(JobError, match="this needs torch"):
        worker.devices()
    with pytest.raises(JobError, match="/no/such/python"):
        WorkerProcess("/no/such/python").devices()


@needs_scripts
def test_whoever_waits_for_devices_of_a_worker_that_is_closed_is_told_so(stand_in):
    worker = stand_in("time.sleep(60)")
    threading.Timer(0.2, worker.close, [0.1]).start()
    with pytest.raises(JobError, match="was closed before it answered"):
        worker.devices()
    assert worker.pid is None


@needs_scripts
def test_a_computer_without_devices_is_no_error(stand_in):
    with stand_in("tell(event='Described', devices=[])", "sys.stdin.read()") as worker:
        assert worker.devices() == ()


def test_an_interpreter_that_is_not_there_is_named():
    (failed,) = WorkerProcess("/no/such/python").run(JOB)
    assert "/no/such/python" in failed.message
    assert not failed.is_bug


def test_a_kill_is_said_to_be_about_memory():
    assert "SIGKILL, as the system does when memory runs out" in describe_exit(-9, []).message
    assert "SIGSEGV" in describe_exit(-11, ["Fatal Python error"]).message


def test_only_the_main_thread_binds_a_worker_to_its_life():
    commands = []
    thread = threading.Thread(target=lambda: commands.append(worker_command(Interpreter(idle_seconds=5))))
    thread.start()
    thread.join()
    assert "--die-with-parent" not in commands[0]
    assert commands[0][-2:] == ["--idle", "5"]
    assert "--die-with-parent" in worker_command(Interpreter())


def test_the_parent_needs_the_standard_library_only(checkout):
    module = "medseg.jobs.worker.subprocess_worker"
    code = f"import sys; sys.path.insert(0, {str(checkout / 'MedSegAttention')!r}); import {module}"
    bare = subprocess.run([sys.executable, "-SEc", code], capture_output=True, encoding="utf-8")
    assert (bare.returncode, bare.stderr) == (0, "")


def test_a_search_path_for_modules_is_kept():
    assert worker_environment({"PYTHONPATH": "/mine"})["PYTHONPATH"].endswith("/mine")
    assert worker_environment({"A": "1"})["A"] == "1"
