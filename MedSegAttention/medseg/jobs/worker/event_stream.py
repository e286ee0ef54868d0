"""What a worker says, in the order it says it: events and log lines. No processes."""

from collections import deque
from collections.abc import Callable, Iterator

from medseg.spec.events import Event, decode_event

_LOG_LINES = 400


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
        self.log: deque[str] = deque(maxlen=_LOG_LINES)  # the last lines that were no events

    def hear_output(self, chunk: bytes) -> None:
        """Take a piece of standard output, cut anywhere."""
        for text in self._lines("output", chunk):
            event = decode_event(text)
            if event is None:
                self._keep(text)
            else:
                self._on_event(event)

    def hear_errors(self, chunk: bytes) -> None:
        """Take a piece of standard error, cut anywhere."""
        for text in self._lines("errors", chunk):
            self._keep(text)

    def flush(self) -> None:
        """Take what is left of both streams: they have ended."""
        self.hear_output(b"\n")
        self.hear_errors(b"\n")

    def _lines(self, stream: str, chunk: bytes) -> Iterator[str]:
        *lines, self._rest[stream] = (self._rest[stream] + chunk).split(b"\n")
        for line in lines:
            # A progress bar rewrites its line: what follows the last return is what a terminal shows.
            text = line.decode("utf-8", errors="replace").rstrip("\r").rpartition("\r")[2].rstrip()
            if text:
                yield text

    def _keep(self, text: str) -> None:
        self.log.append(text)
        self._on_log(text)
