"""Long things in small steps: one item of an iterator per turn of Qt's event loop, so that the window never freezes."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from medseg.spec.errors import MedSegError

T = TypeVar("T")


class Steps(Generic[T]):
    """Draws the items of an iterator, single file, from a timer of no delay; begins by itself.

    What the iterator does between two items keeps the window busy: make it as little as can be.

    Args:
        iterator: what to draw from; a generator is closed when it is stopped, so that its ``finally`` runs.
        on_step: hears each item.
        on_end: called once after the last item; not when stopped.
        on_error: hears the sentence of a ``MedSegError`` that the iterator raised; it ends there. Any other exception
            is a bug and goes the way Qt's slots send it, after the timer was stopped.
        instead_of: an older one, stopped first; None: there is none.
    """

    def __init__(
        self,
        iterator: Iterator[T],
        on_step: Callable[[T], None],
        on_end: Callable[[], None],
        on_error: Callable[[str], None],
        *,
        instead_of: "Steps[Any] | None" = None,
    ) -> None:
        import qt

        if instead_of is not None:
            instead_of.stop()
        self._iterator = iterator
        self._on_step, self._on_end, self._on_error = on_step, on_end, on_error
        self.is_running = True
        # Started anew after every step: a step that lets the event loop turn is never entered a second time.
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._step)
        self._timer.start()

    def stop(self) -> None:
        """Draw no more; no callback is called. May be called at any time, from inside a step too."""
        if not self.is_running:
            return
        self._let_go()
        self._close()

    def _step(self) -> None:
        if not self.is_running:
            return
        try:
            item = next(self._iterator)
        except StopIteration:
            self._let_go()
            self._on_end()
        except MedSegError as error:
            self._let_go()
            self._on_error(str(error))
        except BaseException:
            self._let_go()
            raise
        else:
            self._take(item)

    def _take(self, item: T) -> None:
        if not self.is_running:  # stopped by what the iterator itself set off, when it could not be closed
            self._close()
            return
        try:
            self._on_step(item)
        except BaseException:
            self.stop()
            raise
        if self.is_running:
            self._timer.start()

    def _close(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None and not getattr(self._iterator, "gi_running", False):
            close()

    def _let_go(self) -> None:
        self.is_running = False
        self._timer.stop()


def later(action: Callable[[], None]) -> None:
    """Do something when Qt's loop next turns."""
    import qt

    qt.QTimer.singleShot(0, action)
