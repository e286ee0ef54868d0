"""The one long thing that a view does at a time, in steps, with words about how far it is."""

from collections.abc import Callable, Iterator
from typing import Any

from medseg.desktop.state.steps import Steps
from medseg.spec.errors import MedSegError


class Task:
    """Begins, counts and stops; beginning another stops the one under way.

    Args:
        say: hears a sentence for the user.
        on_change: called when a task begins, ends or is stopped.
    """

    def __init__(self, say: Callable[[str], None], on_change: Callable[[], None]) -> None:
        self._say, self._on_change = say, on_change
        self._steps: Steps[Any] | None = None
        self._clean_up: Callable[[], None] = lambda: None
        self._stopped = ""
        self._done = 0
        self.kind = ""  # of what is under way; "" while nothing is

    def begin(
        self,
        kind: str,
        make: Callable[[], Iterator[Any]],
        on_step: Callable[[Any], None],
        on_end: Callable[[], None],
        *,
        progress: str,
        total: int,
        stopped: str,
        clean_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Go through an iterator.

        Args:
            kind: a word for it, to be read from ``kind``.
            make: makes the iterator; a ``MedSegError`` is said.
            on_step: hears each item.
            on_end: called after the last item, when ``kind`` is "" again.
            progress: with ``{done}`` and ``{total}`` in it.
            total: how many items there will be, as far as is known.
            stopped: said when it is stopped.
            clean_up: called when it does not reach its end: stopped, or by an error.
        """
        self.stop()
        try:
            iterator = make()
        except MedSegError as error:
            self._say(str(error))
            return

        def step(item: Any) -> None:
            self._done += 1
            on_step(item)
            self._say(progress.format(done=min(self._done, total), total=total))

        self.kind, self._done, self._clean_up = kind, 0, clean_up
        self._stopped = stopped
        self._say(progress.format(done=0, total=total))
        self._steps = Steps(iterator, step, lambda: self._end(on_end), self._fail, instead_of=self._steps)
        self._on_change()

    def stop(self) -> bool:
        """End what is under way.

        Returns:
            Whether anything was.
        """
        if not self.kind or self._steps is None:
            return False
        self._steps.stop()
        self._fail(self._stopped)
        return True

    def _end(self, on_end: Callable[[], None]) -> None:
        self.kind = ""
        on_end()
        self._on_change()

    def _fail(self, text: str) -> None:
        self.kind = ""
        self._clean_up()
        self._say(text)
        self._on_change()
