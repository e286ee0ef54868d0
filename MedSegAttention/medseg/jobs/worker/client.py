"""The parent's end of the pipe: start a worker, send it jobs, hear its events, stop it. Standard library only."""

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from medseg.jobs.worker.child_process import ChildProcess
from medseg.jobs.worker.command import (
    SEGMENTING,
    TRAINING,
    describe_exit,
    worker_command,
    worker_environment,
    worker_module,
)
from medseg.spec.errors import JobError
from medseg.spec.events import Described, Device, End, Event, Failed, Stopped
from medseg.spec.job import Job
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import Cancel, Describe, Quit, Run

GRACE_SECONDS = 1.5  # between a word and the kill; with the kill itself it is over within 2 s


class WorkerProcess:
    """A worker that stays warm between jobs; it is started by the first one, and anew after it ended.

    Jobs run one at a time; a training gets a process of its own, which ends with it. ``cancel`` may be called from any
    thread while another iterates ``run``.

    Args:
        python: interpreter; None: the one that runs this.
        idle_seconds: the worker ends after so long without a job; None: never.
        environment: variables to start from; None: this process's.
        on_log: hears each line of the worker's stderr, from a thread.
    """

    def __init__(
        self,
        python: str | None = None,
        *,
        idle_seconds: float | None = None,
        environment: Mapping[str, str] | None = None,
        on_log: Callable[[str], None] | None = None,
    ) -> None:
        self._python = python
        self._idle_seconds = idle_seconds
        self._environment = worker_environment(environment)
        self._on_log = on_log
        self._child: ChildProcess | None = None
        self._module = SEGMENTING  # that the child runs
        self._cancelled = False

    def __enter__(self) -> Self:
        """Use as a context: the worker ends with it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the worker."""
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._child.pid if self._child is not None and self._child.is_alive() else None

    @property
    def log(self) -> list[str]:
        """The last lines of the worker's stderr."""
        return [] if self._child is None else list(self._child.log)

    def start(self) -> None:
        """Start the process if there is none, so that it is warm when the first job comes.

        Raises:
            JobError: when the interpreter cannot be started.
        """
        self._living_child()

    def run(self, job: Job | TrainingJob, name: str = "") -> Iterator[Event]:
        """Do one job; leaving the iteration early kills the worker.

        Args:
            job: what to do.
            name: comes back in Started.

        Yields:
            Started, what happens, and last an ``End``, whatever becomes of the worker.

        Raises:
            JobError: when the job holds a number JSON cannot say.
        """
        self._cancelled = False
        self._become(worker_module(job))
        answered = False
        try:
            for event in self._conversation(Run(job, name)):
                answered = isinstance(event, End)
                if isinstance(event, Failed) and event.is_bug and self._child is not None:
                    self._child.let_end(GRACE_SECONDS)
                yield event
                if answered:
                    return
        finally:
            if self._child is not None:
                self._child.end_of_job(answered=answered)

    def describe(self) -> tuple[Device, ...]:
        """Ask what networks can run on there; between jobs, and starts the worker when there is none.

        Raises:
            JobError: when the interpreter cannot be started, or its worker ends without an answer.
        """
        self._become(SEGMENTING)
        for _ in range(2):  # once more when a worker was about to end just as it was asked
            child = self._living_child()
            child.send(Describe())
            for event in child.events():
                if isinstance(event, Described):
                    return event.devices
                if isinstance(event, Failed):  # something it needs is not installed
                    raise JobError(event.message)
            code = child.wait()
        raise JobError(describe_exit(code, child.log).message)

    def cancel(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ask the running job to stop; a worker that does not answer in time is killed with its children."""
        if (child := self._child) is not None:
            self._cancelled = True
            child.kill_after(grace_seconds)
            child.send(Cancel())

    def close(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End the worker: ask, then kill."""
        child, self._child = self._child, None
        if child is not None:
            child.close(grace_seconds)

    def _conversation(self, request: Run) -> Iterator[Event]:
        """What the worker says to a request, and an answer in its name when it ends without one."""
        for _ in range(2):  # once more when a worker was about to end just as the job was sent
            is_warm = self.pid is not None
            try:
                child = self._living_child()
            except JobError as error:
                yield Failed(str(error), is_bug=False)
                return
            child.send(request)
            if self._module == TRAINING:
                child.send(Quit())  # it leaves no memory taken, also not on the graphics card
            silent = True
            for event in child.events():
                silent = False
                yield Stopped() if self._is_last_word(event) else event
            code = child.wait()
            if not silent or self._cancelled or not (is_warm or code == 0):
                break
        yield Stopped() if self._cancelled else describe_exit(code, child.log)

    def _become(self, module: str) -> None:
        """Let a child that runs another module go."""
        if module != self._module:
            self.close()
            self._module = module

    def _is_last_word(self, event: Event) -> bool:
        """Whether this is a worker that fell over while it was stopping."""
        return self._cancelled and isinstance(event, Failed)

    def _living_child(self) -> ChildProcess:
        if self._child is None or not self._child.is_alive():
            self.close()
            command = worker_command(self._python, idle_seconds=self._idle_seconds, module=self._module)
            self._child = ChildProcess(command, self._environment, self._on_log)
        return self._child
