"""A training on the console: a bar with Dice, speed and time left on a terminal, a line now and then elsewhere."""

import math
import time

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from medseg.cli.console import errors
from medseg.spec.events import Learning, Noted, Warned

_LINE_EVERY = 30.0  # seconds between lines that are piped


class TrainingReporter:
    """Shows notes and progress on standard error."""

    def __init__(self, *, silent: bool = False) -> None:
        """Open the bar; ``silent`` for all but the first of several processes."""
        self.silent = silent
        self.console = errors()
        self.console.quiet = silent
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.fields[words]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._last = -math.inf
        self._dice: float | None = None

    def __enter__(self) -> "TrainingReporter":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def note(self, note: Noted | Warned) -> None:
        """Show a sentence."""
        self.console.print(note.message, markup=False, style="yellow")

    def progress(self, learning: Learning) -> None:
        """Show where the training is."""
        words = describe_learning(learning)
        if not self.bar.disable:
            if self._task is None:
                self._task = self.bar.add_task("", total=1.0, words="")
            self.bar.update(self._task, completed=learning.part, words=words)
        elif time.monotonic() - self._last >= _LINE_EVERY or learning.dice != self._dice or learning.part >= 1:
            self._last, self._dice = time.monotonic(), learning.dice
            self.console.print(words, markup=False)


def describe_learning(learning: Learning) -> str:
    """One line for people."""
    dice = "" if learning.dice is None else f", Dice {learning.dice:.4f} (best {learning.best_dice:.4f})"
    speed = f", {learning.steps_per_second:.2f} steps/s" if learning.steps_per_second else ""
    left = ""
    if learning.seconds_left is not None:
        minutes, seconds = divmod(round(learning.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        left = f", {hours} h {minutes:02d} min left" if hours else f", {minutes} min {seconds:02d} s left"
    loss = "not finite" if learning.loss is None else f"{learning.loss:.4f}"
    return f"{learning.part:4.0%} step {learning.step}/{learning.steps}, loss {loss}{dice}{speed}{left}"
