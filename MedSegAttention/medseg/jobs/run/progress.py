"""What a running job reports while it works: stages, time left, warnings; and where it asks whether to stop."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from medseg.spec.errors import Cancelled
from medseg.spec.events import Event, Progress, Stage, Warned

OnEvent = Callable[[Event], None]
IsCancelled = Callable[[], bool]


def ignore_event(event: Event) -> None:
    """Listen to nothing."""
    del event


def never() -> bool:
    """Never cancel."""
    return False


class ProgressReporter:
    """The progress of one job: seconds by stage, warnings in order, and a place to stop between steps.

    Args:
        on_event: hears Progress and Warned; whatever it raises ends the job.
        cancelled: asked at every step; True ends the job with ``Cancelled``.
    """

    def __init__(self, on_event: OnEvent = ignore_event, cancelled: IsCancelled = never) -> None:
        self.on_event = on_event
        self.cancelled = cancelled
        self.seconds: dict[str, float] = {}
        self.warnings: list[str] = []

    @contextmanager
    def stage(self, stage: Stage, total: int = 1) -> Iterator[Callable[[int, int], None]]:
        """Time one stage; gives the function to call with (steps done, steps in all)."""
        begun = time.perf_counter()

        def step(done: int, total: int) -> None:
            self.stop_if_asked()
            passed = time.perf_counter() - begun
            left = passed / done * (total - done) if done else None
            self.on_event(Progress(stage, done, total, left))

        step(0, total)
        yield step
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begun
        if total == 1:  # too late to cancel: what this stage did is done
            self.on_event(Progress(stage, 1, 1, 0.0))

    def warn(self, message: str) -> None:
        """Tell the user something, once."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.on_event(Warned(message))

    def stop_if_asked(self) -> None:
        """Raise ``Cancelled`` when the user asked to stop."""
        if self.cancelled():
            msg = "stopped as asked; nothing was written"
            raise Cancelled(msg)
