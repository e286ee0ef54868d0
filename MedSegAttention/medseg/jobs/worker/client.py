"""The parent's end of the protocol: start a worker, send it jobs, hear its events, stop it. Standard library only.

What carries the bytes is a ``Transport``: ``subprocess_worker.py`` has the one of the standard library,
``medseg.desktop.worker.qt_process`` that of Qt.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from medseg.jobs.worker.command import (
    SEGMENTING,
    Interpreter,
    describe_exit,
    worker_command,
    worker_environment,
    worker_module,
)
from medseg.jobs.worker.event_stream import EventStreamParser
from medseg.jobs.worker.process_tree import kill_tree
from medseg.spec.events import CannotStart, Described, End, Event, Failed, Finished, Stopped
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import AnyJob, Cancel, Describe, Quit, Request, Run, encode_request

GRACE_SECONDS = 1.5  # between a word and the kill; with the kill itself it is over within 2 s


class Transport(Protocol):
    """One process at a time, its pipes and a timer.

    What it hears goes to the ``stream`` of the client it was given to; at last it calls ``has_ended`` or
    ``cannot_start``.
    """

    client: "WorkerClient"

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start a process in place of the one before, which has ended."""

    def send(self, line: bytes) -> None:
        """Write to its stdin; when it is gone, ``has_ended`` says so."""

    def close_input(self) -> None:
        """Say that nothing more will be written."""

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process; whether it has ended."""

    def set_timer(self, seconds: float | None, action: Callable[[], None]) -> None:
        """Do something later instead of what was to be done later; None: nothing."""

    def soon(self, action: Callable[[], None]) -> None:
        """Do something from outside the callback in which this is called."""


class WorkerClient:
    """A worker that stays warm between jobs; it is started by the first one, and anew after it ended.

    Jobs run one at a time; a training gets a process of its own, which ends with it and leaves no memory taken.

    Args:
        transport: carries the bytes.
        on_event: hears the events of a job; an ``End`` comes last, whatever becomes of the process.
        on_log: hears each line of its stderr, of its stdout what is no event, and failures that belong to no job.
        choose: asked before each job; a worker that was started with another interpreter or time is replaced. What it
            raises goes to the caller of ``start`` or ``describe``.
        in_words: how a failure is said to ``on_log``.
    """

    def __init__(
        self,
        transport: Transport,
        on_event: Callable[[Event], None],
        on_log: Callable[[str], None],
        choose: Callable[[], Interpreter],
        *,
        in_words: Callable[[Failed], str] = lambda failed: failed.message,
    ) -> None:
        transport.client = self
        self._transport = transport
        self._on_event = on_event
        self._on_log = on_log
        self._choose, self._in_words = choose, in_words
        self._started_with: tuple[Interpreter, str] | None = None  # the interpreter, and the module it runs
        self._request: Run | None = None  # until its end is known
        self.is_asked = False  # for the devices, and there is no answer yet
        self._is_cancelled = False
        self._may_ask_again = False  # nothing was heard yet of what was asked
        self._was_warm = False
        self._lock = threading.RLock()  # ``cancel`` may come from another thread than the end of its job
        self.stream = EventStreamParser(self._take, on_log)
        self.trouble = ""  # why there are no devices

    @property
    def is_busy(self) -> bool:
        """Whether a job is under way."""
        return self._request is not None

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._transport.pid

    @property
    def log(self) -> list[str]:
        """The last lines that ``on_log`` has heard of the present process, or of the one that ended last."""
        return list(self.stream.log)

    def start(self, job: AnyJob, name: str = "") -> None:
        """Send a job, to the warm worker where there is one.

        Args:
            job: what to do; none is under way.
            name: comes back in Started.

        Raises:
            JobError: when the job holds a number JSON cannot say; what goes wrong later is an event.
        """
        request = Run(job, name)
        encode_request(request)  # raises before anything has begun
        self._settle(worker_module(job))
        self._request, self._is_cancelled = request, False
        self._begin()

    def describe(self) -> None:
        """Ask what networks can run on there; ``Described`` comes as an event, also while a job runs.

        It has no devices where the worker ended without an answer; the log and ``trouble`` say why.
        """
        self.trouble = ""
        if not self.is_busy:
            self._settle(SEGMENTING)
        self.is_asked = True
        if self.is_busy and self.pid is not None:
            self._send(Describe())
        else:
            self._begin()

    def cancel(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ask the running job to stop; a worker that does not answer in time is killed with its children."""
        with self._lock:
            if not self.is_busy or self._is_cancelled:
                return
            self._is_cancelled = True
            self._transport.set_timer(grace_seconds, self._kill)
        self._send(Cancel())

    def close(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End the worker: ask, then kill. Nothing more is heard of what was under way."""
        self._transport.set_timer(None, self._kill)
        self._request, self.is_asked, self._is_cancelled = None, False, False
        self._end_process(grace_seconds)

    def dismiss(self) -> None:
        """Let a worker that has nothing to do end, without waiting for it."""
        if not self.is_busy:
            self._send(Quit())
            self._transport.close_input()

    def has_ended(self, code: int) -> None:
        """Take the end of the process: answer in its name, or ask once more where it was about to end when asked.

        Args:
            code: of its exit; a negative one is a signal.
        """
        self.stream.flush()
        if self._may_ask_again and not self._is_cancelled and (self._was_warm or code == 0):
            self._may_ask_again = False
            self._transport.soon(self._ask_again)
        else:
            self._give_up(describe_exit(code, self.log))

    def cannot_start(self, program: str, reason: str) -> None:
        """Take that there is no process."""
        self._give_up(CannotStart.of(program, reason))

    def _settle(self, module: str) -> None:
        """Take the interpreter and the module that are wanted now; an idle worker of others is ended."""
        wanted = self._choose(), module
        if wanted != self._started_with:
            self._end_process(GRACE_SECONDS)
        self._started_with = wanted

    def _end_process(self, grace_seconds: float) -> None:
        self._send(Cancel())
        self._send(Quit())
        self._transport.close_input()
        if not self._transport.wait(grace_seconds):
            self._kill()
            self._transport.wait(GRACE_SECONDS)

    def _kill(self) -> None:
        if pid := self.pid:  # 0 while it is being started
            kill_tree(pid)

    def _begin(self) -> None:
        """Send what was not asked for before."""
        self._was_warm, self._may_ask_again = self.pid is not None, True
        if self._was_warm:
            self._send_all()
        else:
            self._launch()

    def _ask_again(self) -> None:
        if self._is_cancelled:
            self._give_up(Stopped())
        elif self.pid is None and (self.is_busy or self.is_asked):
            self._launch()

    def _launch(self) -> None:
        """Start a process and send it all that waits for an answer."""
        if self._started_with is not None:
            interpreter, module = self._started_with
            self.stream = EventStreamParser(self._take, self._on_log)
            self._transport.start(worker_command(interpreter, module), worker_environment(interpreter.environment))
            self._send_all()

    def _send_all(self) -> None:
        if self.is_asked:
            self._send(Describe())
        if self._request is not None:
            self._send(self._request)
            if isinstance(self._request.job, TrainingJob):
                self._send(Quit())

    def _send(self, request: Request) -> None:
        if self.pid is not None:
            self._transport.send(encode_request(request).encode("ascii") + b"\n")

    def _take(self, event: Event) -> None:
        self._may_ask_again = False
        match event:
            case Described():
                if self.is_asked:  # else it was closed, or asked once more when a job was sent
                    self.is_asked = False
                    self._on_event(event)
            case Finished() | Failed() | Stopped() if self.is_busy:
                self._finish(event)
            case Failed():  # something that is needed to describe is not installed
                self._note_trouble(event)
            case _ if self.is_busy:
                self._on_event(event)

    def _finish(self, end: End) -> None:
        """Say how a job ended, once; a worker that fell over while it was stopping has stopped."""
        with self._lock:
            if self._request is None:
                return
            self._request = None
            was_cancelled, self._is_cancelled = self._is_cancelled, False  # what is asked next is not
            self._transport.set_timer(None, self._kill)
        self._on_event(Stopped() if was_cancelled and isinstance(end, Failed) else end)

    def _give_up(self, end: Failed | Stopped) -> None:
        """The worker is gone; a pending request for devices gets an empty answer."""
        if self.is_asked:
            self.is_asked = False
            if isinstance(end, Failed) and not self.trouble:
                self._note_trouble(end)
            self._on_event(Described(()))
        self._finish(end)

    def _note_trouble(self, failed: Failed) -> None:
        """Keep why there are no devices; no row of a queue will say it."""
        self.trouble = failed.message
        self._on_log(self._in_words(failed))
