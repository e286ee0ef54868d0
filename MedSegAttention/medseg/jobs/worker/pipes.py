"""The two ends of a worker's pipe: events out on the real stdout, request lines in from the real stdin."""

import os
import sys
import threading
import time
from collections.abc import Iterator

from medseg.spec.events import Event, Progress, encode_event

_LEAST_SECONDS = 0.05  # between two Progress of one stage: twenty a second are plenty for an eye
_CHUNK = 65536


def claim_pipes() -> tuple[int, int]:
    """Keep stdin and stdout for the protocol: afterwards what any library prints, in C too, goes to stderr.

    Returns:
        File descriptors of the real stdin and the real stdout; children do not inherit them.
    """
    sys.stdout.flush()
    requests, events = os.dup(0), os.dup(1)
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, 0)
    os.close(silence)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    return requests, events


def read_lines(descriptor: int) -> Iterator[bytes]:
    """Give the lines of a pipe as they arrive, without their ends, until it is closed.

    Reads the descriptor itself: a thread that waits inside one of Python's buffered files aborts the interpreter
    when that ends.
    """
    rest = b""
    while chunk := _read_some(descriptor):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.strip() for line in lines)
    if rest.strip():
        yield rest.strip()


class EventWriter:
    """Writes events to a pipe, one line each, from any thread.

    Progress events in quick succession are left out, but never the beginning and the end of a stage. When nobody
    reads any more, events are dropped: whether the work goes on is decided where the parent is watched.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._last = ("", 0.0)  # stage and time of the last Progress

    def __call__(self, event: Event) -> None:
        """Write one event."""
        with self._lock:
            if not self._is_due(event):
                return
            rest = encode_event(event).encode("ascii") + b"\n"
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:  # a broken pipe, which Windows calls an invalid argument
                return

    def _is_due(self, event: Event) -> bool:
        if not isinstance(event, Progress):
            return True
        stage, then = self._last
        now = time.monotonic()
        due = event.stage != stage or event.done in (0, event.total) or now - then >= _LEAST_SECONDS
        if due:
            self._last = (event.stage, now)
        return due


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:  # Windows says so when the other end is gone
        return b""
