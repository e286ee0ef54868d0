"""A call from the console that comes back at once: the worker runs behind Qt's own loop."""

from collections.abc import Callable
from typing import Any, TypeVar

import qt

from medseg.desktop.console.segmenting import ConsoleCall, OnFinished
from medseg.desktop.state.steps import later
from medseg.desktop.worker.job_process import MakeProcess
from medseg.desktop.worker.qt_process import QtJobProcess
from medseg.spec.events import Event

_LEAVING_MS = 2000  # after which a worker that was sent home is made to go; waiting for it would freeze the window
_under_way: set[Any] = set()  # a caller may throw the handle away


Call = TypeVar("Call", bound=ConsoleCall)


def in_background(
    make_call: Callable[[MakeProcess, OnFinished], Call], python: str | None, on_finished: OnFinished
) -> Call:
    """Start a call; everything is heard in Qt's thread, so the application must turn its loop.

    Args:
        make_call: given what makes its process and who hears of its end, makes it.
        python: interpreter; None: Slicer's own.
        on_finished: hears of the end.
    """
    processes: list[QtJobProcess] = []

    def make_process(hear: Callable[[Event], None], on_log: Callable[[str], None]) -> QtJobProcess:
        processes.append(QtJobProcess(hear, on_log, python))
        return processes[-1]

    def close() -> None:
        call.close()
        _under_way.discard(call)

    def finished(result: Any, error: Exception | None) -> None:
        later(processes[0].dismiss)  # not from within the signal of the process it ends
        qt.QTimer.singleShot(_LEAVING_MS, close)
        on_finished(result, error)

    call = make_call(make_process, finished)
    _under_way.add(call)
    call.start()
    return call
