"""Several processes of one run, as torchrun or Slurm start them; else one process."""

import os
from dataclasses import dataclass

import torch

from medseg.inference.device import choose_device


@dataclass(frozen=True)
class Processes:
    """Where this process stands among all of a run."""

    rank: int = 0
    world: int = 1
    per_node: int = 1

    @property
    def nodes(self) -> int:
        """Computers."""
        return max(1, self.world // self.per_node)


def running_processes() -> Processes:
    """Read what torchrun or Slurm put into the environment."""
    found = os.environ
    if "LOCAL_WORLD_SIZE" in found and "WORLD_SIZE" in found:
        return Processes(int(found["RANK"]), int(found["WORLD_SIZE"]), int(found["LOCAL_WORLD_SIZE"]))
    if "SLURM_PROCID" in found and int(found.get("SLURM_NTASKS", "1")) > 1:
        world = int(found["SLURM_NTASKS"])
        per_node = int(found.get("SLURM_NTASKS_PER_NODE", world // int(found.get("SLURM_NNODES", "1"))))
        return Processes(int(found["SLURM_PROCID"]), world, per_node)
    return Processes()


def training_device(wanted: str) -> torch.device:
    """The device of this process; of several processes on one computer, each has a card of its own.

    Raises:
        JobError: when there is no such device.
    """
    local = os.environ.get("LOCAL_RANK")
    if local is not None and wanted == "auto" and torch.cuda.is_available():
        return torch.device(f"cuda:{local}")
    return choose_device(wanted)
