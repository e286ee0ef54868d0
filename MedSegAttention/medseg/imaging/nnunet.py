"""nnU-Net's preprocessing: axes as the file stores them, cropped to what is not 0, normalised, then resampled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image
from medseg.imaging.intensity import as_finite
from medseg.imaging.nnunet_resample import NnunetResample
from medseg.imaging.steps import Crop, Reorient, Resample
from medseg.spec.nnunet import NnunetChannel, NnunetRule

_LEAST_STD = 1e-8


def turn(image: Image, rule: NnunetRule) -> Reorient:
    """Bring the axes of an image into the network's order."""
    if not rule.reorients:
        return Reorient(
            axes=rule.axes,
            reversed_axes=(False, False, False),
            source_shape=image.shape,
            source_affine=image.affine,
        )
    upright = Reorient.to_orientation(image, "RAS")
    i, j, k = (upright.axes[axis] for axis in rule.axes)
    a, b, c = (upright.reversed_axes[axis] for axis in rule.axes)
    return Reorient(axes=(i, j, k), reversed_axes=(a, b, c), source_shape=image.shape, source_affine=image.affine)


def crop_to_nonzero(image: Image) -> Crop:
    """The smallest box that holds every voxel that is not 0 in some channel; the whole where there is none."""
    whole = Crop.to_box(image, (0, 0, 0), image.shape)
    mask = _is_set(image.array)
    start, stop = [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        along = np.flatnonzero(mask.any(axis=others))
        if not len(along):
            return whole
        start.append(int(along[0]))
        stop.append(int(along[-1]) + 1)
    return Crop.to_box(image, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def plan_resampling(image: Image, rule: NnunetRule, spacing_factor: float = 1.0) -> Resample:
    """Plan the network's grid for an image that is turned and cropped, on voxels so many times larger."""
    i, j, k = (mm * spacing_factor for mm in rule.spacing_mm)
    return NnunetResample.to_nnunet_spacing(image, (i, j, k))


def normalised(
    image: Image, whole: Image, crop: Crop, rule: NnunetRule, labels: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Normalise every channel of a cropped image.

    Args:
        image: ``(C, i, j, k)``, cropped.
        whole: before it was cropped: what encloses a hole may lie outside.
        crop: from one to the other.
        rule: of the model.
        labels: ``(i, j, k)`` of an earlier stage, cropped too; what it found counts as masked in, also in air.
    """
    array = as_finite(image.array)
    mask = enclosed(whole, crop) if any(channel.masked for channel in rule.channels) else None
    if mask is not None and labels is not None:
        mask = mask | (labels > 0)
    for values, channel in zip(array, rule.channels, strict=True):
        _normalise(values, channel, mask)
    return array


def enclosed(whole: Image, crop: Crop) -> NDArray[np.bool_]:
    """Voxels that are not 0 in some channel, and what they enclose, ``(i, j, k)`` of the crop."""
    from scipy import ndimage  # here, so that Slicer does not wait for it

    filled = ndimage.binary_fill_holes(_is_set(whole.array))
    mask: NDArray[np.bool_] = crop.apply(Image(filled[None], whole.affine)).array[0]
    return mask


def _is_set(array: NDArray[Any]) -> NDArray[np.bool_]:
    mask = np.zeros(array.shape[1:], dtype=np.bool_)
    for channel in array:
        mask |= channel != 0
    return mask


def _normalise(values: NDArray[np.float32], channel: NnunetChannel, mask: NDArray[np.bool_] | None) -> None:
    """In place and in single precision, as nnU-Net computes."""
    match channel.scheme:
        case "zscore" if channel.masked and mask is not None:
            chosen = values[mask]
            if chosen.size:
                values[mask] = (chosen - chosen.mean()) / max(chosen.std(), _LEAST_STD)
        case "zscore":
            mean, std = values.mean(), values.std()
            values -= mean
            values /= max(std, _LEAST_STD)
        case "ct":
            np.clip(values, np.float32(channel.lower), np.float32(channel.upper), out=values)
            values -= np.float32(channel.mean)
            values /= np.float32(max(channel.std or 0.0, _LEAST_STD))
        case "unit":
            values -= values.min()
            values /= max(values.max(), np.float32(_LEAST_STD))
        case "rgb":
            values /= np.float32(255)
        case "none":
            pass
