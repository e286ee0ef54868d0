"""What a worker does: requests are read by a thread, so that "cancel" is heard while a job runs, and done in turn."""

import logging
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from medseg.spec.errors import Cancelled, JobError, MedSegError
from medseg.spec.events import Event, Failed, Started, Stopped
from medseg.spec.job import Job
from medseg.spec.wire import AnyJob, Cancel, Describe, Quit, Run, decode_request

_TAIL = 12  # lines of a traceback in the details

RunJob = Callable[[Job, Callable[[Event], None], Callable[[], bool]], object]
"""The job, who hears its events, and whether it was cancelled; emits ``Finished`` itself or raises."""
RunAny = Callable[[AnyJob, Callable[[Event], None], Callable[[], bool]], object]


@dataclass(frozen=True)
class Refused:
    """A line that is no request, and why."""

    reason: str


@dataclass(frozen=True)
class Queued:
    """One thing to do, and whether it was called off."""

    request: Run | Describe | Quit | Refused
    cancelled: threading.Event


class Inbox:
    """Requests in the order of their lines.

    A cancel word calls off everything that was asked for before it and nothing that comes after: a cancel that
    crosses the end of its job on the way cannot hit the next one.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Queued] = SimpleQueue()
        self._asked = threading.Event()  # shared by all requests since the last cancel
        self._describe: Callable[[], None] | None = None

    def answer_at_once(self, describe: Callable[[], None]) -> None:
        """From now on answer a request to describe in the thread that listens, also while a job runs.

        Until then it waits its turn like others: what can answer is still being loaded.
        """
        self._describe = describe

    def listen(self, lines: Iterable[bytes]) -> None:
        """Take requests from lines until they end; meant for a thread of its own."""
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

    def next_request(self, seconds: float | None) -> Queued | None:
        """Wait for a request; None when none came for so long (None: wait for ever)."""
        try:
            return self._queue.get(timeout=seconds)
        except Empty:
            return None

    def put(self, request: Run | Describe | Quit | Refused) -> None:
        """Append a request."""
        self._queue.put(Queued(request, self._asked))


def serve(
    inbox: Inbox,
    emit: Callable[[Event], None],
    run: RunAny,
    *,
    idle_seconds: float | None = None,
    after_job: Callable[[], None] = lambda: None,
    describe: Callable[[], None] = lambda: None,
) -> bool:
    """Do what is requested, one after the other; each job is answered by Started, its events, and its end.

    Args:
        inbox: where requests come from.
        emit: hears every event.
        run: does a job. What it raises that is neither a ``MedSegError`` nor an ``OSError`` is a bug and ends the
            worker: nothing is known about the state it leaves.
        idle_seconds: end after so long without a request; None: never.
        after_job: called after each job that was no bug, when nothing holds what it left any more.
        describe: answers a request to describe this computer.

    Returns:
        Whether every job ended well.
    """
    all_well = True
    while (queued := inbox.next_request(idle_seconds)) is not None:
        match queued.request:
            case Quit():
                break
            case Refused(reason):
                emit(Failed(reason, is_bug=False))
                all_well = False
            case Describe():
                describe()
            case Run(job, name):
                emit(Started(name))
                all_well &= _attempt(job, emit, run, queued.cancelled.is_set)
                after_job()
    return all_well


def bug_report(error: BaseException) -> Failed:
    """An error that no user can mend, with where it happened."""
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return Failed(f"{type(error).__name__}: {error}", is_bug=True, details="\n".join(lines[-_TAIL:]))


def _attempt(job: AnyJob, emit: Callable[[Event], None], run: RunAny, cancelled: Callable[[], bool]) -> bool:
    try:
        if cancelled():
            raise Cancelled  # noqa: TRY301 - one place answers
        run(job, emit, cancelled)
    except Cancelled:
        emit(Stopped())
    except MedSegError as error:
        emit(Failed(str(error), is_bug=False))
    except MemoryError:
        emit(Failed("the computer has too little memory for this job; segment a smaller region", is_bug=False))
    except OSError as error:  # a full disk, a share that went away
        logging.getLogger(__name__).warning("a file or folder failed", exc_info=error)
        emit(Failed(f"a file or folder failed: {error}; check the disk and try again", is_bug=False))
    else:
        return True
    return False
