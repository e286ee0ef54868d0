"""The log as a person wants to read it: the last few thousand lines, without progress bars and endless repeats."""

import re
from collections import deque
from collections.abc import Callable

LIMIT = 5000  # lines kept

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and cursor moves of a terminal
_BAR = re.compile(
    r"\d\s?%\s?\|"  # 12%|## ...
    r"|[█▉▊▋▌▍▎▏━╸╺]{3,}"  # blocks and lines of a bar
    r"|\[[#=>.\s-]{5,}\]\s*\d"  # [####    ] 40
    r"|\d(it|[kMG]?B)/s\b"  # a rate
)


class LogBook:
    """Keeps lines and tells listeners of each; what listeners heard is always the beginning of ``text()``.

    A line that comes again is counted instead of kept, and of a progress bar only its last state is kept: both are
    passed on when something else comes.

    Args:
        limit: lines kept; older ones are dropped.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._lines: deque[str] = deque(maxlen=limit)
        self._listeners: list[Callable[[str], None]] = []
        self._last = ""
        self._repeats = 0
        self._bar = ""

    def add(self, line: str) -> None:
        """Take one line, or several; empty ones are dropped."""
        for piece in line.split("\n"):
            # A progress bar rewrites its line: what follows the last return is what a terminal shows.
            text = _ESCAPE.sub("", piece).rstrip().rpartition("\r")[2].rstrip()
            if text:
                self._take(text)

    def text(self) -> str:
        """Every line kept, and what is being held back."""
        return "\n".join([*self._lines, *self._held()])

    def lines(self) -> list[str]:
        """The lines that listeners heard, as far as they are kept."""
        return list(self._lines)

    def listen(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with each line from now on."""
        self._listeners.append(callback)

    def _take(self, text: str) -> None:
        if _BAR.search(text):
            if self._repeats:
                self._write(_times(self._repeats))
            self._repeats, self._last, self._bar = 0, "", text
        elif text == self._last and not self._bar:
            self._repeats += 1
        else:
            for line in self._held():
                self._write(line)
            self._repeats, self._bar, self._last = 0, "", text
            self._write(text)

    def _held(self) -> list[str]:
        counted = [_times(self._repeats)] if self._repeats else []
        return [*counted, *([self._bar] if self._bar else [])]

    def _write(self, line: str) -> None:
        self._lines.append(line)
        for callback in list(self._listeners):
            callback(line)


def _times(count: int) -> str:
    return f"(the line above came {count} more time{'s' if count > 1 else ''})"
