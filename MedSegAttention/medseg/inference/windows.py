"""Where the windows lie: integers only, so that it can be read and tested without a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import floor

from medseg.imaging.image import Shape


@dataclass(frozen=True)
class Window:
    """A box of voxels inside a volume."""

    start: Shape
    shape: Shape

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as slices along i, j, k."""
        i, j, k = (slice(first, first + size) for first, size in zip(self.start, self.shape, strict=True))
        return i, j, k

    def widened(self, margin: Shape) -> tuple[slice, slice, slice]:
        """The box with a margin on both sides, as slices of the volume that has the margin too."""
        i, j, k = (
            slice(first, first + size + 2 * extra)
            for first, size, extra in zip(self.start, self.shape, margin, strict=True)
        )
        return i, j, k


def window_starts(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """First voxel of each window along one axis.

    The first window starts at 0, the last ends at ``size`` and the others are spread evenly between, so no pair
    of neighbours shares much more than another. Steps differ by one voxel at most.

    Args:
        size: voxels along the axis.
        window: voxels of the window along the axis.
        overlap: least share of a window that its neighbour also sees, 0..0.9.

    Raises:
        ValueError: when the window does not fit or the overlap is out of range.
    """
    if not 1 <= window <= size:
        msg = f"a window of {window} voxels does not fit an axis of {size}; pad the volume first"
        raise ValueError(msg)
    if not 0 <= overlap <= 0.9:
        msg = f"overlap must lie in 0..0.9, got {overlap}"
        raise ValueError(msg)
    longest_step = max(1, floor(window * (1 - overlap) + 1e-9))  # 10 * (1 - 0.9) is a little less than 1
    span = size - window
    gaps = max(1, -(-span // longest_step))
    count = gaps + 1 if span else 1
    return tuple((2 * n * span + gaps) // (2 * gaps) for n in range(count))


def plan_windows(shape: Sequence[int], window_shape: Sequence[int], overlap: float) -> tuple[Window, ...]:
    """Cover a volume with windows of one shape; k varies fastest.

    Args:
        shape: voxels of the volume along i, j, k; at least those of the window.
        window_shape: voxels of a window along i, j, k.
        overlap: least share of a window that its neighbour along an axis also sees, 0..0.9.

    Returns:
        The windows; together they see every voxel.

    Raises:
        ValueError: when the window does not fit or the overlap is out of range.
    """
    i, j, k = window_shape
    axes = (window_starts(size, window, overlap) for size, window in zip(shape, window_shape, strict=True))
    return tuple(Window(start=(a, b, c), shape=(i, j, k)) for a, b, c in product(*axes))
