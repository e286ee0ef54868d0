"""What happens beside the steps of a run: log, curves, scores of the averaged weights, checkpoints, progress."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medseg.bundles.weights import save_weights
from medseg.imaging.measure import dice
from medseg.inference.predictor import predict
from medseg.inference.run_plan import plan_network
from medseg.spec.events import Learning
from medseg.spec.job import Options
from medseg.spec.manifest import ModelManifest
from medseg.training.data.cases import IGNORE, Case
from medseg.training.loop.checkpoint import NAME, save_checkpoint
from medseg.training.loop.curves import write_curves
from medseg.training.loop.run_log import LogRow, RunLog, read_log
from medseg.training.loop.training_loop import TrainingLoop

AVERAGED, BEST, LOG, CURVES = "averaged.safetensors", "best.safetensors", "log.csv", "curves.png"
_SHOWN_EVERY = 1.0  # seconds between words about progress
_MOST_SCORING = 0.1  # of the time of a run with a time limit
_RECENT = 20  # steps that the speed is measured over


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
        on_progress: Callable[[Learning], None],
    ) -> None:
        """Open the log.

        Args:
            folder: of the run.
            manifest: of the model.
            validation: cases to score; none: the last weights are kept.
            resume_at: step the run goes on from.
            checkpoint_seconds: at most so much work is lost in a kill.
            on_progress: hears about progress.
        """
        self.folder = folder
        self.manifest = manifest
        self.validation = validation
        self.checkpoint_seconds = checkpoint_seconds
        self.on_progress = on_progress
        self.log = RunLog(folder / LOG, resume_at=resume_at)
        self._dice: float | None = None
        self._saved = self._shown = time.monotonic()
        self._moments: list[float] = []
        self._scored_at = -1
        self._scoring: list[float] = []

    def after_step(self, loop: TrainingLoop) -> None:
        """Do what is due between two steps."""
        self._moments = [*self._moments[-_RECENT:], time.monotonic()]
        turns = int(loop.elapsed * loop.recipe.validations)
        due, loop.progress.validated = turns > loop.progress.validated, max(turns, loop.progress.validated)
        dice = self._score(loop) if (due and self._is_affordable(loop)) or loop.elapsed >= 1 else None
        self.log.add(_row(loop, dice))
        if dice is not None or due or time.monotonic() - self._saved >= self.checkpoint_seconds:
            self._save(loop)
        if due or time.monotonic() - self._shown >= _SHOWN_EVERY:
            self._shown = time.monotonic()
            self.on_progress(self._learning(loop))

    def at_end(self, loop: TrainingLoop) -> None:
        """Score and keep the last weights when the time, not the steps, ended the run."""
        if self._scored_at != loop.progress.step:
            dice = self._score(loop)
            if dice is not None:
                self.log.add(_row(loop, dice))
        self._save(loop)
        self.on_progress(self._learning(loop))

    def _is_affordable(self, loop: TrainingLoop) -> bool:
        """Whether scoring takes a small part of a time limit; without one it is always done, so that runs repeat."""
        if loop.seconds == math.inf or not self._scoring:
            return True
        return sum(self._scoring) + self._scoring[-1] <= _MOST_SCORING * loop.progress.seconds

    def _score(self, loop: TrainingLoop) -> float | None:
        """Keep the averaged weights; where there are cases score them, and keep the best apart."""
        progress = loop.progress
        self._scored_at = progress.step
        save_weights(loop.averaged, self.folder / AVERAGED)
        if not self.validation:
            return None
        begun = time.monotonic()
        self._dice = score_cases(loop.averaged, self.validation, self.manifest, loop.fabric.device)
        self._scoring.append(time.monotonic() - begun)
        if self._dice >= progress.best_dice:
            save_weights(loop.averaged, self.folder / BEST)
            progress.best_dice, progress.best_step = self._dice, progress.step
        return self._dice

    def _save(self, loop: TrainingLoop) -> None:
        self.log.flush()
        save_checkpoint(loop.state(), self.folder / NAME)
        if self._scored_at == loop.progress.step:
            write_curves(read_log(self.folder / LOG), self.folder / CURVES)
        self._saved = time.monotonic()

    def _learning(self, loop: TrainingLoop) -> Learning:
        progress = loop.progress
        span = self._moments[-1] - self._moments[0] if len(self._moments) > 1 else math.nan
        speed = (len(self._moments) - 1) / span if span > 0 else 0.0
        by_steps = (loop.recipe.steps - progress.step) / speed if speed else math.inf
        left = max(0.0, min(by_steps, loop.seconds - progress.seconds))
        return Learning(
            step=progress.step,
            steps=loop.recipe.steps,
            part=loop.elapsed,
            loss=loop.last_loss if math.isfinite(loop.last_loss) else None,
            dice=self._dice,
            best_dice=progress.best_dice if progress.best_dice >= 0 else None,
            seconds_left=left if math.isfinite(left) else None,
            steps_per_second=speed or None,
        )


def _row(loop: TrainingLoop, dice: float | None) -> LogRow:
    rate = loop.optimiser.param_groups[0]["lr"]
    progress = loop.progress
    return LogRow(progress.step, loop.epoch, loop.last_loss, float(rate), progress.seconds, dice)


def score_cases(network: nn.Module, cases: Sequence[Case], manifest: ModelManifest, device: torch.device) -> float:
    """Mean Dice over labels, each the mean over the cases that have it or find it.

    Done on the model's grid and without averaging over mirror images, so that it is quick; ``medseg validate`` is the
    measure that counts.

    Args:
        network: in evaluation mode.
        cases: none of them trained on.
        manifest: of the model.
        device: where the network runs.
    """
    values = [label.value for label in manifest.labels]
    by_label: dict[int, list[float]] = {value: [] for value in values}
    options = Options(mirror=False, overlap=0.25)
    for case in cases:
        plan = plan_network(case.image.shape, manifest, options, device=str(device))
        scores = predict(np.asarray(case.image), network, plan)
        seen = case.labels[0] != IGNORE
        found, truth = scores.argmax(axis=0)[seen], case.labels[0][seen]
        for value in values:
            one, other = found == value, truth == value
            overlap = dice(int((one & other).sum()), int(one.sum()), int(other.sum()))
            if case.known[value] and not math.isnan(overlap):
                by_label[value].append(overlap)
    means = [float(np.mean(each)) for each in by_label.values() if each]
    return float(np.mean(means)) if means else 0.0
