"""A job in a child process: what the panel needs of one, and one for callers that can wait."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from medseg.desktop.state.preferences import IDLE_SECONDS
from medseg.desktop.state.texts import _
from medseg.jobs.worker.command import Interpreter
from medseg.spec.errors import JobError
from medseg.spec.events import Event
from medseg.spec.wire import AnyJob


class JobProcess(Protocol):
    """Does one job after the other elsewhere; the panel is given one, so that a test can hand over its own."""

    def start(self, job: AnyJob) -> None:
        """Begin; events come through the callback it was made with, its End last."""

    def cancel(self) -> None:
        """Ask it to stop, and end it by force when it does not."""

    def close(self) -> None:
        """End it with all it started."""


MakeProcess: TypeAlias = Callable[[Callable[[Event], None], Callable[[str], None]], JobProcess]


def call_now(action: Callable[[], None]) -> None:
    """Do it at once."""
    action()


def also_heard(make_process: MakeProcess, on_event: Callable[[Event], None]) -> MakeProcess:
    """Make processes whose events a second listener hears too, and first."""

    def make(hear: Callable[[Event], None], on_log: Callable[[str], None]) -> JobProcess:
        def hear_both(event: Event) -> None:
            on_event(event)
            hear(event)

        return make_process(hear_both, on_log)

    return make


def find_python() -> str:
    """Slicer's own Python, else the one that runs this: Slicer puts PythonSlicer on the PATH of its process.

    PythonSlicer is a launcher that sets variables and starts the python-real beside it. Slicer's own process has these
    variables already, so that one is taken where it is there: a launcher in between need not hand on what is written
    to it, and is the parent that a worker sees, and what is killed in its place.

    Raises:
        JobError: inside an application that is no Python and has none on its PATH.
    """
    launcher = shutil.which("PythonSlicer")
    if launcher is not None:
        real = Path(launcher).with_name("python-real").with_suffix(Path(launcher).suffix)
        return str(real) if real.is_file() else launcher
    if not Path(sys.executable).name.lower().startswith("python"):
        msg = _("PythonSlicer was not found on the PATH, and {program} is no Python; name one").format(
            program=sys.executable or _("this")
        )
        raise JobError(msg)
    return sys.executable


def child_environment(python: str | None) -> dict[str, str] | None:
    """Variables for an interpreter to start from; None: this process's.

    Slicer points PYTHONHOME and the library paths at its own Python, with which another one cannot even start: that
    one gets what Slicer itself was started with.

    Args:
        python: an interpreter; None: Slicer's own.
    """
    if python is None or any(_is_same_program(python, own) for own in (find_python(), "PythonSlicer")):
        return None
    try:
        import slicer
    except ImportError:  # outside Slicer nothing points anywhere
        return None
    if getattr(slicer, "app", None) is None:  # MRML without the application, which alone knows
        return None
    startup = getattr(getattr(slicer, "util", None), "startupEnvironment", None)
    return None if startup is None else dict(startup())


def interpreter(python: str | None, idle_seconds: float = IDLE_SECONDS) -> Interpreter:
    """What a worker is started with; None: ``find_python()``, which may raise."""
    return Interpreter(python or find_python(), idle_seconds, child_environment(python))


def _is_same_program(one: str, other: str) -> bool:
    """Links are not followed: a virtual environment's interpreter is a link to the one it was made with."""
    place, another = (os.path.abspath(shutil.which(each) or each) for each in (one, other))  # noqa: PTH100
    return os.path.normcase(place) == os.path.normcase(another)
