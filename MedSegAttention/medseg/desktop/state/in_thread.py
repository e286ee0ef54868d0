"""What may wait for a drive is done in a thread: the window goes on, and hears of the end in Qt's own thread."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from medseg.spec.errors import MedSegError

T = TypeVar("T")
_LOOK_MS = 50
_LET_GO_SECONDS = 0.01  # in Slicer a thread runs Python only while the window's own thread waits for something


class InThread(Generic[T]):
    """Calls a function in a daemon thread, and hands on what came of it.

    Args:
        function: touches no Qt and no scene.
        on_done: hears what it returned.
        on_error: hears the sentence of a ``MedSegError`` or an ``OSError``.
    """

    def __init__(
        self, function: Callable[[], T], on_done: Callable[[T], None], on_error: Callable[[str], None]
    ) -> None:
        import qt

        self._function, self._on_done, self._on_error = function, on_done, on_error
        self._found: list[T] = []
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="beside the window", daemon=True)
        self._timer = qt.QTimer()
        self._timer.setInterval(_LOOK_MS)
        self._timer.connect("timeout()", self._look)
        self._thread.start()
        self._timer.start()

    def forget(self) -> None:
        """Hear nothing more of it; the thread ends when its drive answers."""
        self._timer.stop()

    def _run(self) -> None:
        try:
            self._found.append(self._function())
        except Exception as error:  # handed on, and a bug raised in Qt's thread
            self._error = error

    def _look(self) -> None:
        self._thread.join(_LET_GO_SECONDS)
        if self._thread.is_alive():
            return
        self._timer.stop()
        if isinstance(self._error, MedSegError | OSError):
            self._on_error(str(self._error))
        elif self._error is not None:
            raise self._error
        else:
            self._on_done(self._found[0])
