"""A worker behind Qt's QProcess: the window stays alive, and the second job finds it warm."""

import sys
from collections.abc import Callable
from typing import Any

import qt

from medseg.desktop.state.preferences import IDLE_SECONDS
from medseg.desktop.state.texts import _
from medseg.desktop.worker.event_stream import EventStreamParser
from medseg.desktop.worker.job_process import child_environment, find_python
from medseg.jobs.worker.command import SEGMENTING, TRAINING, worker_command, worker_environment, worker_module
from medseg.jobs.worker.process_tree import kill_tree
from medseg.spec.events import Described, End, Event, Failed, Stopped
from medseg.spec.job import Job
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import Cancel, Describe, Quit, Request, Run, encode_request

_GRACE_MS = 1500  # between the word cancel and the kill


class QtJobProcess:
    """Implements ``JobProcess``; everything happens in Qt's own thread.

    A training has a process of its own, which ends with it and leaves no memory taken.

    Args:
        on_event: hears the events of a job; its End comes last, whatever becomes of the process.
        on_log: hears each line of its log.
        python: interpreter; None: Slicer's own.
        choose: asked before each job for an interpreter and for how many seconds a worker waits for the next job; a
            worker that was started with others is replaced. None: ``python``, and the usual time.
    """

    def __init__(
        self,
        on_event: Callable[[Event], None],
        on_log: Callable[[str], None],
        python: str | None = None,
        *,
        choose: Callable[[], tuple[str | None, float]] | None = None,
    ) -> None:
        self._on_event = on_event
        self._on_log = on_log
        self._choose = choose or (lambda: (python, IDLE_SECONDS))
        self._python, self._idle_seconds = self._choose()
        self._program, self._module = "", SEGMENTING
        self._process: qt.QProcess | None = None
        self._dialogue = EventStreamParser(self._take, on_log)
        self._is_busy = False
        self._is_asked = False  # for the devices, and there is no answer yet
        self._is_cancelled = False
        self._job: Job | TrainingJob | None = None
        self._is_silent = True  # nothing was heard of the job yet
        self._may_relaunch = False  # the job was sent to a warm worker
        self._has_begun = False  # the process, not the job
        self._killer = qt.QTimer()
        self._killer.setSingleShot(True)
        self._killer.setInterval(_GRACE_MS)
        self._killer.connect("timeout()", self._kill)

    def start(self, job: Job | TrainingJob) -> None:
        """Send a job, to the warm worker where there is one.

        Raises:
            JobError: where no Python is found; later failures are events.
        """
        self._settle(worker_module(job))
        self._job = job
        self._is_busy, self._is_cancelled, self._is_silent = True, False, True
        self._may_relaunch = self._is_alive()
        if not self._may_relaunch:
            self._launch()
        self._send_job(job)

    def describe(self) -> None:
        """Ask what the worker can run on; ``Described`` comes as an event, after the job that is under way.

        It has no devices where the worker ended without an answer; the log says why.

        Raises:
            JobError: where no Python is found.
        """
        if not self._is_busy:
            self._settle()
        if not self._is_alive():
            self._launch()
        self._is_asked = True
        self._send(Describe())

    def cancel(self) -> None:
        """Send the word; kill the process and its children when no answer comes in two seconds."""
        if self._is_busy and not self._is_cancelled:
            self._is_cancelled = True
            self._send(Cancel())
            self._killer.start()

    def close(self) -> None:
        """End the worker with the panel."""
        self._killer.stop()
        self._is_busy = self._is_asked = False
        self._end_worker()

    def dismiss(self) -> None:
        """Send a worker home that has nothing to do, without waiting for it."""
        if self._process is not None and self._is_alive() and not self._is_busy:
            self._send(Quit())
            self._process.closeWriteChannel()

    def _settle(self, module: str = SEGMENTING) -> None:
        """Take the interpreter and the module that are wanted now; an idle worker of others is sent home."""
        wanted = self._choose()
        program = wanted[0] or find_python()
        if (*wanted, module) != (self._python, self._idle_seconds, self._module):
            self._end_worker()
        (self._python, self._idle_seconds), self._program, self._module = wanted, program, module

    def _end_worker(self) -> None:
        if self._process is not None and self._is_alive():
            self._send(Cancel())
            self._send(Quit())
            self._process.closeWriteChannel()
            if not self._process.waitForFinished(_GRACE_MS):
                self._kill()
                self._process.waitForFinished(_GRACE_MS)  # Qt must not destroy a process that runs

    def _launch(self) -> None:
        program, *arguments = worker_command(self._program, idle_seconds=self._idle_seconds, module=self._module)
        process = qt.QProcess()
        surroundings = qt.QProcessEnvironment()
        for name, value in worker_environment(child_environment(self._python)).items():
            surroundings.insert(name, value)
        process.setProcessEnvironment(surroundings)
        self._dialogue = EventStreamParser(self._take, self._on_log)
        self._has_begun = False
        process.connect("started()", self._begun)
        process.connect("readyReadStandardOutput()", self._read_output)
        process.connect("readyReadStandardError()", self._read_errors)
        process.connect("finished(int,QProcess::ExitStatus)", self._ended)
        process.connect("errorOccurred(QProcess::ProcessError)", self._refused)
        self._process = process
        process.start(program, arguments)

    def _relaunch(self) -> None:
        """Send the job again, to a new worker: the warm one was about to end when it was sent."""
        if self._is_cancelled:
            self._finish(Stopped())
        elif self._is_busy and self._job is not None:
            self._launch()
            self._send_job(self._job)

    def _take(self, event: Event) -> None:
        if isinstance(event, Described):
            self._is_asked = False
            self._on_event(event)
            return
        self._is_silent = False
        if isinstance(event, End):
            self._finish(event)
        elif self._is_busy:
            self._on_event(event)

    def _finish(self, event: End) -> None:
        """Tell the end of a job, once."""
        if self._is_busy:
            self._is_busy = False
            self._killer.stop()
            self._on_event(event)

    def _give_up_asking(self) -> None:
        """The worker is gone: no devices are the answer to whoever asked for them."""
        if self._is_asked:
            self._is_asked = False
            self._on_event(Described(()))

    def _read_output(self) -> None:
        if self._process is not None:
            self._dialogue.hear_output(_bytes(self._process.readAllStandardOutput()))

    def _read_errors(self) -> None:
        if self._process is not None:
            self._dialogue.hear_errors(_bytes(self._process.readAllStandardError()))

    def _ended(self, code: int, status: object = None) -> None:
        self._read_output()
        self._read_errors()
        self._give_up_asking()
        if self._is_busy and self._may_relaunch and self._is_silent:
            self._may_relaunch = False
            qt.QTimer.singleShot(0, self._relaunch)  # not from within the signal of the process it replaces
            return
        by_signal = status == qt.QProcess.CrashExit and sys.platform != "win32"  # Qt gives the signal's number then
        code = -int(code) if by_signal else int(code)
        self._finish(self._dialogue.end(code, cancelled=self._is_cancelled))

    def _begun(self) -> None:
        self._has_begun = True

    def _refused(self, *_error: object) -> None:
        """A process that never began has no end to tell of; one that crashed has, and ``_ended`` does."""
        if not self._has_begun:
            program = self._python or find_python()
            msg = _("{program} cannot be started; choose a Python that has medsegattention").format(program=program)
            self._finish(Failed(msg, is_bug=False))
            self._on_log(msg)
            self._give_up_asking()

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.state() != qt.QProcess.NotRunning

    def _send_job(self, job: Job | TrainingJob) -> None:
        self._send(Run(job))
        if self._module == TRAINING:
            self._send(Quit())

    def _send(self, request: Request) -> None:
        if self._process is not None and self._is_alive():
            self._process.write(qt.QByteArray(encode_request(request).encode("ascii") + b"\n"))

    def _kill(self) -> None:
        if self._process is not None and self._process.processId():
            kill_tree(int(self._process.processId()))


def _bytes(array: Any) -> bytes:
    """Bytes of a QByteArray; bindings differ in what its ``data()`` is."""
    text: bytes | str = array if isinstance(array, bytes) else array.data()
    return text.encode() if isinstance(text, str) else bytes(text)
