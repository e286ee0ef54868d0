"""One row of the queue: an order, how far it is and what became of it."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from medseg.desktop.queue.import_run import ImportRun
from medseg.desktop.queue.training_run import TrainingRun
from medseg.desktop.scene.importing import ImportedResult
from medseg.desktop.scene.pending_run import PendingRun
from medseg.desktop.state.order import AnyOrder
from medseg.desktop.state.texts import _, describe_event, percent_done
from medseg.spec.errors import Cancelled
from medseg.spec.events import (
    End,
    Event,
    Failed,
    Finished,
    Learning,
    Progress,
    Started,
    Stopped,
    Using,
    Warned,
    error_of,
)
from medseg.spec.job import Job


class State(StrEnum):
    """Where a row is; it goes from waiting over running to one of the others."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(eq=False)
class Row:
    """An order in the queue; only the queue changes it.

    Attributes:
        number: counted from 1, never given twice.
        order: what was asked for.
        state: where it is.
        percent: 0..100; never goes back.
        message: one line for the user.
        details: all lines of it; for a crash the last words of the worker.
        seconds_left: of the present stage; None while nothing can be said.
        warnings: what the worker said that the user should know, oldest first.
        run: what was sent to the worker; None before it begins and after it ended.
        finished: the worker's last word when it was a good one.
        result: what became of the result in the scene.
        error: the exception for a caller who waits for the row; None when all is well.
        is_stale: its scene was closed, so that its ids mean other nodes now; it is never shown and not run again.
        is_stopping: it was asked to stop and has not yet.
    """

    number: int
    order: AnyOrder
    state: State = State.WAITING
    percent: int = 0
    message: str = ""
    details: str = ""
    seconds_left: float | None = None
    warnings: list[str] = field(default_factory=list)
    run: PendingRun | TrainingRun | ImportRun | None = None
    folder: Path | None = None
    finished: Finished | None = None
    result: ImportedResult | None = None
    error: Exception | None = None
    is_stale: bool = False
    is_stopping: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state not in (State.WAITING, State.RUNNING)

    @property
    def can_be_retried(self) -> bool:
        """Whether its order may be run again."""
        return self.has_ended and not self.is_stale

    def say(self, text: str, details: str = "") -> None:
        """Say something in the row: the first line of it; the others are details."""
        self.details = "\n".join(filter(None, [text, details]))
        first, *more = self.details.splitlines() or [""]
        self.message = _("{message} (more in the log)").format(message=first) if more else first

    def hear(self, event: Event) -> None:
        """Take what the worker says while it works.

        Args:
            event: none that is an ``End``.
        """
        match event:
            case Warned(message):
                self.warnings.append(self._in_words_of_the_user(message))
                return
            case Progress() | Learning():
                self.percent = max(self.percent, percent_done(event))
                self.seconds_left = event.seconds_left
        if not self.is_stopping and isinstance(event, Started | Using | Progress | Learning):
            self.say(describe_event(event))

    def end(self, event: End) -> None:
        """Take the worker's last word; a row that was asked to stop is cancelled whatever that is."""
        self.seconds_left = None
        match event:
            case _ if self.is_stale:
                self.state = State.CANCELLED
                self.say(_("The scene was closed; the result was dropped."))
            case _ if self.is_stopping or isinstance(event, Stopped):
                self.state = State.CANCELLED
                words = _("Cancelled; when the same training is asked for again it goes on where it was")
                is_training = isinstance(self.run, TrainingRun)
                self.say(words if is_training else describe_event(Stopped()))
            case Failed():
                self.state = State.FAILED
                self.say(*map(self._in_words_of_the_user, (describe_event(event), event.details)))
            case Finished():
                self.state = State.DONE
                self.percent = 100
                self.finished = event
                self.say(describe_event(event))
        if self.state is State.CANCELLED:
            self.error = Cancelled(self.message)
        elif isinstance(event, Failed) and self.error is None:
            self.error = error_of(event)

    def _in_words_of_the_user(self, text: str) -> str:
        """Name the volume where the worker names the file that was made of it."""
        job = None if self.run is None else self.run.request.job
        for path in job.inputs if isinstance(job, Job) and self.order.title else ():
            text = text.replace(path, self.order.title)
        return text
