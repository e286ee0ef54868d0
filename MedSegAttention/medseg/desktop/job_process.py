"""A job in a child process: what the panel needs of one, and one for callers that can wait."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from medseg.desktop.dialogue import raise_failure
from medseg.jobs.worker_process import WorkerProcess
from medseg.spec.errors import JobError
from medseg.spec.events import Event, Failed, Finished
from medseg.spec.job import Job

IDLE_SECONDS = 300.0  # a worker stays warm so long, with torch and the last networks in memory


class JobProcess(Protocol):
    """Does one job after the other elsewhere; the panel is given one, so that a test can hand over its own."""

    def start(self, job: Job) -> None:
        """Begin; events come through the callback it was made with, Finished or Failed last."""

    def cancel(self) -> None:
        """Ask it to stop, and end it by force when it does not."""

    def close(self) -> None:
        """End it with all it started."""


def find_python() -> str:
    """Slicer's own Python, else the one that runs this: Slicer puts PythonSlicer on the PATH of its process.

    Raises:
        JobError: inside an application that is no Python and has none on its PATH.
    """
    slicers = shutil.which("PythonSlicer")
    if slicers is not None:
        return slicers
    if not Path(sys.executable).name.lower().startswith("python"):
        msg = f"PythonSlicer was not found on the PATH, and {sys.executable or 'this'} is no Python; name one"
        raise JobError(msg)
    return sys.executable


def run_and_wait(
    job: Job,
    *,
    python: str | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
    on_log: Callable[[str], None] = lambda _: None,
) -> Finished:
    """Do one job in a child process and wait for it.

    Args:
        job: what to do.
        python: interpreter; None: ``find_python()``.
        on_event: hears the worker's events, in the caller's thread; what it raises ends the worker.
        on_log: hears each line of the worker's log, from a thread.

    Raises:
        JobError: something the user can mend, or the interpreter cannot be started.
        RuntimeError: a bug or a crash of the worker; the message holds its last words.
    """
    last: Event | None = None
    with WorkerProcess(python or find_python(), on_log=on_log) as worker:
        for event in worker.run(job):
            on_event(event)
            last = event
    if not isinstance(last, Finished | Failed):
        last = Failed("the worker ended without an answer", is_bug=True)
    return raise_failure(last)
