"""Where words go: results to standard output, warnings and progress to standard error; colour only on a terminal."""

import os
from contextlib import suppress
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from medseg.inference.forecast import Forecast
from medseg.spec.events import Event, Warned
from medseg.spec.events import Progress as Step

_STAGES = {
    "read": "reading",
    "preprocess": "preparing",
    "locate": "locating",
    "windows": "segmenting",
    "restore": "restoring the grid",
    "postprocess": "cleaning up",
    "write": "writing",
    "unpack": "unpacking",
    "open": "reading the model",
    "try": "trying one window",
}


class PatientConsole(Console):
    """A console whose reader may go away, as ``| head`` does: the work goes on and what is said goes nowhere."""

    def on_broken_pipe(self) -> None:
        """Write to nobody from now on; rich would end the process with an error."""
        self.quiet = True
        write_nowhere(self.file)


def write_nowhere(stream: IO[str]) -> None:
    """Let a stream end at the null device, so that nothing complains of its reader when it is flushed."""
    with suppress(OSError, ValueError):  # what is no file has no reader either
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def output() -> Console:
    """Console for results; never wraps or colours what is piped."""
    console = PatientConsole(highlight=False)
    return console if console.is_terminal else PatientConsole(highlight=False, no_color=True, width=160, emoji=False)


def errors() -> Console:
    """Console for warnings and progress."""
    return PatientConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def table(title: str, *columns: str, numbers_from: int = 1) -> Table:
    """Make a table whose columns are numbers, right-aligned, from one on; plain ASCII when piped."""
    from rich import box

    made = Table(title=title or None, box=box.ROUNDED if Console().is_terminal else box.ASCII, title_justify="left")
    for position, column in enumerate(columns):
        made.add_column(column, justify="right" if position >= numbers_from else "left", overflow="fold")
    return made


def forecast_words(expected: Forecast) -> str:
    """Say windows, memory and time, e.g. "forecast: 12 windows, about 600 MiB of memory, about 5 s in the network"."""
    windows = "1 window" if expected.windows == 1 else f"{expected.windows} windows"
    passes = "" if expected.passes == 1 else f" x {expected.passes} passes"
    parts = [windows + passes, f"about {expected.memory_mb} MiB of memory"]
    if expected.device_memory_mb is not None:
        parts.append(f"about {expected.device_memory_mb} MiB on the graphics card")
    if expected.seconds is None:
        parts.append("time unknown: never measured")
    else:
        digits = 1 if expected.seconds < 10 else 0
        parts.append(f"about {expected.seconds:.{digits}f} s in the network")
    return f"forecast: {', '.join(parts)}"


class Reporter:
    """Shows events: a bar with the time left on a terminal, and every warning as a yellow line."""

    def __init__(self) -> None:
        self.console = errors()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} % {task.fields[left]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task: TaskID = self.progress.add_task("", total=1, left="")

    def __enter__(self) -> "Reporter":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show_forecast(self, expected: Forecast) -> None:
        """Show what the case that was just read will take."""
        self.console.print(forecast_words(expected), markup=False)

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Warned):
            self.console.print(f"warning: {event.message}", style="yellow", markup=False)
        elif isinstance(event, Step):
            left = "" if event.seconds_left is None else f"{event.seconds_left:.0f} s left"
            self.progress.update(
                self.task,
                description=_STAGES[event.stage],
                total=max(event.total, 1),
                completed=event.done,
                left=left,
            )
