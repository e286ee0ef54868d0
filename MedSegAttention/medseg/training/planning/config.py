"""What a user decides about a training. Nothing heavy is imported: the shell's help needs it."""

import math
from dataclasses import dataclass
from pathlib import Path

from medseg.spec.errors import JobError, OutputExists
from medseg.spec.manifest import IntTriple, Triple


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Every choice of ``medseg train``; None: propose it.

    Attributes:
        dataset: folder of labelled cases.
        output: folder of the bundle; it must not exist yet.
        start: id or folder of a bundle to fine-tune.
        teachers: ids or folders of bundles whose answers are learned besides the labels.
        changes: values of the plan, as ``path=value``.
        synthetic: draw images from the labels while training; images are not read.
        tissues: file that says what the values of label maps mean; None: ``tissues.json`` beside them, if there.
        seconds: time limit of the run.
        slice_axis: 0, 1 or 2 trains a 2D network on slices across that axis.
        restart: forget an unfinished run.
        checkpoint_seconds: at most so much work is lost in a kill.
    """

    dataset: Path
    output: Path
    labels: Path | None = None
    network: str | None = None
    start: str | None = None
    teachers: tuple[str, ...] = ()
    like: Path | None = None
    plan: Path | None = None
    synthetic: bool = False
    tissues: Path | None = None
    folds: str | None = None
    fold: str = "0"
    subjects: str | None = None
    seconds: float = math.inf
    steps: int | None = None
    batch: int | None = None
    patch: IntTriple | None = None
    window: IntTriple | None = None
    spacing: Triple | None = None
    slice_axis: int | None = None
    learning_rate: float | None = None
    changes: tuple[str, ...] = ()
    licence: Path | None = None
    seed: int | None = None
    device: str = "auto"
    workers: int | None = None
    restart: bool = False
    checkpoint_seconds: float = 60.0

    def check(self) -> None:
        """Refuse choices that mean nothing or exclude each other, before anything is read.

        Raises:
            JobError: names them.
            OutputExists: when the output folder is there.
        """
        if self.output.exists():
            msg = f"{self.output} exists and is kept; name another output folder or remove it first"
            raise OutputExists(msg)
        sources = {"--network": self.network, "--from": self.start, "--like": self.like}
        given = [flag for flag, value in sources.items() if value is not None]
        if len(given) > 1:
            msg = f"{' and '.join(given)} each say what to train; give one of them"
            raise JobError(msg)
        for flag, count in (("--workers", self.workers), ("--seed", self.seed)):
            if count is not None and count < 0:
                msg = f"{flag} is a whole number from 0, got {count}; choose another"
                raise JobError(msg)
        if self.tissues is not None and not self.synthetic:
            msg = f"--tissues says what to draw images from, got {self.tissues} without --synthetic; give both"
            raise JobError(msg)
        if self.slice_axis is not None and self.synthetic:
            msg = "images are drawn in 3D, so that --synthetic and --slices exclude each other; give one of them"
            raise JobError(msg)
        if self.slice_axis is not None and (self.start or self.like or self.plan):
            msg = "--slices plans a new model, and the one given has its own way to read volumes; leave it out"
            raise JobError(msg)
