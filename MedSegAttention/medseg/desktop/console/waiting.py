"""A call from the console while Qt's loop goes on: it comes back at once, or waits without freezing the window."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import qt

from medseg.desktop.console.segmenting import ConsoleCall, OnFinished
from medseg.desktop.state.steps import later
from medseg.desktop.worker.job_process import MakeProcess
from medseg.desktop.worker.qt_process import QtJobProcess
from medseg.spec.events import Event

_LEAVING_MS = 2000  # after which a worker that was sent home is made to go; waiting for it would freeze the window
_PAUSE_SECONDS = 0.01
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


class Callbacks:
    """Keeps what the caller's callbacks raise, which no slot of Qt's hands on.

    Attributes:
        error: the first of them.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None

    def guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """A callback that raises nothing."""

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception as error:  # handed on by who waits
                self.error = self.error or error

        return call


def in_window(
    make_call: Callable[[MakeProcess, OnFinished], Call],
    python: str | None,
    on_finished: OnFinished,
    process_events: Callable[[], object],
    callbacks: Callbacks,
) -> Any:
    """Start a call and wait for it, while the window is painted, can be used and may close its scene.

    Args:
        make_call: as for ``in_background``, and so are ``python`` and ``on_finished``.
        python: interpreter.
        on_finished: hears of the end.
        process_events: lets the application do what waits to be done.
        callbacks: those of the caller; what one of them raised ends the call, and is raised here.

    Returns:
        The result.

    Raises:
        MedSegError: something the caller can mend, or it was cancelled.
        OSError: the job folder cannot be written.
        RuntimeError: the worker crashed, or the result cannot be shown.
    """
    call = in_background(make_call, python, on_finished)
    try:
        while not call.is_done and callbacks.error is None:
            process_events()
            time.sleep(_PAUSE_SECONDS)
    finally:
        if not call.is_done:  # interrupted
            call.close()
            _under_way.discard(call)
    if callbacks.error is not None:
        raise callbacks.error
    if call.error is not None:
        raise call.error
    return call.result
