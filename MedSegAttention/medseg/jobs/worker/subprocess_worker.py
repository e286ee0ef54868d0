"""A worker behind the standard library's ``subprocess``, for callers that can wait."""

import contextlib
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Self

from medseg.jobs.worker.client import WorkerClient
from medseg.jobs.worker.command import Interpreter
from medseg.spec.errors import JobError
from medseg.spec.events import Described, Device, End, Event, Failed
from medseg.spec.wire import AnyJob

_CHUNK = 65536


class SubprocessTransport:
    """Implements ``Transport``: standard output is read by who calls ``turn``, standard error by a thread."""

    client: WorkerClient

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log_reader = threading.Thread()
        self._timer = threading.Timer(0, lambda: None)  # not started
        self._lock = threading.Lock()  # of stdin: a cancel may come from another thread

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start a process."""
        self._release()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            self.client.cannot_start(command[0], error.strerror or str(error))
            return
        self._log_reader = threading.Thread(
            target=self._read_errors, args=(self._process.stderr,), name="worker log", daemon=True
        )
        self._log_reader.start()

    def turn(self) -> None:
        """Wait for the next piece of standard output, or for the end of the process, and hand it over."""
        process = self._process
        if process is None or process.stdout is None:
            return
        try:
            chunk = process.stdout.read1(_CHUNK)  # type: ignore[attr-defined] # a BufferedReader
        except ValueError:  # closed by another thread
            return
        if chunk:
            self.client.stream.hear_output(chunk)
            return
        code = process.wait()
        self._log_reader.join(timeout=1)  # a child of the worker may hold the pipe
        self.client.has_ended(code)

    def send(self, line: bytes) -> None:
        """Write to stdin."""
        with self._lock, contextlib.suppress(OSError, ValueError):  # a broken or closed pipe
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def close_input(self) -> None:
        """Close stdin."""
        with self._lock, contextlib.suppress(OSError):  # what could not be sent any more
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process."""
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            self._release()
        return True

    def set_timer(self, seconds: float | None, action: Callable[[], None]) -> None:
        """Do something later, in a thread of its own."""
        self._timer.cancel()
        if seconds is not None:
            self._timer = threading.Timer(seconds, action)
            self._timer.daemon = True
            self._timer.start()

    def soon(self, action: Callable[[], None]) -> None:
        """Do it at once."""
        action()

    def _release(self) -> None:
        """Let go of a process that has ended."""
        if self._process is not None:
            self._log_reader.join(timeout=1)
            self.close_input()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def _read_errors(self, stderr: IO[bytes]) -> None:
        with stderr:
            while chunk := stderr.read1(_CHUNK):  # type: ignore[attr-defined] # a BufferedReader
                self.client.stream.hear_errors(chunk)


class WorkerProcess(WorkerClient):
    """``WorkerClient`` for callers that wait: the events of a job are an iterator. The worker ends with its context.

    ``cancel`` may be called from any thread while another iterates ``run``.

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
        on_log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._events: deque[Event] = deque()
        self._pipes = SubprocessTransport()
        interpreter = Interpreter(python or sys.executable, idle_seconds, environment)
        super().__init__(self._pipes, self._events.append, on_log, lambda: interpreter)

    def __enter__(self) -> Self:
        """Use as a context."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the worker."""
        self.close()

    def run(self, job: AnyJob, name: str = "") -> Iterator[Event]:
        """Do one job; leaving the iteration early kills the worker.

        Args:
            job: what to do.
            name: comes back in Started.

        Yields:
            Started, what happens, and last an ``End``, whatever becomes of the worker; no more after ``close``.

        Raises:
            JobError: when the job holds a number JSON cannot say.
        """
        self._events.clear()
        ended = False
        try:
            self.start(job, name)
            while not ended and (self._events or self.is_busy):
                if not self._events:
                    self._pipes.turn()
                    continue
                event = self._events.popleft()
                ended = isinstance(event, End)
                if isinstance(event, Failed) and event.is_bug:
                    self.close()  # the next job gets a new worker
                yield event
        finally:
            if not ended and self.is_busy:
                self.close(0)

    def devices(self) -> tuple[Device, ...]:
        """What networks can run on there; to be asked between jobs, and starts the worker when there is none.

        Raises:
            JobError: when the interpreter cannot be started, or its worker ends without an answer.
        """
        self._events.clear()
        self.describe()
        while self.is_asked:
            self._pipes.turn()
        described = [event for event in self._events if isinstance(event, Described)]
        if self.trouble or not described:
            raise JobError(self.trouble or "the worker was closed before it answered; ask again")
        return described[0].devices
