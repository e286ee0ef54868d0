"""A 2D network in the place of a 3D one: windows one slice thick, neighbouring slices as channels."""

from collections.abc import Callable

import torch
from torch import Tensor

from medseg.imaging.image import Shape
from medseg.spec.errors import JobError
from medseg.spec.manifest import SliceRule


def slice_margin(rule: SliceRule) -> Shape:
    """Voxels along i, j, k that the network sees beyond a window: its neighbouring slices."""
    i, j, k = (rule.context if axis == rule.axis else 0 for axis in range(3))
    return i, j, k


def add_border_slices(volume: Tensor, rule: SliceRule) -> Tensor:
    """Repeat the first and the last slice, so that these have neighbours too.

    Shape:
        ``(C, I, J, K)`` -> the same with ``rule.context`` more slices on both sides; itself where there is none.
    """
    if rule.context == 0:
        return volume
    dim = rule.axis + 1
    first, last = volume.narrow(dim, 0, 1), volume.narrow(dim, volume.shape[dim] - 1, 1)
    return torch.cat([*[first] * rule.context, volume, *[last] * rule.context], dim=dim)


def as_slices(windows: Tensor, rule: SliceRule) -> Tensor:
    """Windows with their neighbouring slices as a 2D network takes them.

    Shape:
        ``(B, C, i, j, k)``, ``2 * context + 1`` slices -> ``(B, (2 * context + 1) * C, h, w)``
    """
    return windows.movedim(rule.axis + 2, 1).flatten(1, 2)


def slicewise(network: Callable[[Tensor], Tensor], rule: SliceRule) -> Callable[[Tensor], Tensor]:
    """Wrap a 2D network so that it takes windows of a volume.

    The channels it sees are those of the slice ``rule.context`` before the one it is asked about, then those of the
    next, and so on to ``rule.context`` after it. Its rows and columns are the other two axes in their order.

    Args:
        network: ``(B, (2 * context + 1) * C, h, w)`` -> logits ``(B, L, h, w)``.
        rule: the axis and the neighbours.

    Returns:
        A callable ``(B, C, i, j, k)`` -> ``(B, L, i, j, k)``: ``2 * context + 1`` slices in, one slice out.

    Raises:
        JobError: from the callable, when the network answers with something else than logits of a slice.
    """
    dim = rule.axis + 2

    def run(windows: Tensor) -> Tensor:
        slices = as_slices(windows, rule)
        logits = network(slices)
        if not isinstance(logits, Tensor) or logits.ndim != 4 or logits.shape[2:] != slices.shape[2:]:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            msg = f"a 2D network answers slices of {tuple(slices.shape)} with logits of that size, got {found}"
            raise JobError(msg)
        return logits.unsqueeze(dim)

    return run
