"""Whoever closes Slicer while something runs is asked first: what runs would be lost."""

from collections.abc import Callable
from typing import Any

import qt

from medseg.desktop.state.texts import _


class QuitGuard(qt.QWidget):  # type: ignore[misc] # Qt's classes have no types
    """Watches the main window; a widget that is never shown, as in Slicer's script repository ("customize closing").

    Args:
        window: the main window; None: there is none, and nothing is watched.
        running: what would be lost, in words; empty while nothing runs.
        confirm: asks a question; False is no.
    """

    def __init__(self, window: Any, running: Callable[[], str], confirm: Callable[[str], bool]) -> None:
        qt.QWidget.__init__(self)
        self._window, self._running, self._confirm = window, running, confirm
        if window is not None:
            window.installEventFilter(self)

    def stop(self) -> None:
        """Watch no longer."""
        if self._window is not None:
            self._window.removeEventFilter(self)
        self._window = None

    def eventFilter(self, _watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Ask before the window is closed."""
        if event.type() != qt.QEvent.Close:
            return False
        running = self._running()
        text = _("{running} Close Slicer nevertheless? What runs is lost; a training goes on when it is started again.")
        if not running or self._confirm(text.format(running=running)):
            return False
        event.ignore()
        return True
