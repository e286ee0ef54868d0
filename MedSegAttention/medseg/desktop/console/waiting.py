"""A call from the console that comes back at once: the worker runs behind Qt's own loop."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import qt

from medseg.desktop.console.orders import ConsoleOrders
from medseg.desktop.console.segmenting import ConsoleRun, OnFinished
from medseg.desktop.worker.job_process import MakeProcess
from medseg.desktop.worker.qt_process import QtJobProcess
from medseg.spec.events import Event

_LEAVING_MS = 2000  # after which a worker that was sent home is made to go; waiting for it would freeze the window
_under_way: set[Any] = set()  # a caller may throw the handle away


class BackgroundRun(Protocol):
    """What is started, and closed when it has ended."""

    def start(self) -> None:
        """Begin."""

    def close(self) -> None:
        """End the worker."""


Run = TypeVar("Run", bound=BackgroundRun)


def run_in_background(
    orders: ConsoleOrders,
    *,
    versions: dict[str, str],
    python: str | None,
    on_event: Callable[[Event], None],
    on_finished: OnFinished,
) -> ConsoleRun:
    """Start a run; everything is heard in Qt's thread, so the application must turn its loop.

    Args:
        orders: as for ``ConsoleRun``, and so the others.
        versions: of the programs, written beside the result.
        python: interpreter; None: Slicer's own.
        on_event: hears the worker's events.
        on_finished: hears of the end.
    """
    return in_background(
        lambda make_process, finished: ConsoleRun(
            orders, make_process, versions=versions, on_event=on_event, on_finished=finished, later=later
        ),
        python,
        on_finished,
    )


def in_background(
    make_run: Callable[[MakeProcess, Callable[[Any, Exception | None], None]], Run],
    python: str | None,
    on_finished: Callable[[Any, Exception | None], None],
) -> Run:
    """Start what runs behind Qt's loop.

    Args:
        make_run: given what makes its process and whom to tell of its end, makes it.
        python: interpreter; None: Slicer's own.
        on_finished: hears of the end.
    """
    processes: list[QtJobProcess] = []

    def make_process(hear: Callable[[Event], None], on_log: Callable[[str], None]) -> QtJobProcess:
        processes.append(QtJobProcess(hear, on_log, python))
        return processes[-1]

    def close() -> None:
        run.close()
        _under_way.discard(run)

    def finished(result: Any, error: Exception | None) -> None:
        later(processes[0].dismiss)  # not from within the signal of the process it ends
        qt.QTimer.singleShot(_LEAVING_MS, close)
        on_finished(result, error)

    run = make_run(make_process, finished)
    _under_way.add(run)
    run.start()
    return run


def later(action: Callable[[], None]) -> None:
    """Do something when Qt's loop is next turned."""
    qt.QTimer.singleShot(0, action)
