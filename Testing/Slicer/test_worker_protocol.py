"""One client, two transports: whatever becomes of a worker, both say the same. The workers here are scripts of ours.

What a worker of ours does on either transport is in Testing/Integration/test_worker.py and test_job_queue_qt.py.
"""

import importlib
import math
import os
import sys
import time

import pytest

from medseg.desktop.state import texts
from medseg.jobs.worker.client import WorkerClient
from medseg.jobs.worker.command import Interpreter
from medseg.jobs.worker.subprocess_worker import SubprocessTransport
from medseg.spec.errors import JobError
from medseg.spec.events import Described, Device, End, Failed, Finished, Started, Stopped, Warned
from medseg.spec.job import Job, Options
from medseg.spec.training_job import TrainingJob

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are started by their #! line")

LOADED_SECONDS = 6  # the contract is two; a loaded computer may take longer
JOB = Job(inputs=("a",), model="m", output="o")
START = "tell(event='Started', name=json.loads(sys.stdin.readline()).get('name', ''))"
DONE = "tell(event='Finished', outputs=['o'], device=str(os.getpid()), seconds=1)"
WAIT = "sys.stdin.read()"
DEVICE = "tell(event='Described', devices=[{'name': 'cpu', 'title': 'P', 'free_mb': 5, 'total_mb': None}])"


class Worker:
    """A client, what it was heard to say, and what turns its loop."""

    def __init__(self, make_client, turn):
        self.heard, self.lines = [], []
        self.client = make_client(self.heard.append, self.lines.append)
        self.until = turn

    def run(self, job=JOB, name=""):
        """The events of one job."""
        self.begin(job, name)
        return self.rest()

    def begin(self, job=JOB, name=""):
        self.heard.clear()
        self.client.start(job, name)

    def rest(self):
        self.until(lambda: bool(self.heard) and isinstance(self.heard[-1], End))
        return list(self.heard)

    def describe(self):
        self.heard.clear()
        self.client.describe()
        self.until(lambda: self.heard)
        return list(self.heard)


@pytest.fixture(params=["subprocess", "Qt"])
def new_worker(request):
    """Make a worker with a transport; its choice is asked as in the application."""
    made = []

    def with_subprocess(choose):
        transport = SubprocessTransport()

        def interpreter():
            python, seconds = choose()
            return Interpreter(python, seconds)

        def until(holds):
            while not holds():
                transport.turn()

        return Worker(lambda hear, log: WorkerClient(transport, hear, log, interpreter), until)

    def with_qt(choose):
        module, spin = request.getfixturevalue("qt_process"), request.getfixturevalue("spin")
        return Worker(lambda hear, log: module.QtJobProcess(hear, log, choose=choose), spin)

    def make(choose):
        made.append({"subprocess": with_subprocess, "Qt": with_qt}[request.param](choose))
        return made[-1]

    yield make
    for worker in made:
        worker.client.close()


@pytest.fixture
def qt_process(qt_app):
    """The module under test, on the stand-in for PythonQt."""
    module = importlib.import_module("medseg.desktop.worker.qt_process")
    assert module.qt is qt_app
    return module


@pytest.fixture
def script(tmp_path):
    """Write an interpreter that does some lines of Python instead of starting a worker."""

    def write(*lines, name="python"):
        path = tmp_path / name
        tell = "tell = lambda **event: print(json.dumps(event), flush=True)"
        head = [f"#!{sys.executable} -SE", "import json, os, signal, sys, time", tell]
        path.write_text("\n".join([*head, *lines]))
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def worker(new_worker, script):
    """Make a worker that does some lines of Python."""

    def make(*lines):
        path = script(*lines)
        return new_worker(lambda: (path, 60.0))

    return make


@pytest.fixture
def once(tmp_path):
    """A line that ends the first process only."""
    mark = tmp_path / "second"
    return f"if not os.path.exists({str(mark)!r}): open({str(mark)!r}, 'w').close(); sys.exit(0)"


def kinds(events):
    return [type(event) for event in events]


def test_events_come_in_order_and_other_lines_are_log(worker):
    lines = ["print('loading', flush=True)", "tell(event='Warned', message='odd')", "print('ö', file=sys.stderr)"]
    made = worker(START, *lines, DONE, WAIT)
    *events, last = made.run(name="7")
    assert events == [Started("7"), Warned("odd")]
    assert last == Finished(("o",), str(made.client.pid), 1)
    made.client.close()
    assert made.client.pid is None
    assert sorted(made.lines) == sorted(made.client.log) == ["loading", "ö"]


def test_the_second_job_finds_the_worker_warm(worker):
    made = worker(START, DONE, START, DONE, WAIT)
    assert made.run()[-1].device == made.run()[-1].device == str(made.client.pid)


def test_an_exit_without_an_answer_is_one_failure_with_the_end_of_the_log(worker):
    made = worker(START, "print('line', *range(100), sep='\\nline ', file=sys.stderr)", "sys.exit(3)")
    started, failed = made.run()
    assert started == Started("")
    assert failed.is_bug
    assert failed.message.endswith("exit code 3")
    assert failed.details.splitlines()[-1] == "line 99"
    assert len(failed.details.splitlines()) < 20


def test_a_killed_worker_is_told_with_the_signal(worker):
    made = worker(START, "os.kill(os.getpid(), signal.SIGKILL)")
    assert "SIGKILL" in made.run()[-1].message


def test_a_worker_whose_idle_time_ended_just_then_is_started_again(worker, once):
    assert kinds(worker(once, START, DONE).run()) == [Started, Finished]


def test_a_warm_worker_that_was_falling_over_just_then_is_started_again(worker):
    made = worker(START, DONE, "sys.stdin.readline()", "os._exit(1)")
    first, second = made.run(name="1"), made.run(name="2")
    assert (first[0], second[0]) == (Started("1"), Started("2"))
    assert first[1].device != second[1].device


def test_a_new_worker_that_cannot_start_is_tried_once(worker, tmp_path):
    tries = tmp_path / "tries"
    (failed,) = worker(f"open({str(tries)!r}, 'a').write('x')", "sys.exit(1)").run()
    assert "exit code 1" in failed.message
    assert tries.read_text() == "x"


def test_a_worker_that_never_answers_is_not_started_for_ever(worker, tmp_path):
    tries = tmp_path / "tries"
    (failed,) = worker(f"open({str(tries)!r}, 'a').write('x')", "sys.exit(0)").run()
    assert "exit code 0" in failed.message
    assert tries.read_text() == "xx"


def test_a_job_that_was_begun_is_not_begun_again_though_its_worker_ended_well(worker):
    assert kinds(worker(START, "sys.exit(0)").run()) == [Started, Failed]


def test_after_a_bug_the_next_job_gets_a_new_worker(worker):
    bug = "tell(event='Failed', message=str(os.getpid()), is_bug=True); time.sleep(0.1); sys.exit(1)"
    made = worker(START, bug)
    (_, first), (_, second) = made.run(), made.run()
    assert first.is_bug
    assert second.is_bug
    assert first.message != second.message


def test_a_worker_that_is_deaf_to_cancel_is_killed_and_the_next_job_gets_another(worker, once):
    once = once.replace("sys.exit(0)", "time.sleep(60)")
    made = worker("signal.signal(signal.SIGTERM, signal.SIG_IGN)", START, once, DONE)
    made.begin()
    made.until(lambda: made.heard)
    begun = time.monotonic()
    made.client.cancel(grace_seconds=0.2)
    made.client.cancel(grace_seconds=60)  # the first counts
    assert made.rest() == [Started(""), Stopped()]
    assert 0.1 < time.monotonic() - begun < LOADED_SECONDS
    assert made.client.pid is None
    assert kinds(made.run()) == [Started, Finished]


def test_a_cancel_does_not_reach_the_next_job(worker):
    made = worker(START, "assert sys.stdin.readline() == '\"cancel\"\\n'", "tell(event='Stopped')", START, DONE, WAIT)
    made.begin(name="1")
    made.until(lambda: made.heard)
    made.client.cancel(grace_seconds=0.3)
    assert made.rest() == [Started("1"), Stopped()]
    made.client.cancel(grace_seconds=0)  # there is no job
    time.sleep(0.4)
    assert made.run(name="2") == [Started("2"), Finished(("o",), str(made.client.pid), 1)]


def test_a_worker_that_falls_over_while_it_stops_has_stopped(worker):
    bug = "sys.stdin.readline(); tell(event='Failed', message='KeyError', is_bug=True)"
    made = worker(START, bug, WAIT)
    made.begin()
    made.until(lambda: made.heard)
    made.client.cancel(grace_seconds=30)
    assert made.rest() == [Started(""), Stopped()]


def test_a_job_cancelled_while_its_worker_is_started_again_has_stopped(worker):
    made = worker(START, DONE, "sys.stdin.readline()", "os._exit(1)")
    made.run()
    again = made.client._ask_again
    made.client._ask_again = lambda: (made.client.cancel(), again())
    assert made.run() == [Stopped()]


def test_a_python_that_cannot_be_started_is_named(new_worker):
    (failed,) = new_worker(lambda: ("/nowhere/python", 60.0)).run()
    assert failed.message.startswith("/nowhere/python cannot be started (")
    assert failed.message.endswith("); choose a Python that has medsegattention")
    assert not failed.is_bug


def test_another_python_or_another_time_is_taken_for_the_next_job(new_worker, script):
    argv = "tell(event='Warned', message=' '.join(sys.argv))"
    choice = [(script(START, argv, DONE, WAIT, name=name), seconds) for name, seconds in (("a", 5.0), ("b", 5.0))]
    choice.append((choice[1][0], 7.0))
    made = new_worker(lambda: choice[0])
    runs = []
    while choice:
        runs.append((made.run(), choice.pop(0)))
    pids = {events[-1].device for events, _ in runs}
    assert len(pids) == 3
    for events, (python, seconds) in runs:
        words = next(event.message for event in events if isinstance(event, Warned)).split()
        assert words[0] == python
        assert words[words.index("--idle") + 1] == str(seconds)


def test_a_job_that_json_cannot_say_is_refused_before_anything_begins(worker):
    made = worker(START, DONE)
    boundless = Options(roi_ras_mm=(-math.inf, 0, 0, 1, 0, 1))
    with pytest.raises(JobError, match="finite numbers only"):
        made.client.start(Job(inputs=("a",), model="m", output="o", options=boundless))
    assert not made.client.is_busy
    assert made.client.pid is None


def test_a_training_has_a_process_of_its_own_that_is_told_to_end_with_it(worker):
    module = "module = sys.argv[sys.argv.index('-m') + 1]"
    said = "tell(event='Warned', message=module)"
    quits = "tell(event='Warned', message=sys.stdin.readline().strip()) if 'train' in module else None"
    made = worker(module, START, said, quits, DONE, "sys.exit() if 'train' in module else sys.stdin.read()")
    training = TrainingJob(dataset="d", output="o", title="T", start="s")
    runs = [[each.message for each in made.run(job) if isinstance(each, Warned)] for job in (JOB, training, JOB)]
    assert runs == [["medseg.jobs.worker.main"], ["medseg.cli.training_worker", '"quit"'], ["medseg.jobs.worker.main"]]


def test_a_worker_says_what_it_can_run_on(worker):
    word = "assert sys.stdin.readline() == '\"describe\"\\n'"
    made = worker(word, "print('loading', flush=True)", DEVICE, START, word, DEVICE, DONE, WAIT)
    answer = Described((Device("cpu", "P", 5, None),))
    assert made.describe() == [answer]
    made.begin()
    made.until(lambda: made.heard)
    made.client.describe()
    started, again, _done = made.rest()
    assert (started, again) == (Started(""), answer)


def test_a_worker_whose_idle_time_ended_just_then_is_asked_again(worker, once):
    assert len(worker(once, DEVICE, WAIT).describe()[0].devices) == 1


def test_a_cancelled_job_does_not_keep_its_worker_from_being_asked_again_later(worker, tmp_path):
    mark = str(tmp_path / "second")
    is_first = f"is_first = not os.path.exists({mark!r}); open({mark!r}, 'w').close()"
    word, stopped = "assert sys.stdin.readline() == '\"cancel\"\\n'", "tell(event='Stopped')"
    ends = "sys.stdin.readline(); sys.exit(0)"
    first = "; ".join([START, word, stopped, ends])
    made = worker(is_first, f"if is_first: {first}", DEVICE, WAIT)
    made.begin()
    made.until(lambda: made.heard)
    made.client.cancel()
    assert made.rest() == [Started(""), Stopped()]
    assert made.describe() == [Described((Device("cpu", "P", 5, None),))]


TORCHLESS = "tell(event='Failed', message='this needs torch', is_bug=False); sys.exit(1)"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (None, "cannot be started"),
        (["sys.exit('bad')"], "bad"),
        ([TORCHLESS], "this needs torch"),
        (["os.kill(os.getpid(), signal.SIGKILL)"], "SIGKILL"),
    ],
)
def test_whoever_asks_for_devices_hears_that_nobody_answers_and_the_log_says_why(new_worker, script, lines, words):
    python = "/nowhere/python" if lines is None else script(*lines)
    made = new_worker(lambda: (python, 60.0))
    assert made.describe() == [Described(())]
    assert any(words in line for line in made.lines)
    assert made.client.trouble
    made.client.close()
    assert made.heard == [Described(())]


def test_a_worker_that_is_lost_answers_for_its_job_and_for_its_devices(worker):
    made = worker(START, "sys.stdin.readline(); sys.exit(4)")
    made.begin()
    made.until(lambda: made.heard)
    made.client.describe()
    assert kinds(made.rest()) == [Started, Described, Failed]


def test_closing_ends_the_worker_with_its_job_and_says_nothing_more(worker):
    made = worker("signal.signal(signal.SIGTERM, signal.SIG_IGN)", START, "time.sleep(60)")
    made.begin()
    made.until(lambda: made.heard)
    pid, begun = made.client.pid, time.monotonic()
    made.client.close(grace_seconds=0.2)
    assert time.monotonic() - begun < LOADED_SECONDS
    assert made.heard == [Started("")]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_devices_that_a_closed_worker_names_at_last_are_not_heard(worker):
    asked, cancel = (f"assert sys.stdin.readline() == '\"{word}\"\\n'" for word in ("describe", "cancel"))
    made = worker("print('up', flush=True)", asked, cancel, DEVICE)
    made.client.describe()
    made.until(lambda: made.lines)
    made.client.close()
    assert made.heard == []


def test_devices_are_named_once_though_a_job_was_sent_before_the_answer(worker):
    answer = f"if 'describe' in sys.stdin.readline(): {DEVICE}"
    made = worker(answer, answer, START, DONE, WAIT)
    made.client.describe()
    made.client.start(JOB)
    assert kinds(made.rest()) == [Described, Started, Finished]


def test_the_kill_of_a_worker_that_was_closed_does_not_reach_the_next(worker, once):
    made = worker(START, once.replace("sys.exit(0)", "time.sleep(60)"), "time.sleep(0.6)", DONE, WAIT)
    made.begin()
    made.until(lambda: made.heard)
    made.client.cancel(grace_seconds=0.4)
    made.client.close(grace_seconds=0.05)
    assert kinds(made.run()) == [Started, Finished]


def test_a_worker_that_is_let_go_ends_by_itself(worker):
    made = worker(START, DONE, "assert sys.stdin.readline() == '\"quit\"\\n'")
    made.run()
    made.client.dismiss()
    deadline = time.monotonic() + LOADED_SECONDS
    made.until(lambda: made.client.pid is None or time.monotonic() > deadline)
    assert made.client.pid is None
    assert len(made.heard) == 2


def test_an_answer_whose_line_was_not_ended_counts_once_its_worker_is_gone(worker):
    unended = DONE.replace("tell(", "print(json.dumps(dict(").removesuffix(")") + ")), end='', flush=True)"
    assert kinds(worker(START, unended).run()) == [Started, Finished]


def test_a_worker_that_has_something_to_do_is_not_let_go(worker):
    made = worker(START, "time.sleep(0.1)", DONE, START, DONE, WAIT)
    made.begin()
    made.client.dismiss()
    first, second = made.rest(), made.run()
    assert first[-1].device == second[-1].device


def test_what_was_wrong_with_one_answer_about_devices_is_forgotten_by_the_next(worker, once):
    made = worker(once.replace("sys.exit(0)", TORCHLESS), DEVICE, WAIT)
    assert made.describe() == [Described(())]
    assert made.client.trouble
    assert len(made.describe()[0].devices) == 1
    assert made.client.trouble == ""


def test_a_client_closed_while_its_worker_is_started_again_starts_none(worker):
    made = worker(START, DONE, "sys.stdin.readline()", "os._exit(1)")
    made.run()
    again, done = made.client._ask_again, []
    made.client._ask_again = lambda: (made.client.close(), again(), done.append(made.client.pid))
    made.begin()
    made.until(lambda: done)
    assert done == [None]
    assert made.heard == []


def test_in_slicer_a_python_that_cannot_be_started_is_named_in_the_language_of_the_user(qt_process, spin, monkeypatch):
    german = {
        "{program} cannot be started ({reason}); choose a Python that has medsegattention": "{program} startet nicht"
    }
    monkeypatch.setattr(texts, "_", lambda text: german.get(text, text))
    heard, lines = [], []
    process = qt_process.QtJobProcess(heard.append, lines.append, "/nowhere/python")
    process.start(JOB)
    spin(lambda: heard)
    process.describe()
    spin(lambda: lines)
    assert [texts.describe_event(heard[0])] == lines == ["/nowhere/python startet nicht"]


def test_in_slicer_another_python_does_not_get_slicers_own_surroundings(qt_process, script, monkeypatch, spin):
    monkeypatch.setattr("medseg.desktop.worker.job_process.child_environment", lambda python: {"ONLY": python})
    names = "tell(event='Warned', message=' '.join(sorted(set(os.environ) - {'LC_CTYPE', 'OMP_WAIT_POLICY'})))"
    heard = []
    process = qt_process.QtJobProcess(heard.append, lambda _: None, script(START, names, DONE, WAIT))
    process.start(JOB)
    spin(lambda: heard and isinstance(heard[-1], End))
    process.close()
    assert heard[1] == Warned("ONLY PYTHONPATH")
