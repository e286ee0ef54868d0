"""Choose how large a window is and how many patches a step takes: what the anatomy needs, memory and time allow."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from medseg.spec.errors import JobError, ManifestError
from medseg.spec.manifest import IntTriple, Triple
from medseg.training.planning.memory import memory_at_hand_mb, step_cost
from medseg.training.planning.network_plan import network_arguments, window_multiple

_SHARE = 0.7  # of the free memory
_MOST_VOXELS = {("cpu", 3): 64**3, ("cpu", 2): 256**2, ("cuda", 3): 160**3, ("cuda", 2): 512**2}
_LEAST_BATCH, _MOST_BATCH = {3: 2, 2: 8}, {("cpu", 3): 2, ("cpu", 2): 8, ("cuda", 3): 16, ("cuda", 2): 64}


@dataclass(frozen=True)
class MemoryBudget:
    """What a window has to fit into."""

    network: str
    fixed: dict[str, Any]  # arguments that are decided
    channel_count: int
    label_count: int
    spacing_mm: Triple
    slice_axis: int | None
    device: torch.device

    @property
    def dims(self) -> int:
        """Axes of the network."""
        return 3 if self.slice_axis is None else 2

    def seen(self, window: IntTriple) -> tuple[int, ...]:
        """The window along the network's own axes."""
        return tuple(size for axis, size in enumerate(window) if axis != self.slice_axis)

    def arguments(self, window: IntTriple) -> dict[str, Any]:
        """Arguments of the network for a window."""
        spacing = [mm for axis, mm in enumerate(self.spacing_mm) if axis != self.slice_axis]
        proposed = network_arguments(self.network, self.channel_count, self.label_count, self.seen(window), spacing)
        return proposed | self.fixed

    def memory_mb(self, window: IntTriple, batch: int) -> float:
        """What a training step takes.

        Raises:
            ManifestError: when the network does not take the window.
        """
        try:
            shape = (batch, self.channel_count, *self.seen(window))
            return step_cost(self.network, self.arguments(window), shape).memory_mb
        except (TypeError, ValueError, RuntimeError) as error:
            msg = f"{self.network} does not take a window of {self.seen(window)} voxels: {error}; choose another window"
            raise ManifestError(msg) from error


def choose_window(budget: MemoryBudget, median: Triple, reasons: dict[str, str]) -> IntTriple:
    """As much of a typical image as possible.

    Starts with the median image and takes from the side that is longest in millimetres until the voxels fit the device
    and the smallest batch fits its memory.

    Raises:
        JobError: when not even the smallest window fits.
    """
    multiple = window_multiple(budget.network)
    sides = [
        1 if axis == budget.slice_axis else max(multiple, math.ceil(size / multiple) * multiple)
        for axis, size in enumerate(median)
    ]
    whole = list(sides)
    allowed: float = _MOST_VOXELS[_kind(budget.device), budget.dims]
    at_most_mb = _SHARE * memory_at_hand_mb(budget.device)
    why = "the whole of a typical image"
    while True:
        window = (sides[0], sides[1], sides[2])
        voxels = math.prod(window)
        if voxels <= allowed:
            needed = budget.memory_mb(window, _LEAST_BATCH[budget.dims])
            if needed <= at_most_mb:
                break
            why = f"as much of a typical image as {_LEAST_BATCH[budget.dims]} patches fit into {at_most_mb:.0f} MiB"
            allowed = min(voxels - 1, 1.1 * voxels * at_most_mb / needed)  # memory grows about as the voxels do
        elif sides == whole:
            why = f"as much of a typical image as trains in sensible time on {budget.device.type}"
        longest = max(
            (axis for axis in range(3) if sides[axis] > multiple),
            key=lambda axis: sides[axis] * budget.spacing_mm[axis],
            default=None,
        )
        if longest is None:
            msg = f"{at_most_mb:.0f} MiB are too little to train {budget.network}; choose a smaller network or device"
            raise JobError(msg)
        sides[longest] -= multiple
    typical = " x ".join(f"{size:.0f}" for size in median)
    reasons["model.window_shape"] = f"{why} ({typical} voxels at this spacing), in multiples of {multiple}"
    return window


def choose_batch(budget: MemoryBudget, window: IntTriple, reasons: dict[str, str]) -> int:
    """As many patches as fit, up to a number that still leaves many steps."""
    at_most_mb = _SHARE * memory_at_hand_mb(budget.device)
    most, batch = _MOST_BATCH[_kind(budget.device), budget.dims], 1
    needed = budget.memory_mb(window, 2)
    while batch < most and budget.memory_mb(window, 2 * batch) <= at_most_mb:
        batch *= 2
        needed = budget.memory_mb(window, batch)
    reasons["training.batch"] = (
        f"{batch} patches take about {needed:.0f} MiB of {memory_at_hand_mb(budget.device):.0f} MiB free; "
        f"at most {most} on {budget.device.type}"
    )
    return batch


def _kind(device: torch.device) -> str:
    return "cuda" if device.type == "cuda" else "cpu"
