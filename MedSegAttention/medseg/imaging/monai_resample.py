"""MONAI's resampling: ``Spacing`` keeps the first voxel's centre, ``Resize`` the outer edges; nothing is blurred."""

from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg.imaging._itk import Order
from medseg.imaging.image import Affine, Image, Shape, Spacing
from medseg.imaging.steps import Crop, Resample, refuse_too_large

Back: TypeAlias = Literal["linear", "nearest", "area"]

_SAME_MM = 1e-3  # axes whose voxels differ by less keep them
_SAME_PLACE = 1e-3  # voxels: a grid that differs by less is the same


@dataclass(frozen=True, eq=False, kw_only=True)
class MonaiResample(Resample):
    """As ``Spacing`` or ``Resize`` and its inverse, to a whole grid of which a box may be kept.

    Attributes:
        there: how samples are taken: linearly, or as means over all voxels they overlap ("area").
        back: the same on the way back, or the nearest voxel.
        whole_shape: voxels of the grid of which ``shape`` is a box.
        start: its first voxel.
    """

    there: Literal["linear", "area"] = "linear"
    back: Back = "linear"
    whole_shape: Shape
    start: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def to_monai_spacing(cls, image: Image, spacing_mm: Spacing, back: Back) -> Self:
        """Plan the grid as ``Spacing`` does.

        Raises:
            ImageError: if the image would become absurdly large.
        """
        i, j, k = (
            have if abs(have - want) <= _SAME_MM else want for have, want in zip(image.spacing, spacing_mm, strict=True)
        )
        affine = image.affine.copy()
        affine[:3, :3] *= np.array([i, j, k]) / np.array(image.spacing)
        shape = _covering(image, affine)
        refuse_too_large(image, shape, (i, j, k))
        return cls(
            shape=shape,
            affine=affine,
            source_shape=image.shape,
            source_affine=image.affine,
            back=back,
            whole_shape=shape,
        )

    @classmethod
    def to_monai_size(cls, image: Image, shape: Shape, there: Literal["linear", "area"], back: Back) -> Self:
        """Plan the grid as ``Resize`` does."""
        return cls(**vars(Resample.to_shape(image, shape)), there=there, back=back, whole_shape=shape)

    @property
    def is_identity(self) -> bool:
        """Whether every voxel of the source is one of the result."""
        return self.shape == self.source_shape and all(
            abs(step - 1) * size < _SAME_PLACE and abs(first) < _SAME_PLACE
            for size, (step, first) in zip(self.shape, _lines(self.affine, self.source_affine), strict=True)
        )

    @property
    def is_along_axes(self) -> bool:
        """Whether the way back takes at most two voxels along each axis."""
        return self.back != "area" or all(old >= new for old, new in zip(self.source_shape, self.shape, strict=True))

    def kept(self, box: Crop) -> Self:
        """Keep a box of the whole grid."""
        whole = self.on_whole_grid()
        cut = box.apply(Image(np.broadcast_to(np.uint8(0), (1, *whole.shape)), whole.affine))
        return type(self)(**{**vars(whole), "shape": box.shape, "affine": cut.affine, "start": box.start})

    def on_whole_grid(self) -> Self:
        """The same without the box."""
        shift = np.eye(4)
        shift[:3, 3] = [-first for first in self.start]
        given = {"shape": self.whole_shape, "affine": self.affine @ shift, "start": (0, 0, 0)}
        return type(self)(**{**vars(self), **given})

    def known(self) -> tuple[Shape, Shape]:
        """First voxel and stop, in the source, of what lies less than one voxel of the grid outside its box."""
        first, stop = [], []
        for axis, (step, place) in enumerate(_lines(self.source_affine, self.affine)):
            position = place + step * np.arange(self.source_shape[axis])
            last = self.start[axis] + self.shape[axis] == self.whole_shape[axis]
            low = -np.inf if self.start[axis] == 0 else -1.0
            high = np.inf if last else float(self.shape[axis])
            found = np.flatnonzero((position > low) & (position < high))
            first.append(int(found[0]) if len(found) else 0)
            stop.append(int(found[-1]) + 1 if len(found) else 1)
        return (first[0], first[1], first[2]), (stop[0], stop[1], stop[2])

    def apply(self, image: Image) -> Image:
        """Sample an image; float32."""
        if self.is_identity:
            return Image(image.array.astype(np.float32, copy=False), self.source_affine)
        array = np.empty((image.channel_count, *self.shape), dtype=np.float32)
        for channel, target in zip(image.array, array, strict=True):
            target[...] = _sampled(channel, self.shape, _lines(self.affine, self.source_affine), self.there)
        return Image(array, self.affine)

    def undo(self, image: Image, *, outside: float = 0.0, order: Order = "linear") -> Image:  # noqa: ARG002
        """Sample back on the source grid, edges repeated, in the way of the plan."""
        if self.is_identity:
            return Image(image.array, self.source_affine)
        lines = _lines(self.source_affine, self.affine)
        array = np.stack([_sampled(channel, self.source_shape, lines, self.back) for channel in image.array])
        return Image(array, self.source_affine)


def nearest_of(count: int, size: int, step: float, first: float) -> NDArray[np.int64]:
    """Which of ``size`` voxels lies nearest to each of ``count`` samples.

    Where a sample lies halfway between two, rounding decides: the places are worked out as torch's ``affine_grid`` and
    ``grid_sample`` do it, on axes that go from -1 to 1.
    """
    matrix = np.array([[2 / size, 1 / size - 1], [0, 1]]) @ np.array([[step, first], [0, 1]])
    matrix = matrix @ np.linalg.inv(np.array([[2 / count, 1 / count - 1], [0, 1]]))
    number = np.arange(count)
    apart = 2 / (count - 1) if count > 1 else 0.0
    ends = np.where(number < count / 2, -1 + apart * number, 1 - apart * (count - 1 - number))
    along = (ends if count > 1 else np.zeros(1)) * (count - 1) / count
    place = ((along * matrix[0, 0] + matrix[0, 1] + 1) * size - 1) / 2
    chosen: NDArray[np.int64] = np.clip(np.rint(place), 0, size - 1).astype(np.int64)
    return chosen


def _covering(image: Image, affine: Affine) -> Shape:
    """Voxels of another size between the first and the last centre of an image, as ``compute_shape_offset`` counts."""
    ends = np.meshgrid(*([0.0, size - 1.0] for size in image.shape), indexing="ij")
    corners = np.concatenate([np.reshape(ends, (3, -1)), np.ones((1, 8))])
    placed = (np.linalg.solve(affine, image.affine) @ corners)[:3]
    i, j, k = (max(1, int(count)) for count in np.round(np.ptp(placed, axis=1) + 1.0))
    return i, j, k


def _lines(affine: Affine, other: Affine) -> tuple[tuple[float, float], ...]:
    """Along i, j, k: step and first place, in voxels of the other grid, of a grid of the same directions."""
    matrix = np.linalg.solve(other, affine)
    return tuple((float(matrix[axis, axis]), float(matrix[axis, 3])) for axis in range(3))


def _sampled(array: NDArray[Any], shape: Shape, lines: tuple[tuple[float, float], ...], how: Back) -> NDArray[Any]:
    if how == "area":
        return _means(array, shape)
    if how == "nearest":
        for axis, (step, first) in enumerate(lines):
            array = np.take(array, nearest_of(shape[axis], array.shape[axis], step, first), axis=axis)
        return array
    from scipy import ndimage  # here, so that Slicer does not wait for it

    steps, firsts = zip(*lines, strict=True)
    sampled: NDArray[Any] = ndimage.affine_transform(
        array.astype(np.float32, copy=False), steps, firsts, shape, np.float32, order=1, mode="nearest"
    )
    return sampled


def _means(array: NDArray[Any], shape: Shape) -> NDArray[np.float64]:
    """Mean over the voxels that each of ``shape`` voxels overlaps, each counted whole, as torch's "area" does."""
    result = array.astype(np.float64)
    for axis, (size, count) in enumerate(zip(array.shape, shape, strict=True)):
        number = np.arange(count)
        low, high = number * size // count, -(-(number + 1) * size // count)
        sums = np.concatenate([np.zeros_like(np.take(result, [0], axis)), np.cumsum(result, axis)], axis)
        width = (high - low).reshape([-1 if other == axis else 1 for other in range(3)])
        result = (np.take(sums, high, axis) - np.take(sums, low, axis)) / width
    return result
