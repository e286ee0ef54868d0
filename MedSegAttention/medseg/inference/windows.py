"""Where the windows lie, in which order they come, and how much of a volume is held while they do: integers only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations, product
from math import ceil, floor, prod

from medseg.imaging.image import Shape

_WORTH_TURNING = 0.5  # rows along k are quickest; another axis must save half of the memory to be chosen


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


def nnunet_starts(size: int, window: int, step: float) -> tuple[int, ...]:
    """First voxel of each window along one axis where nnU-Net puts it: steps of a share of the window, halves to even.

    Args:
        size: voxels along the axis.
        window: voxels of the window along the axis.
        step: share of a window between two neighbours, above 0..1.
    """
    if window == 1:  # slices of a 2D network, one by one
        return tuple(range(size))
    span = size - window
    count = ceil(span / (window * step)) + 1
    apart = span / (count - 1) if count > 1 else 0.0
    return tuple(round(apart * n) for n in range(count))


def monai_starts(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """First voxel of each window along one axis where MONAI's ``dense_patch_slices`` puts it.

    Args:
        size: voxels along the axis, no fewer than the window's.
        window: voxels of the window along the axis.
        overlap: share of a window that its neighbour also sees; the last two share more.
    """
    step = window if window == size else max(1, int(window * (1 - overlap)))
    return tuple(min(first, size - window) for first in range(0, size - window + step, step))


class WindowPlan:
    """Where the windows lie and in which order they come.

    Attributes:
        shape: voxels of the volume along i, j, k.
        window_shape: voxels of a window along i, j, k.
        axes: axis of the layers, axis of the rows in a layer, axis of the windows in a row.
        overlap: least share of a window that its neighbour along an axis also sees.
        starts: first voxels of the windows along ``axes``.
        as_nnunet: whether windows lie and are weighed where and as nnU-Net does it.
        equal: whether all voxels of a window have the same weight.
    """

    def __init__(
        self,
        shape: Shape,
        window_shape: Shape,
        overlap: float,
        *,
        as_nnunet: bool = False,
        as_monai: bool = False,
        equal: bool = False,
    ) -> None:
        self.shape = shape
        self.window_shape = window_shape
        self.overlap = overlap
        self.as_nnunet, self.equal = as_nnunet, equal
        starts = monai_starts if as_monai else window_starts
        by_axis = [
            nnunet_starts(size, window, 1 - overlap) if as_nnunet else starts(size, window, overlap)
            for size, window in zip(shape, window_shape, strict=True)
        ]
        orders = {axes: self._voxels(axes, by_axis) for axes in permutations(range(3))}
        least = min(orders.values())
        plain = min((axes for axes in orders if axes[2] == 2), key=lambda axes: orders[axes])
        turned = min(orders, key=lambda axes: orders[axes])
        self.axes = turned if least < _WORTH_TURNING * orders[plain] else plain
        if as_nnunet:  # whose sums are rounded each time a window is added
            self.axes = (0, 1, 2)
        self.starts = tuple(by_axis[axis] for axis in self.axes)

    def __len__(self) -> int:
        """Number of windows."""
        return prod(map(len, self.starts))

    def __iter__(self) -> Iterator[Window]:
        """The windows in their order."""
        for along_axes in product(*self.starts):
            i, j, k = (along_axes[self.axes.index(axis)] for axis in range(3))
            yield Window(start=(i, j, k), shape=self.window_shape)

    @property
    def voxels_held(self) -> int:
        """Voxels whose sums are held at a time."""
        return self._voxels(self.axes, [self.starts[self.axes.index(axis)] for axis in range(3)])

    def carried(self) -> int:
        """Most planes that a layer leaves for the next."""
        return _most_shared(self.starts[0], self.window_shape[self.axes[0]])

    def _voxels(self, axes: tuple[int, ...], starts: Sequence[tuple[int, ...]]) -> int:
        layer, row, along = axes
        left = _most_shared(starts[layer], self.window_shape[layer]) * self.shape[row]
        return (left + self.window_shape[layer] * self.window_shape[row]) * self.shape[along]


def _most_shared(starts: Sequence[int], size: int) -> int:
    """Most voxels that two neighbouring windows share along an axis."""
    return max((max(0, first + size - later) for first, later in pairwise(starts)), default=0)
