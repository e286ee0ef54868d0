"""What happens beside the steps of a run: log, curves, scores of the averaged weights, checkpoints, progress."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.bundles.weights import save_weights
from medseg.spec.manifest import ModelManifest
from medseg.training.data.cases import Case
from medseg.training.loop.checkpoint import NAME, save_checkpoint
from medseg.training.loop.curves import write_curves
from medseg.training.loop.run_log import LogRow, RunLog, read_log
from medseg.training.loop.scoring import score_cases
from medseg.training.loop.training_module import TrainingModule

AVERAGED, BEST, LOG, CURVES = "averaged.safetensors", "best.safetensors", "log.csv", "curves.png"
_SHOWN_EVERY = 1.0  # seconds between words about progress
_MOST_SCORING = 0.1  # of the time of a run with a time limit
_RECENT = 20  # steps that the speed is measured over


@dataclass(frozen=True)
class Status:
    """One word about progress."""

    step: int
    steps: int
    part: float  # of the run, 0..1
    loss: float
    dice: float | None  # the latest
    best_dice: float | None
    steps_per_second: float
    seconds_left: float


class Watch:
    """Follows a run in the process that writes."""

    def __init__(
        self,
        folder: Path,
        manifest: ModelManifest,
        validation: Sequence[Case],
        *,
        resume_at: int,
        checkpoint_seconds: float,
        on_status: Callable[[Status], None],
    ) -> None:
        """Open the log.

        Args:
            folder: of the run.
            manifest: of the model.
            validation: cases to score; none: the last weights are kept.
            resume_at: step the run goes on from.
            checkpoint_seconds: at most so much work is lost in a kill.
            on_status: hears about progress.
        """
        self.folder = folder
        self.manifest = manifest
        self.validation = validation
        self.checkpoint_seconds = checkpoint_seconds
        self.on_status = on_status
        self.log = RunLog(folder / LOG, resume_at=resume_at)
        self._dice: float | None = None
        self._saved = self._shown = time.monotonic()
        self._moments: list[float] = []
        self._scored_at = -1
        self._scoring: list[float] = []

    def after_step(self, lesson: TrainingModule) -> None:
        """Do what is due between two steps."""
        self._moments = [*self._moments[-_RECENT:], time.monotonic()]
        turns = int(lesson.elapsed * lesson.recipe.validations)
        due, lesson.progress.validated = turns > lesson.progress.validated, max(turns, lesson.progress.validated)
        dice = self._score(lesson) if (due and self._is_affordable(lesson)) or lesson.elapsed >= 1 else None
        self.log.add(_row(lesson, dice))
        if dice is not None or due or time.monotonic() - self._saved >= self.checkpoint_seconds:
            self._save(lesson)
        if due or time.monotonic() - self._shown >= _SHOWN_EVERY:
            self._shown = time.monotonic()
            self.on_status(self._status(lesson))

    def at_end(self, lesson: TrainingModule) -> None:
        """Score and keep the last weights when the time, not the steps, ended the run."""
        if self._scored_at != lesson.progress.step:
            dice = self._score(lesson)
            if dice is not None:
                self.log.add(_row(lesson, dice))
        self._save(lesson)
        self.on_status(self._status(lesson))

    def _is_affordable(self, lesson: TrainingModule) -> bool:
        """Whether scoring takes a small part of a time limit; without one it is always done, so that runs repeat."""
        if lesson.seconds == math.inf or not self._scoring:
            return True
        return sum(self._scoring) + self._scoring[-1] <= _MOST_SCORING * lesson.progress.seconds

    def _score(self, lesson: TrainingModule) -> float | None:
        """Keep the averaged weights; where there are cases score them, and keep the best apart."""
        progress = lesson.progress
        self._scored_at = progress.step
        save_weights(lesson.averaged, self.folder / AVERAGED)
        if not self.validation:
            return None
        begun = time.monotonic()
        self._dice = score_cases(lesson.averaged, self.validation, self.manifest, lesson.device)
        self._scoring.append(time.monotonic() - begun)
        if self._dice >= progress.best_dice:
            save_weights(lesson.averaged, self.folder / BEST)
            progress.best_dice, progress.best_step = self._dice, progress.step
        return self._dice

    def _save(self, lesson: TrainingModule) -> None:
        self.log.flush()
        save_checkpoint(lesson, self.folder / NAME)
        if self._scored_at == lesson.progress.step:
            write_curves(read_log(self.folder / LOG), self.folder / CURVES)
        self._saved = time.monotonic()

    def _status(self, lesson: TrainingModule) -> Status:
        progress = lesson.progress
        span = self._moments[-1] - self._moments[0] if len(self._moments) > 1 else math.nan
        speed = (len(self._moments) - 1) / span if span > 0 else 0.0
        by_steps = (lesson.recipe.steps - progress.step) / speed if speed else math.inf
        return Status(
            step=progress.step,
            steps=lesson.recipe.steps,
            part=lesson.elapsed,
            loss=lesson.last_loss,
            dice=self._dice,
            best_dice=progress.best_dice if progress.best_dice >= 0 else None,
            steps_per_second=speed,
            seconds_left=max(0.0, min(by_steps, lesson.seconds - progress.seconds)),
        )


def _row(lesson: TrainingModule, dice: float | None) -> LogRow:
    rate = lesson.trainer.optimizers[0].param_groups[0]["lr"]
    progress = lesson.progress
    return LogRow(progress.step, lesson.epoch, lesson.last_loss, float(rate), progress.seconds, dice)
