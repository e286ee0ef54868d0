"""What a worker says, in the order it says it: events and log lines. No Qt, no processes."""

from collections import deque
from collections.abc import Callable

from medseg.jobs.worker.command import describe_exit
from medseg.spec.events import Event, Failed, Stopped, decode_event

_LOG_LINES = 5000


class EventStreamParser:
    """Cuts the two streams of a worker into events and log lines; one object a process.

    Args:
        on_event: hears every event, the last one of a job included.
        on_log: hears every line that is no event, without its end.
    """

    def __init__(self, on_event: Callable[[Event], None], on_log: Callable[[str], None]) -> None:
        self._on_event = on_event
        self._on_log = on_log
        self._rest = {"output": b"", "errors": b""}
        self._log: deque[str] = deque(maxlen=_LOG_LINES)

    def hear_output(self, chunk: bytes) -> None:
        """Take a piece of standard output, cut anywhere."""
        self._hear("output", chunk)

    def hear_errors(self, chunk: bytes) -> None:
        """Take a piece of standard error, cut anywhere."""
        self._hear("errors", chunk)

    def end(self, code: int, *, cancelled: bool) -> Failed | Stopped:
        """What to say of a process that ended while a job was under way.

        Args:
            code: its exit code; a negative one is a signal.
            cancelled: whether the user had asked it to stop.
        """
        for stream in self._rest:
            self._hear(stream, b"\n")
        return Stopped() if cancelled else describe_exit(code, list(self._log))

    def _hear(self, stream: str, chunk: bytes) -> None:
        *lines, self._rest[stream] = (self._rest[stream] + chunk).split(b"\n")
        for line in lines:
            # A progress bar rewrites its line: what comes after the last return is what an eye would see.
            text = line.decode("utf-8", errors="replace").rstrip("\r").rpartition("\r")[2].rstrip()
            event = decode_event(text) if stream == "output" else None
            if event is not None:
                self._on_event(event)
            elif text:
                self._log.append(text)
                self._on_log(text)
