"""A worker behind Qt's QProcess: the window stays alive, and everything is heard in Qt's own thread."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import qt

from medseg.desktop.state.preferences import IDLE_SECONDS
from medseg.desktop.state.texts import describe_event
from medseg.desktop.worker.job_process import interpreter
from medseg.jobs.worker.client import WorkerClient
from medseg.spec.events import Event


class QtTransport:
    """Implements ``Transport``; Qt's loop must be turned."""

    client: WorkerClient

    def __init__(self) -> None:
        self._process: qt.QProcess | None = None
        self._program = ""
        self._has_begun = False
        self._timer = qt.QTimer()  # a thread would have to wait until Qt's own one runs Python
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", lambda: self._at_timeout())
        self._at_timeout: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        if self._process is None or self._process.state() == qt.QProcess.NotRunning:
            return None
        return int(self._process.processId())

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start a process."""
        process = qt.QProcess()
        surroundings = qt.QProcessEnvironment()
        for name, value in environment.items():
            surroundings.insert(name, value)
        process.setProcessEnvironment(surroundings)
        process.connect("started()", self._begun)
        process.connect("readyReadStandardOutput()", self._read)
        process.connect("readyReadStandardError()", self._read)
        process.connect("finished(int,QProcess::ExitStatus)", self._ended)
        process.connect("errorOccurred(QProcess::ProcessError)", self._refused)
        self._process, self._has_begun = process, False
        self._program, *arguments = command
        process.start(self._program, arguments)

    def send(self, line: bytes) -> None:
        """Write to stdin."""
        if self._process is not None:
            self._process.write(qt.QByteArray(line))

    def close_input(self) -> None:
        """Close stdin, once all is written."""
        if self._process is not None and self.pid is not None:
            self._process.closeWriteChannel()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the process: Qt must not destroy one that runs."""
        return self._process is None or self.pid is None or bool(self._process.waitForFinished(round(1000 * seconds)))

    def set_timer(self, seconds: float | None, action: Callable[[], None]) -> None:
        """Do something later, in Qt's thread."""
        self._timer.stop()
        self._at_timeout = action
        if seconds is not None:
            self._timer.setInterval(round(1000 * seconds))
            self._timer.start()

    def soon(self, action: Callable[[], None]) -> None:
        """Not from within the signal of a process that is being replaced."""
        qt.QTimer.singleShot(0, action)

    def _begun(self) -> None:
        self._has_begun = True

    def _read(self) -> None:
        if self._process is not None:
            self.client.stream.hear_output(_bytes(self._process.readAllStandardOutput()))
            self.client.stream.hear_errors(_bytes(self._process.readAllStandardError()))

    def _ended(self, code: int, status: object = None) -> None:
        self._read()
        by_signal = status == qt.QProcess.CrashExit and sys.platform != "win32"  # Qt gives the signal's number then
        self.client.has_ended(-int(code) if by_signal else int(code))

    def _refused(self, *_error: object) -> None:
        """A process that never began has no end to tell of; one that crashed has, and ``_ended`` does."""
        if not self._has_begun and self._process is not None:
            self.client.cannot_start(self._program, str(self._process.errorString()))


class QtJobProcess(WorkerClient):
    """``WorkerClient`` in Slicer, which implements ``JobProcess``.

    Args:
        on_event: hears the events of a job; an ``End`` comes last, whatever becomes of the process.
        on_log: hears each line of its log.
        python: interpreter; None: Slicer's own.
        choose: asked before each job for an interpreter and for how many seconds a worker waits for the next job.
            None: ``python``, and the usual time.

    ``start`` and ``describe`` raise ``JobError`` where no Python is found.
    """

    def __init__(
        self,
        on_event: Callable[[Event], None],
        on_log: Callable[[str], None],
        python: str | None = None,
        *,
        choose: Callable[[], tuple[str | None, float]] | None = None,
    ) -> None:
        choose = choose or (lambda: (python, IDLE_SECONDS))
        super().__init__(QtTransport(), on_event, on_log, lambda: interpreter(*choose()), in_words=describe_event)


def _bytes(array: Any) -> bytes:
    """Bytes of a QByteArray; bindings differ in what its ``data()`` is."""
    text: bytes | str = array if isinstance(array, bytes) else array.data()
    return text.encode() if isinstance(text, str) else bytes(text)
