"""One process that speaks the worker's protocol: its pipes, its log and the timer that kills it."""

import contextlib
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import IO

from medseg.jobs.worker.process_tree import kill_tree
from medseg.spec.errors import JobError
from medseg.spec.events import Event, decode_event
from medseg.spec.wire import Cancel, Quit, Request, encode_request

_LOG_LINES = 400


class ChildProcess:
    """A started worker; it is not started again.

    Args:
        command: what to start.
        environment: its variables.
        on_log: hears each line of stderr, and of stdout what is no event, from a thread.

    Raises:
        JobError: when it cannot be started.
    """

    def __init__(
        self, command: list[str], environment: Mapping[str, str], on_log: Callable[[str], None] | None
    ) -> None:
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self._on_log = on_log
        self._process = _start(command, environment)
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        if stdin is None or stdout is None or stderr is None:  # for the type checker: three pipes were asked for
            msg = "the worker was started without pipes"
            raise OSError(msg)
        self._stdin, self._stdout = stdin, stdout
        self._lock = threading.Lock()  # of stdin and the timer
        self._timer: threading.Timer | None = None
        self._log_reader = threading.Thread(target=self._keep_log, args=(stderr,), name="worker log", daemon=True)
        self._log_reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, request: Request) -> None:
        """Write a request; when the worker is gone, the end of its events says so."""
        line = encode_request(request).encode("ascii") + b"\n"
        with self._lock:
            try:
                self._stdin.write(line)
                self._stdin.flush()
            except (OSError, ValueError):  # a broken or closed pipe
                return

    def events(self) -> Iterator[Event]:
        """Events until the pipe ends; a line that is none is log text."""
        for line in self._stdout:
            text = line.decode("utf-8", errors="replace").rstrip()
            event = decode_event(text)
            if event is None:
                self._take_log(text)
            else:
                yield event

    def wait(self) -> int:
        """Exit code, once the log is complete."""
        code = self._process.wait()
        self._log_reader.join(timeout=1)  # a child of the worker may hold the pipe
        return code

    def kill_after(self, seconds: float) -> None:
        """Kill the whole tree unless the job ends before; the first call counts."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(seconds, kill_tree, [self.pid])
                self._timer.daemon = True
                self._timer.start()

    def end_of_job(self, *, answered: bool) -> None:
        """Call the kill off; or kill at once when the job was left without an answer."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if not answered and self.is_alive():
            self.let_end(0)

    def let_end(self, grace_seconds: float) -> None:
        """Wait for a worker that is about to end, then make it end."""
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            kill_tree(self.pid)
        self.wait()

    def close(self, grace_seconds: float) -> None:
        """Ask the worker to end, then make it end; close the pipes."""
        if self.is_alive():
            self.send(Cancel())
            self.send(Quit())
        with contextlib.suppress(OSError):  # what could not be sent any more
            self._stdin.close()
        self.let_end(grace_seconds)
        self._stdout.close()

    def _keep_log(self, stderr: IO[bytes]) -> None:
        with stderr:
            for line in stderr:
                self._take_log(line.decode("utf-8", errors="replace").rstrip())

    def _take_log(self, text: str) -> None:
        self.log.append(text)
        if self._on_log is not None:
            self._on_log(text)


def _start(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        msg = f"{command[0]} cannot be started ({error.strerror}); choose a Python interpreter that has medsegattention"
        raise JobError(msg) from error
