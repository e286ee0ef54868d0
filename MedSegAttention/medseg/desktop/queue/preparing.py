"""Writing the input of an order when its turn comes, in steps between which the window is alive. No Qt."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from medseg.desktop.queue.job_row import Row
from medseg.desktop.queue.training_run import TrainingRun
from medseg.desktop.scene.importing import PendingRun
from medseg.desktop.state.order import AnyOrder

AnyRun: TypeAlias = PendingRun | TrainingRun
Preparing: TypeAlias = Generator[str, None, AnyRun]
"""Yields a sentence on what it is doing, now and then, and returns the run."""
Prepare: TypeAlias = Callable[[AnyOrder, Path], AnyRun | Preparing]


class Preparation:
    """Writes the input of a row into a folder of its own.

    Args:
        prepare: writes it, at once or in steps.
        row: gets the folder.
    """

    def __init__(self, prepare: Prepare, row: Row) -> None:
        self._steps = _steps(prepare, row)

    def go_on(self) -> str | AnyRun:
        """Take a step.

        Returns:
            What the row may say, as long as there is more to do; then the run.

        Raises:
            MedSegError, OSError: as ``prepare``.
        """
        try:
            return next(self._steps)
        except StopIteration as end:
            run: AnyRun = end.value
            return run

    def close(self) -> None:
        """Take no more steps."""
        with suppress(ValueError):  # closed from within a step, after which no other is taken
            self._steps.close()


def _steps(prepare: Prepare, row: Row) -> Preparing:
    row.folder = Path(tempfile.mkdtemp(prefix="medseg-"))
    run = prepare(row.order, row.folder)
    return (yield from run) if isinstance(run, Generator) else run
