"""Preprocessing steps that carry their own undo: turn the axes, cut a box, change the spacing."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from medseg.imaging._itk import Order
from medseg.imaging.geometry import closest_axes, parse_orientation, resample_to, voxel_corners
from medseg.imaging.image import Affine, Image, Shape, Spacing
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import IntTriple

VoxelBox = tuple[int, int, int, int, int, int]  # i, i stop, j, j stop, k, k stop: the stops are excluded

_LARGEST_BYTES = 4e9  # of a resampled image, float32, all channels
_SAME_SPACING = 1e-3  # relative
_REACH = 4.0  # standard deviations at which the kernel of the blur ends


@dataclass(frozen=True, eq=False, kw_only=True)
class Reorient:
    """Reorder and reverse axes; exact, nothing is interpolated."""

    axes: IntTriple  # source axis that becomes i, j, k
    reversed_axes: tuple[bool, bool, bool]  # whether i, j, k then run backwards
    source_shape: Shape
    source_affine: Affine

    @classmethod
    def to_orientation(cls, image: Image, orientation: str) -> Self:
        """Turn the axes as close as they come to a code such as ``"RAS"``.

        Raises:
            ImageError: if the code is not an orientation.
        """
        have = closest_axes(image.affine)
        rows = [row for row, _ in have]
        want = parse_orientation(orientation)
        axes = tuple(rows.index(row) for row, _ in want)
        flips = tuple(have[axis][1] != sign for axis, (_, sign) in zip(axes, want, strict=True))
        return cls(
            axes=(axes[0], axes[1], axes[2]),
            reversed_axes=(flips[0], flips[1], flips[2]),
            source_shape=image.shape,
            source_affine=image.affine,
        )

    def turn_box(self, box: VoxelBox) -> VoxelBox:
        """Find a box of the source's voxels in the turned image; first and stop along each axis."""
        turned: list[int] = []
        for old, backwards in zip(self.axes, self.reversed_axes, strict=True):
            first, stop = box[2 * old : 2 * old + 2]
            size = self.source_shape[old]
            turned += [size - stop, size - first] if backwards else [first, stop]
        i, i_stop, j, j_stop, k, k_stop = turned
        return i, i_stop, j, j_stop, k, k_stop

    def apply(self, image: Image) -> Image:
        """Turn an image; the array is a view."""
        matrix = np.zeros((4, 4))  # turned voxel -> source voxel
        matrix[3, 3] = 1.0
        for new, (old, backwards) in enumerate(zip(self.axes, self.reversed_axes, strict=True)):
            matrix[old, new] = -1.0 if backwards else 1.0
            matrix[old, 3] = self.source_shape[old] - 1 if backwards else 0.0
        array = image.array.transpose(0, *(axis + 1 for axis in self.axes))
        return Image(array[self._steps()], self.source_affine @ matrix)

    def undo(self, image: Image, *, outside: float = 0.0, order: Order = "nearest") -> Image:  # noqa: ARG002
        """Turn it back; the array is a view, and ``outside`` and ``order`` have nothing to decide."""
        back = np.argsort(self.axes)
        array = image.array[self._steps()].transpose(0, *(int(axis) + 1 for axis in back))
        return Image(array, self.source_affine)

    def _steps(self) -> tuple[Any, ...]:
        """Index expression that reverses what is to be reversed."""
        return (slice(None), *(slice(None, None, -1 if backwards else None) for backwards in self.reversed_axes))


@dataclass(frozen=True, eq=False, kw_only=True)
class Crop:
    """Keep a box of voxels."""

    start: IntTriple  # first voxel kept
    shape: Shape  # voxels kept along i, j, k
    source_shape: Shape
    source_affine: Affine

    @classmethod
    def to_box(cls, image: Image, start: IntTriple, stop: IntTriple) -> Self:
        """Keep voxels ``start`` to ``stop``, the latter excluded.

        Raises:
            ValueError: if the box is empty or leaves the image.
        """
        if not all(0 <= a < b <= size for a, b, size in zip(start, stop, image.shape, strict=True)):
            msg = f"a crop lies inside its image, got voxels {start} to {stop} of {image.shape}"
            raise ValueError(msg)
        i, j, k = (b - a for a, b in zip(start, stop, strict=True))
        return cls(start=start, shape=(i, j, k), source_shape=image.shape, source_affine=image.affine)

    @classmethod
    def to_roi(cls, image: Image, roi_ras_mm: tuple[float, float, float, float, float, float]) -> Self:
        """Keep the smallest box of whole voxels that holds a region, as far as the image goes.

        Args:
            image: of any orientation.
            roi_ras_mm: R-, R+, A-, A+, S-, S+ in millimetres; it may reach beyond the image.

        Raises:
            JobError: if the region is not six finite numbers in order, or lies outside the image.
        """
        region = np.asarray(roi_ras_mm, dtype=np.float64)
        if region.shape != (6,) or not np.isfinite(region).all() or not (region[::2] < region[1::2]).all():
            msg = f"a ROI is R-,R+,A-,A+,S-,S+ in mm, finite, each lower bound below the upper; got {roi_ras_mm}"
            raise JobError(msg)
        corners = np.array([(r, a, s, 1.0) for r in region[:2] for a in region[2:4] for s in region[4:]])
        voxels = (corners @ np.linalg.inv(image.affine).T)[:, :3]
        first = np.floor(voxels.min(axis=0) + 0.5 + 1e-6)  # a voxel reaches half a voxel to each side of its centre
        last = np.ceil(voxels.max(axis=0) + 0.5 - 1e-6)
        start = np.maximum(first, 0)
        stop = np.minimum(np.maximum(last, first + 1), image.shape)
        if not (start < stop).all():
            outer = (voxel_corners(image.shape) @ image.affine.T)[:, :3]
            extent = np.stack([outer.min(axis=0), outer.max(axis=0)], axis=1).ravel()
            msg = f"the ROI {_words(region)} mm misses the volume, which spans {_words(extent)} mm; move it inside"
            raise JobError(msg)
        return cls.to_box(image, _triple(start), _triple(stop))

    @classmethod
    def to_voxels(cls, image: Image, box: VoxelBox) -> Self:
        """Keep a box of voxels, as far as the image goes.

        Raises:
            JobError: if the box lies outside the image.
        """
        start = np.maximum(box[::2], 0)
        stop = np.minimum(box[1::2], image.shape)
        if not (start < stop).all():
            msg = f"the ROI, voxels {box}, misses the volume, which has {image.shape}; move it inside"
            raise JobError(msg)
        return cls.to_box(image, _triple(start), _triple(stop))

    def apply(self, image: Image) -> Image:
        """Cut the box out; the array is a view."""
        shift = np.eye(4)
        shift[:3, 3] = self.start
        return Image(image.array[self._box()], self.source_affine @ shift)

    def undo(self, image: Image, *, outside: float = 0.0, order: Order = "nearest") -> Image:  # noqa: ARG002
        """Put the box back into a whole volume that is ``outside`` elsewhere; ``order`` has nothing to decide."""
        if self.shape == self.source_shape:
            return Image(image.array, self.source_affine)
        array = np.full((image.channel_count, *self.source_shape), outside, dtype=image.array.dtype)
        array[self._box()] = image.array
        return Image(array, self.source_affine)

    def _box(self) -> tuple[slice, ...]:
        """Index expression of the box, channels included."""
        return (slice(None), *(slice(a, a + size) for a, size in zip(self.start, self.shape, strict=True)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Resample:
    """Change the spacing over the same field of view, linearly.

    The number of voxels is rounded and their size then fits exactly, so the outer edges of the first and the last
    voxel stay where they were, nothing is cut off and nothing added. The spacing reached therefore differs from the
    one asked for by up to half a voxel spread over the axis.
    """

    shape: Shape
    affine: Affine
    source_shape: Shape
    source_affine: Affine

    @classmethod
    def to_spacing(cls, image: Image, spacing_mm: Spacing) -> Self:
        """Plan the grid; axes within 0.1 % of the spacing keep their voxels.

        Raises:
            ImageError: if a spacing is not above 0, or the result would exceed 4 GB.
        """
        if not all(math.isfinite(size) and size > 0 for size in spacing_mm):
            msg = f"a spacing is above 0 mm along every axis, got {spacing_mm}"
            raise ImageError(msg)
        extents = [n * size for n, size in zip(image.shape, image.spacing, strict=True)]
        if any(a / b > _LARGEST_BYTES for a, b in zip(extents, spacing_mm, strict=True)):
            raise ImageError(_too_large(image, spacing_mm))
        i, j, k = (
            n if abs(have / want - 1) <= _SAME_SPACING else max(1, round(n * have / want))
            for n, have, want in zip(image.shape, image.spacing, spacing_mm, strict=True)
        )
        refuse_too_large(image, (i, j, k), spacing_mm)
        return cls.to_shape(image, (i, j, k))

    @classmethod
    def to_shape(cls, image: Image, shape: Shape) -> Self:
        """Plan the grid of so many voxels."""
        ratio = np.array(image.shape) / np.array(shape)
        matrix = np.diag([*ratio, 1.0])  # new voxel -> source voxel; voxel edges -0.5 coincide
        matrix[:3, 3] = ratio / 2 - 0.5
        affine = image.affine @ matrix if shape != image.shape else image.affine
        return cls(shape=shape, affine=affine, source_shape=image.shape, source_affine=image.affine)

    @property
    def is_identity(self) -> bool:
        """Whether there is nothing to do."""
        return self.shape == self.source_shape

    @property
    def sigmas(self) -> tuple[float, float, float]:
        """Standard deviations, in source voxels, of the blur that precedes the sampling.

        An axis that loses more than a third of its samples would alias. A Gaussian with a full width at half maximum
        of sqrt(f^2 - 1) voxels widens the source's own profile, one voxel, to the f voxels of the target.
        """
        i, j, k = (
            math.sqrt((old / new) ** 2 - 1) / math.sqrt(8 * math.log(2)) if old / new > 1.5 else 0.0
            for old, new in zip(self.source_shape, self.shape, strict=True)
        )
        return i, j, k

    def apply(self, image: Image) -> Image:
        """Blur where needed and sample; float32."""
        if self.is_identity:
            return Image(image.array.astype(np.float32, copy=False), self.source_affine)
        array = np.empty((image.channel_count, *self.shape), dtype=np.float32)
        for channel, target in zip(image.array, array, strict=True):
            blurred = Image(blur(channel.astype(np.float32, copy=False), self.sigmas)[None], self.source_affine)
            target[...] = resample_to(blurred, self.shape, self.affine, order="linear").array[0]
        return Image(array, self.affine)

    def undo(self, image: Image, *, outside: float = 0.0, order: Order = "linear") -> Image:
        """Sample back on the source grid; both grids share their edges, so ``outside`` is never met."""
        placed = Image(image.array, self.affine)
        return resample_to(placed, self.source_shape, self.source_affine, order=order, outside=outside)


def blur(array: NDArray[np.float32], sigmas: tuple[float, float, float]) -> NDArray[np.float32]:
    """Blur a volume ``(I, J, K)`` by Gaussians of these standard deviations in voxels; 0 leaves an axis alone.

    Edges are repeated. The same array when nothing is to be blurred.
    """
    for axis, sigma in enumerate(sigmas):
        if sigma > 0:
            from scipy import ndimage  # here, so that neither Slicer nor a job without a blur waits for it

            reach = math.ceil(_REACH * sigma)
            array = ndimage.gaussian_filter1d(array, sigma, axis=axis, mode="nearest", radius=reach)
    return array


def _triple(values: np.ndarray[Any, Any]) -> IntTriple:
    """Three integers from an array."""
    i, j, k = (int(value) for value in values)
    return i, j, k


def _words(region: np.ndarray[Any, Any]) -> str:
    """R-,R+,A-,A+,S-,S+ in one tenth of a millimetre."""
    return ",".join(f"{value:.1f}" for value in region)


def refuse_too_large(image: Image, shape: Shape, spacing_mm: Spacing) -> None:
    """Refuse a grid that no machine should be asked for; raises ``ImageError``."""
    if shape != image.shape and 4.0 * image.channel_count * math.prod(shape) > _LARGEST_BYTES:
        raise ImageError(_too_large(image, spacing_mm))


def _too_large(image: Image, spacing_mm: Spacing) -> str:
    """Message about a grid no machine should be asked for."""
    have = " x ".join(f"{size:.4g}" for size in image.spacing)
    want = " x ".join(f"{size:.4g}" for size in spacing_mm)
    grid = " x ".join(f"{n * a / b:.0f}" for n, a, b in zip(image.shape, image.spacing, spacing_mm, strict=True))
    return (
        f"an image at the model's spacing may take {_LARGEST_BYTES / 1e9:.0f} GB, but from {have} to {want} mm it "
        f"would have {grid} voxels in {image.channel_count} channels; check the image's spacing, or give a smaller ROI"
    )
