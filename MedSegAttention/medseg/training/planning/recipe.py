"""The numbers of a training run, and how the learning rate follows it."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntTriple

TrainingPrecision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]
_POLY_POWER = 0.9  # nnU-Net's


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about a run that is not in the manifest; a run is repeated by repeating this."""

    steps: int = 20_000
    batch: int = 2  # patches a step, on each device
    patch_shape: IntTriple | None = None  # voxels; None: the manifest's window
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3  # the highest
    weight_decay: float = 1e-2
    schedule: Literal["cosine", "poly"] = "cosine"
    warm_up: float = 0.03  # part of the run
    ema_decay: float = 0.998  # of the averaged weights, per step
    clip_norm: float = 5.0
    foreground: float = 1 / 3  # part of the patches whose centre is a labelled voxel, each label as often
    augment_on: Literal["auto", "batch", "patch"] = "auto"  # auto: whole batches on a CUDA card, else single patches
    precision: TrainingPrecision = "auto"  # auto: bfloat16 or float16 on a CUDA card, else float32
    teachers: tuple[str, ...] = ()  # ids or folders of models whose answers are learned besides the labels
    teacher_share: float = 0.5  # of the loss
    deep_supervision: bool = True  # where the network has side heads; they are not stored
    validations: int = 20  # times the averaged weights are scored during the run
    validation_cases: int = 8  # of the fold's, at most
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers no run can have."""
        checks = (
            ("steps", self.steps >= 1, "an integer from 1"),
            ("batch", self.batch >= 1, "an integer from 1"),
            ("learning_rate", self.learning_rate > 0, "a positive number"),
            ("weight_decay", self.weight_decay >= 0, "0 or more"),
            ("warm_up", 0 <= self.warm_up < 1, "a part 0..1 of the run"),
            ("ema_decay", 0 <= self.ema_decay < 1, "a number 0..1, below 1"),
            ("clip_norm", self.clip_norm > 0, "a positive number"),
            ("foreground", 0 <= self.foreground <= 1, "a part 0..1 of the patches"),
            ("teacher_share", 0 < self.teacher_share <= 1, "a part of the loss, above 0 and at most 1"),
            ("validations", self.validations >= 0, "0 or more"),
            ("patch_shape", self.patch_shape is None or min(self.patch_shape) >= 1, "three integers from 1"),
        )
        for name, fits, expected in checks:
            if not fits:
                msg = f"expected {expected}, got {getattr(self, name)!r}"
                raise ManifestError(msg, field=name)

    def rate(self, elapsed: float) -> float:
        """Learning rate when a part 0..1 of the run is over."""
        return self.learning_rate * schedule(elapsed, self.warm_up, self.schedule)


def schedule(elapsed: float, warm_up: float, kind: Literal["cosine", "poly"] = "cosine") -> float:
    """Factor of the learning rate at ``elapsed`` in 0..1: linear warm-up, then half a cosine or a power down to 0."""
    if elapsed < warm_up:
        return (elapsed + 0.1 * warm_up) / (1.1 * warm_up)
    left = min(1.0, max(0.0, 1 - (elapsed - warm_up) / (1 - warm_up)))
    if kind == "poly":
        return float(left**_POLY_POWER)
    return 0.5 * (1 - math.cos(math.pi * left))
