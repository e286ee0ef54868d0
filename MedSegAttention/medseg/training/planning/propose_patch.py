"""Choose the patch of a training step: smaller than the window where a processor would not get through enough steps."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from medseg.spec.manifest import IntTriple
from medseg.training.planning.memory import step_cost
from medseg.training.planning.network_plan import window_multiple
from medseg.training.planning.propose_window import MemoryBudget

_ENOUGH_STEPS = 4_000  # with more of them a larger patch is worth its time
_LEAST_SIDE = 0.75  # of the window: what lies far away must still be seen

# Processor time of a forward and backward pass on one thread, fitted to 14 networks (2D and 3D, convolutions and
# attention) on an AVX-512 server; each lies within a factor of two.
_SECONDS_PER_GMAC, _SECONDS_PER_MB = 0.022, 0.00115


def choose_patch(
    budget: MemoryBudget,
    arguments: Mapping[str, Any],
    window: IntTriple,
    batch: int,
    seconds: float,
    reasons: dict[str, str],
) -> tuple[IntTriple | None, float]:
    """Shrink the patch until a time limit holds enough steps; only for volumes on a processor.

    Args:
        budget: the network and the device.
        arguments: of the network.
        window: what the network sees at inference, which stays.
        batch: patches a step.
        seconds: time limit of the run; infinite leaves the patch as large as the window.
        reasons: a sentence is added when the patch is chosen.

    Returns:
        The patch, None where it is the window, and about how many steps the limit holds; infinite where that is not
        known.
    """
    if budget.device.type != "cpu" or not math.isfinite(seconds):
        return None, math.inf
    patch, steps = window, _steps(budget, arguments, window, batch, seconds)
    whole = steps
    while budget.slice_axis is None and steps < _ENOUGH_STEPS:
        smaller = _smaller(patch, window, window_multiple(budget.network))
        fitting = math.inf if smaller is None else _steps(budget, arguments, smaller, batch, seconds)
        if smaller is None or math.isinf(fitting):
            break
        patch, steps = smaller, fitting
    if patch == window:
        return None, steps
    reasons["training.patch_shape"] = (
        f"the time limit would hold about {_rounded(whole)} steps on the whole window, and about {_rounded(steps)} on "
        "this part of it; a model learns more from many steps than from wide ones"
    )
    return patch, steps


def _steps(budget: MemoryBudget, arguments: Mapping[str, Any], patch: IntTriple, batch: int, seconds: float) -> float:
    """About how many steps the time holds, by what one computes and keeps; infinite where the network takes none."""
    shape = (batch, budget.channel_count, *budget.seen(patch))
    try:
        cost = step_cost(budget.network, arguments, shape)
    except (TypeError, ValueError, RuntimeError):  # as networks refuse a shape
        return math.inf
    needed = _SECONDS_PER_GMAC * cost.macs / 1e9 + _SECONDS_PER_MB * cost.memory_mb
    return seconds * torch.get_num_threads() / needed


def _smaller(patch: IntTriple, window: IntTriple, multiple: int) -> IntTriple | None:
    """Take one multiple from the side that has kept most of the window; None when every side is short enough."""
    shares = [(side - multiple) / whole for side, whole in zip(patch, window, strict=True)]
    axis = max(range(3), key=lambda n: (shares[n], patch[n]))
    if shares[axis] < _LEAST_SIDE:
        return None
    i, j, k = (side - multiple if n == axis else side for n, side in enumerate(patch))
    return i, j, k


def _rounded(steps: float) -> str:
    """Two digits, which is more than the estimate is worth."""
    return f"{float(f'{steps:.2g}'):.0f}"
