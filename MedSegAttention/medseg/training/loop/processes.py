"""Several processes of one run, as torchrun or Slurm start them; one process when nobody did."""

import os
from dataclasses import dataclass


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
