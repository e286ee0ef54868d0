"""What a call from the Python console prints while it runs: a line for each thing that begins, and now and then one."""

import sys
import time
from collections.abc import Callable
from typing import Any

from medseg.desktop.state.texts import describe_event
from medseg.spec.events import End, Event, Progress

_SECONDS = 5.0  # between two lines about one stage


class Teller:
    """Prints events as lines.

    Args:
        write: takes each line; None: standard output, which Slicer shows in its console.
        clock: in seconds.
    """

    def __init__(
        self, write: Callable[[str], object] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write, self._clock = write or _print, clock
        self._stage, self._last, self._said_at = "", "", 0.0

    def __call__(self, event: Event) -> None:
        """Tell an event, unless the last line was about the same and is not old."""
        stage = event.stage if isinstance(event, Progress) else type(event).__name__
        is_new = stage != self._stage or isinstance(event, End)
        if not is_new and self._clock() - self._said_at < _SECONDS:
            return
        line = describe_event(event)
        if line != self._last or is_new:
            self._stage, self._last, self._said_at = stage, line, self._clock()
            self._write(line)


def print_case(number: int, total: int, row: Any) -> None:
    """Print the row of a report on a folder."""
    _print(f"{number}/{total} {row.case}: {row.status} {row.error}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
