"""A run's state on disk: everything needed to go on as if nothing had happened, in one file that is always whole."""

import dataclasses
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medseg.spec.errors import JobError
from medseg.training.loop.training_module import Progress, TrainingModule

NAME = "checkpoint.pt"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state between two steps. Patches need none: they follow from the seed and the step."""

    progress: Progress
    network: dict[str, torch.Tensor]
    averaged: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    precision: dict[str, Any]  # the loss scale of float16


def save_checkpoint(lesson: TrainingModule, path: Path) -> None:
    """Write the state of a run; a kill at any moment leaves the old file or the new one."""
    state = {
        "progress": dataclasses.asdict(lesson.progress),
        "network": lesson.network.state_dict(),
        "averaged": lesson.averaged.state_dict(),
        "optimiser": lesson.trainer.optimizers[0].state_dict(),
        "precision": lesson.trainer.precision_plugin.state_dict(),
    }
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a state; nothing in the file is run.

    Raises:
        JobError: when the file is damaged or not a checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**state.pop("progress"))
        return Checkpoint(progress, **state)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is not a whole checkpoint ({type(error).__name__}: {error}); begin again with --restart"
        raise JobError(msg) from error
