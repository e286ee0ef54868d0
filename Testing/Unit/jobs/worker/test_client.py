"""The parent's end, against stand-ins for a worker that start in milliseconds."""

import subprocess
import sys
import threading
import time

import pytest

from medseg.jobs.worker.client import WorkerProcess
from medseg.jobs.worker.command import describe_exit, worker_command, worker_environment
from medseg.spec.errors import JobError
from medseg.spec.events import Device, Failed, Finished, Started, Stopped, Warned
from medseg.spec.job import Job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are started by their #! line")

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


def test_events_come_through_and_other_lines_are_log(stand_in):
    lines = [START, "print('loading', flush=True)", "tell(event='Warned', message='odd')", DONE, "sys.stdin.read()"]
    with stand_in(*lines) as worker:
        assert list(worker.run(JOB, "7")) == [Started("7"), Warned("odd"), Finished(("o",), "cpu", 1)]
        assert worker.log == ["loading"]
        assert worker.pid is not None
    assert worker.pid is None


def test_an_exit_without_an_answer_is_a_failure_with_the_end_of_the_log(stand_in):
    with stand_in(START, "print('line', *range(100), sep='\\nline ', file=sys.stderr)", "sys.exit(3)") as worker:
        started, failed = worker.run(JOB)
    assert started == Started("")
    assert failed.is_bug
    assert "exit code 3" in failed.message
    assert failed.details.splitlines()[-1] == "line 99"
    assert len(failed.details.splitlines()) < 20


def test_a_worker_whose_idle_time_ended_just_then_is_started_again(stand_in, tmp_path):
    mark = tmp_path / "second"
    first = f"if not os.path.exists({str(mark)!r}): open({str(mark)!r}, 'w').close(); sys.exit(0)"
    with stand_in(first, START, DONE) as worker:
        assert list(worker.run(JOB)) == [Started(""), Finished(("o",), "cpu", 1)]


def test_a_warm_worker_that_was_falling_over_just_then_is_started_again(stand_in):
    with stand_in(START, DONE, "sys.stdin.readline()", "sys.exit(1)") as worker:
        for name in ("1", "2"):
            assert list(worker.run(JOB, name)) == [Started(name), Finished(("o",), "cpu", 1)]


def test_a_new_worker_that_cannot_start_is_tried_once(stand_in, tmp_path):
    tries = tmp_path / "tries"
    with stand_in(f"open({str(tries)!r}, 'a').write('x')", "sys.exit(1)") as worker:
        (failed,) = worker.run(JOB)
    assert "exit code 1" in failed.message
    assert tries.read_text() == "x"


def test_a_worker_that_never_answers_is_not_started_for_ever(stand_in):
    with stand_in("sys.exit(0)") as worker:
        (failed,) = worker.run(JOB)
    assert "exit code 0" in failed.message


def test_after_a_bug_the_next_job_gets_a_new_worker(stand_in):
    bug = "tell(event='Failed', message='ZeroDivisionError', is_bug=True); time.sleep(0.1); sys.exit(1)"
    with stand_in(START, bug) as worker:
        for _ in range(2):
            assert list(worker.run(JOB)) == [Started(""), Failed("ZeroDivisionError", is_bug=True)]
            assert worker.pid is None


def test_a_worker_that_is_deaf_to_cancel_is_killed(stand_in):
    with stand_in("signal.signal(signal.SIGTERM, signal.SIG_IGN)", START, "time.sleep(60)") as worker:
        events = worker.run(JOB)
        assert next(events) == Started("")
        begun = time.monotonic()
        worker.cancel(grace_seconds=0.2)
        assert list(events) == [Stopped()]
        assert 0.1 < time.monotonic() - begun < 2
        assert worker.pid is None


def test_a_cancel_may_come_from_another_thread_and_does_not_reach_the_next_job(stand_in):
    word = "assert sys.stdin.readline() == '\"cancel\"\\n'"
    with stand_in(START, word, "tell(event='Stopped')", START, DONE) as worker:
        events = worker.run(JOB, "1")
        next(events)
        threading.Thread(target=worker.cancel, kwargs={"grace_seconds": 0.3}).start()
        assert list(events) == [Stopped()]
        time.sleep(0.4)
        assert list(worker.run(JOB, "2")) == [Started("2"), Finished(("o",), "cpu", 1)]


def test_leaving_a_job_early_ends_its_worker(stand_in):
    with stand_in(START, "time.sleep(60)") as worker:
        for event in worker.run(JOB):
            assert event == Started("")
            break
        deadline = time.monotonic() + 2
        while worker.pid is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert worker.pid is None


def test_a_worker_says_what_it_can_run_on(stand_in):
    word = "assert sys.stdin.readline() == '\"describe\"\\n'"
    described = "tell(event='Described', devices=[{'name': 'cpu', 'title': 'P', 'free_mb': 5, 'total_mb': None}])"
    with stand_in(word, "print('loading', flush=True)", described, START, DONE) as worker:
        assert worker.describe() == (Device("cpu", "P", 5, None),)
        assert list(worker.run(JOB)) == [Started(""), Finished(("o",), "cpu", 1)]


def test_a_worker_that_ends_instead_of_describing_is_a_job_error_with_its_own_words(stand_in):
    torchless = "tell(event='Failed', message='this needs torch', is_bug=False); sys.exit(1)"
    with stand_in(torchless) as worker, pytest.raises(JobError, match="this needs torch"):
        worker.describe()


def test_a_worker_whose_idle_time_ended_just_then_is_asked_again(stand_in, tmp_path):
    mark = tmp_path / "second"
    first = f"if not os.path.exists({str(mark)!r}): open({str(mark)!r}, 'w').close(); sys.exit(0)"
    with stand_in(first, "tell(event='Described', devices=[])", "sys.stdin.read()") as worker:
        assert worker.describe() == ()


def test_an_interpreter_that_is_not_there_is_named():
    (failed,) = WorkerProcess("/no/such/python").run(JOB)
    assert "/no/such/python" in failed.message
    assert not failed.is_bug


def test_a_kill_is_said_to_be_about_memory():
    assert "SIGKILL, as the system does when memory runs out" in describe_exit(-9, []).message
    assert "SIGSEGV" in describe_exit(-11, ["Fatal Python error"]).message


def test_only_the_main_thread_binds_a_worker_to_its_life():
    commands = []
    thread = threading.Thread(target=lambda: commands.append(worker_command(idle_seconds=5)))
    thread.start()
    thread.join()
    assert "--die-with-parent" not in commands[0]
    assert commands[0][-2:] == ["--idle", "5"]
    assert "--die-with-parent" in worker_command()


def test_the_parent_needs_the_standard_library_only(checkout):
    code = f"import sys; sys.path.insert(0, {str(checkout / 'MedSegAttention')!r}); import medseg.jobs.worker.client"
    bare = subprocess.run([sys.executable, "-SEc", code], capture_output=True, encoding="utf-8")
    assert (bare.returncode, bare.stderr) == (0, "")


def test_a_search_path_for_modules_is_kept():
    assert worker_environment({"PYTHONPATH": "/mine"})["PYTHONPATH"].endswith("/mine")
    assert worker_environment({"A": "1"})["A"] == "1"
