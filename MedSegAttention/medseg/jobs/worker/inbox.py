"""Requests as they arrive: read by a thread, so that "cancel" is heard while a job runs."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from medseg.spec.errors import JobError
from medseg.spec.wire import Cancel, Describe, Quit, Run, decode_request


@dataclass(frozen=True)
class Refused:
    """A line that is no request, and why."""

    reason: str


@dataclass(frozen=True)
class Order:
    """One thing to do, and whether it was called off."""

    request: Run | Describe | Quit | Refused
    cancelled: threading.Event


class Inbox:
    """Orders in the sequence of their lines.

    A cancel word calls off everything that was asked for before it and nothing that comes after: a cancel that
    crosses the end of its job on the way cannot hit the next one.
    """

    def __init__(self) -> None:
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._asked = threading.Event()  # shared by all orders since the last cancel
        self._describe: Callable[[], None] | None = None

    def answer_at_once(self, describe: Callable[[], None]) -> None:
        """From now on answer a request to describe in the thread that listens, also while a job runs.

        Until then it is an order like others: what can answer is still being loaded.
        """
        self._describe = describe

    def listen(self, lines: Iterable[bytes]) -> None:
        """Take orders from lines until they end; meant for a thread of its own."""
        for line in lines:
            if line:
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            request = decode_request(line)
        except JobError as error:
            self.put(Refused(str(error)))
            return
        if isinstance(request, Cancel):
            self.cancel()
        elif isinstance(request, Describe) and self._describe is not None:
            self._describe()
        else:
            self.put(request)

    def cancel(self) -> None:
        """Call off everything asked for so far."""
        self._asked.set()
        self._asked = threading.Event()

    def stop(self) -> None:
        """Call everything off, and end after that."""
        self.cancel()
        self.put(Quit())

    def next_order(self, seconds: float | None) -> Order | None:
        """Wait for an order; None when none came for so long (None: wait for ever)."""
        try:
            return self._orders.get(timeout=seconds)
        except Empty:
            return None

    def put(self, request: Run | Describe | Quit | Refused) -> None:
        """Append an order."""
        self._orders.put(Order(request, self._asked))
