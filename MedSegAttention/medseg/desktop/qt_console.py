"""A call from the console that comes back at once: the worker runs behind Qt's own loop."""

from collections.abc import Callable
from functools import partial

import qt

from medseg.desktop.console import ConsoleRun, OnFinished
from medseg.desktop.console_orders import ConsoleOrders
from medseg.desktop.qt_process import QtJobProcess
from medseg.mrml.grids import Node
from medseg.spec.events import Event

_under_way: set[ConsoleRun] = set()  # a caller may throw the handle away


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

    def finished(node: Node, error: Exception | None) -> None:
        _under_way.discard(run)
        later(run.close)  # not from within the signal of the process it ends
        on_finished(node, error)

    run = ConsoleRun(
        orders,
        partial(QtJobProcess, python=python),
        versions=versions,
        on_event=on_event,
        on_finished=finished,
        later=later,
    )
    _under_way.add(run)
    run.start()
    return run


def later(action: Callable[[], None]) -> None:
    """Do something when Qt's loop is next turned."""
    qt.QTimer.singleShot(0, action)
