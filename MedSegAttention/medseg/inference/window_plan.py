"""In which order the windows come, and how much of a volume is held while they do: integers only."""

from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations, product
from math import prod

from medseg.imaging.image import Shape
from medseg.inference.windows import Window, window_starts

_WORTH_TURNING = 0.5  # rows along k are quickest; another axis must save half of the memory to be chosen


class WindowPlan:
    """Where the windows lie and in which order they come.

    Attributes:
        shape: voxels of the volume along i, j, k.
        window_shape: voxels of a window along i, j, k.
        axes: axis of the layers, axis of the rows in a layer, axis of the windows in a row.
        overlap: least share of a window that its neighbour along an axis also sees.
        starts: first voxels of the windows along ``axes``.
    """

    def __init__(self, shape: Shape, window_shape: Shape, overlap: float) -> None:
        self.shape = shape
        self.window_shape = window_shape
        self.overlap = overlap
        by_axis = [window_starts(size, window, overlap) for size, window in zip(shape, window_shape, strict=True)]
        orders = {axes: self._voxels(axes, by_axis) for axes in permutations(range(3))}
        least = min(orders.values())
        plain = min((axes for axes in orders if axes[2] == 2), key=lambda axes: orders[axes])
        turned = min(orders, key=lambda axes: orders[axes])
        self.axes = turned if least < _WORTH_TURNING * orders[plain] else plain
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
