"""A worker's day: take an order, do it, say how it ended, until there is nothing left to do."""

import logging
import traceback
from collections.abc import Callable

from medseg.jobs.worker.inbox import Inbox, Refused
from medseg.spec.errors import Cancelled, MedSegError
from medseg.spec.events import Event, Failed, Started, Stopped
from medseg.spec.job import Job
from medseg.spec.training_job import TrainingJob
from medseg.spec.wire import Describe, Quit, Run

_TAIL = 12  # lines of a traceback in the details

RunJob = Callable[[Job, Callable[[Event], None], Callable[[], bool]], object]
"""The job, who hears of it, and whether it was called off; tells ``Finished`` itself or raises."""
RunAny = Callable[[Job | TrainingJob, Callable[[Event], None], Callable[[], bool]], object]


def serve(
    inbox: Inbox,
    tell: Callable[[Event], None],
    run: RunAny,
    *,
    idle_seconds: float | None = None,
    after_job: Callable[[], None] = lambda: None,
    describe: Callable[[], None] = lambda: None,
) -> bool:
    """Do orders one after the other; each is answered by Started, its events, and its end.

    Args:
        inbox: where orders come from.
        tell: hears every event.
        run: does a job. What it raises that is neither a ``MedSegError`` nor an ``OSError`` is a bug and ends the
            worker: nothing is known about the state it leaves.
        idle_seconds: end after so long without an order; None: never.
        after_job: called after each job that was no bug, when nothing holds what it left any more.
        describe: answers a request to describe this computer.

    Returns:
        Whether every order ended well.
    """
    all_well = True
    while (order := inbox.next_order(idle_seconds)) is not None:
        match order.request:
            case Quit():
                break
            case Refused(reason):
                tell(Failed(reason, is_bug=False))
                all_well = False
            case Describe():
                describe()
            case Run(job, name):
                tell(Started(name))
                all_well &= _attempt(job, tell, run, order.cancelled.is_set)
                after_job()
    return all_well


def bug_report(error: BaseException) -> Failed:
    """An error that no user can mend, with where it happened."""
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return Failed(f"{type(error).__name__}: {error}", is_bug=True, details="\n".join(lines[-_TAIL:]))


def _attempt(job: Job | TrainingJob, tell: Callable[[Event], None], run: RunAny, cancelled: Callable[[], bool]) -> bool:
    try:
        if cancelled():
            raise Cancelled  # noqa: TRY301 - one place answers
        run(job, tell, cancelled)
    except Cancelled:
        tell(Stopped())
    except MedSegError as error:
        tell(Failed(str(error), is_bug=False))
    except MemoryError:
        tell(Failed("the computer has too little memory for this job; segment a smaller region", is_bug=False))
    except OSError as error:  # a full disk, a share that went away
        logging.getLogger(__name__).warning("a file or folder failed", exc_info=error)
        tell(Failed(f"a file or folder failed: {error}; check the disk and try again", is_bug=False))
    else:
        return True
    return False
