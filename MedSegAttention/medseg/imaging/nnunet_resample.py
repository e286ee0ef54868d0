"""nnU-Net's resampling: cubic splines on the way to the network, lines on the way back, coarse slices apart."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from medseg.imaging._itk import Order
from medseg.imaging.image import Image, Spacing
from medseg.imaging.steps import Resample, refuse_too_large

_ANISOTROPIC = 3.0  # an axis with voxels more than this many times as long as the shortest is resampled by itself
_CUBIC = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class NnunetResample(Resample):
    """As nnU-Net's ``resample_data_or_seg_to_shape`` with order 3 there, order 1 back, and order 0 across slices.

    Attributes:
        slices_there: axis across which slices are resampled one by one on the way to the network, and the nearest is
            taken; None: all axes at once.
        slices_back: the same for the network's answer.
    """

    slices_there: int | None = None
    slices_back: int | None = None

    @classmethod
    def to_nnunet_spacing(cls, image: Image, spacing_mm: Spacing) -> Self:
        """Plan the grid as nnU-Net does.

        Args:
            image: turned and cropped.
            spacing_mm: of the network; 0 leaves an axis as it is.

        Raises:
            ImageError: if the image would become absurdly large.
        """
        old = file_spacing(image)
        new = (spacing_mm[0] or old[0], spacing_mm[1] or old[1], spacing_mm[2] or old[2])
        i, j, k = (max(1, round(a / b * n)) for a, b, n in zip(old, new, image.shape, strict=True))
        refuse_too_large(image, (i, j, k), new)
        plain = Resample.to_shape(image, (i, j, k))
        return cls(**vars(plain), slices_there=_slice_axis(old, new), slices_back=_slice_axis(new, old))

    def apply(self, image: Image) -> Image:
        """Sample by cubic splines, limited to the values that were there; float32.

        As ``skimage.transform.resize`` with edges repeated: splines through voxel centres, voxel edges kept.
        """
        if self.is_identity:
            return Image(image.array.astype(np.float32, copy=False), self.source_affine)
        array = np.empty((image.channel_count, *self.shape), dtype=np.float32)
        for channel, target in zip(image.array, array, strict=True):
            if self.slices_there is None:
                target[...] = _splines(channel, self.shape)
            else:
                _slice_by_slice(channel, target, self.slices_there)
        return Image(array, self.affine)

    def undo(self, image: Image, *, outside: float = 0.0, order: Order = "linear") -> Image:
        """Sample back on the source grid: the nearest slice, linear within it."""
        axis = self.slices_back
        if axis is None or self.shape[axis] == self.source_shape[axis]:
            return super().undo(image, outside=outside, order=order)
        nearest = nearest_voxels(self.source_shape[axis], self.shape[axis])
        chosen = np.take(image.array, nearest, axis=axis + 1)
        shape = list(self.shape)
        shape[axis] = self.source_shape[axis]
        source = Image(np.broadcast_to(np.uint8(0), (1, *self.source_shape)), self.source_affine)
        grid = Resample.to_shape(source, (shape[0], shape[1], shape[2]))
        return grid.undo(Image(chosen, grid.affine), outside=outside, order=order)


def file_spacing(image: Image) -> Spacing:
    """Spacing of an image as a NIfTI header has it, in single precision: sizes that lie between two are rounded so."""
    i, j, k = (float(np.float32(mm)) for mm in image.spacing)
    return i, j, k


def nearest_voxels(count: int, size: int) -> NDArray[np.int64]:
    """Which of ``size`` voxels each of ``count`` samples of the same length takes, edges repeated."""
    position = size / count * (np.arange(count) + 0.5) - 0.5
    chosen: NDArray[np.int64] = np.clip(np.floor(position + 0.5), 0, size - 1).astype(np.int64)
    return chosen


def _slice_axis(first: Spacing, second: Spacing) -> int | None:
    """The axis that is resampled apart: the coarsest of the first spacing that is anisotropic; None: there is none."""
    for spacing in (first, second):
        if max(spacing) / min(spacing) > _ANISOTROPIC:
            coarsest = [axis for axis in range(3) if spacing[axis] == max(spacing)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def _splines(array: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    from scipy import ndimage  # here, so that Slicer does not wait for it

    wide = array.astype(np.float64)
    factors = [new / old for new, old in zip(shape, array.shape, strict=True)]
    sampled: NDArray[np.float64] = ndimage.zoom(wide, factors, order=_CUBIC, mode="nearest", grid_mode=True)
    return np.clip(sampled, wide.min(), wide.max(), out=sampled)


def _slice_by_slice(channel: NDArray[np.float32], target: NDArray[np.float32], axis: int) -> None:
    """Sample the slices across an axis, then take the nearest slice for each of the target's."""
    slices, wanted = np.moveaxis(channel, axis, 0), np.moveaxis(target, axis, 0)
    nearest = nearest_voxels(len(wanted), len(slices)) if len(wanted) != len(slices) else np.arange(len(slices))
    in_plane = wanted.shape[1:] != slices.shape[1:]
    for number in np.unique(nearest):
        wanted[nearest == number] = _splines(slices[number], wanted.shape[1:]) if in_plane else slices[number]
