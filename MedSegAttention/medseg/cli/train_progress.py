"""A training on the console: a bar with Dice, speed and time left on a terminal, a line now and then elsewhere."""

import math
import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from medseg.cli.console import errors

if TYPE_CHECKING:
    from medseg.training.loop.watch import Status

_LINE_EVERY = 30.0  # seconds between lines that are piped


class TrainingReporter:
    """Shows notes and progress on standard error."""

    def __init__(self, *, silent: bool = False) -> None:
        """Open the bar; ``silent`` for all but the first of several processes."""
        self.silent = silent
        self.console = errors()
        self.console.quiet = silent
        self.progress = Progress(
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
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def note(self, text: str) -> None:
        """Show a sentence."""
        self.console.print(text, markup=False, style="yellow")

    def status(self, status: "Status") -> None:
        """Show where the training is."""
        words = describe_status(status)
        if not self.progress.disable:
            if self._task is None:
                self._task = self.progress.add_task("", total=1.0, words="")
            self.progress.update(self._task, completed=status.part, words=words)
        elif time.monotonic() - self._last >= _LINE_EVERY or status.dice != self._dice or status.part >= 1:
            self._last, self._dice = time.monotonic(), status.dice
            self.console.print(words, markup=False)


def describe_status(status: "Status") -> str:
    """One line for people."""
    dice = "" if status.dice is None else f", Dice {status.dice:.4f} (best {status.best_dice:.4f})"
    speed = f", {status.steps_per_second:.2f} steps/s" if status.steps_per_second else ""
    left = f", {_duration(status.seconds_left)} left" if math.isfinite(status.seconds_left) else ""
    return f"{status.part:4.0%} step {status.step}/{status.steps}, loss {status.loss:.4f}{dice}{speed}{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
