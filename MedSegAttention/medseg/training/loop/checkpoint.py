"""A run's state on disk: everything needed to go on as if nothing had happened, in one file that is always whole."""

import os
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from medseg.spec.errors import JobError

NAME = "checkpoint.pt"


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0  # steps done
    seconds: float = 0.0  # training has taken
    validated: int = 0  # times the averaged weights were scored
    best_dice: float = -1.0
    best_step: int = 0


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state between two steps. Patches need none: they follow from the seed and the step."""

    progress: Progress
    network: dict[str, torch.Tensor]
    averaged: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    precision: dict[str, Any]  # the loss scale of float16


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the state of a run; a kill at any moment leaves the old file or the new one."""
    state = {field.name: getattr(checkpoint, field.name) for field in fields(checkpoint)}
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            torch.save({**state, "progress": vars(checkpoint.progress)}, file)
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
        return Checkpoint(Progress(**state.pop("progress")), **state)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} is not a whole checkpoint ({type(error).__name__}: {error}); begin again with --restart"
        raise JobError(msg) from error
