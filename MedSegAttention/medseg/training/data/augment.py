"""How often and how far training patches are changed at random; and one patch at a time, by MONAI's transforms.

Whole batches are changed with the same ranges in :mod:`medseg.training.data.augment_batch`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from monai.transforms import (
    Compose,
    EnsureTyped,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
)

from medseg.spec.manifest import ModelManifest

_LARGEST_TURN = math.pi / 8
_THICK = 3.0  # an axis with voxels this many times longer than the others is not tilted


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Chances, each of one patch, and ranges that are drawn from evenly.

    Attributes:
        turns: largest angle in radians about each axis; one angle in 2D.
        mirror_axes: axes that may be flipped; flipping axis 0 of a RAS model teaches it both sides of the body.
    """

    turns: tuple[float, ...] = (_LARGEST_TURN,) * 3
    mirror_axes: tuple[int, ...] = ()
    mirror: float = 0.5  # of each axis
    affine: float = 0.5
    scale: float = 0.2  # size of what is seen, times 1 - 0.2 to 1 + 0.2 along each axis
    translation: float = 4.0  # voxels
    shear: float = 0.08
    noise: float = 0.2
    noise_std: float = 0.15  # of the strongest noise; intensities have a standard deviation of about 1
    blur: float = 0.15
    blur_sigma: tuple[float, float] = (0.4, 1.0)  # voxels
    factor: float = 0.3
    largest_factor: float = 0.3  # intensities times 1 - 0.3 to 1 + 0.3
    offset: float = 0.3
    largest_offset: float = 0.3
    low_resolution: float = 0.1
    zoom: tuple[float, float] = (0.5, 1.0)
    contrast: float = 0.4
    gamma: tuple[float, float] = (0.6, 1.7)
    bias: float = 0.2
    bias_coefficient: tuple[float, float] = (0.0, 0.3)  # of each Legendre polynomial
    bias_degree: int = 2

    @property
    def dims(self) -> int:
        """2 or 3."""
        return 2 if len(self.turns) == 1 else 3


def ranges(mirror_axes: Sequence[int], *, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> Ranges:
    """Ranges for patches of two or three axes with voxels of this size; thick slices are turned in their plane only."""
    if len(spacing_mm) == 2:
        return Ranges(mirror_axes=tuple(mirror_axes), turns=(_LARGEST_TURN,))
    thick = [mm >= _THICK * min(spacing_mm) for mm in spacing_mm]
    turns = tuple(_LARGEST_TURN if not any(thick) or thick[axis] else 0.0 for axis in range(3))
    return Ranges(mirror_axes=tuple(mirror_axes), turns=turns)


def ranges_for(manifest: ModelManifest) -> Ranges:
    """Ranges along a model's own axes; sides are exchanged only where its manifest lists the axis.

    They are not where labels have a side: a flipped patch would be labelled wrongly.
    """
    across = None if manifest.slices is None else manifest.slices.axis
    axes = [axis for axis in range(3) if axis != across]
    spacing = manifest.spacing_mm or (1.0, 1.0, 1.0)
    sided = None if manifest.side_exchange is None else manifest.side_exchange[0]
    mirrored = [axes.index(axis) for axis in manifest.mirror_axes if axis in axes and axis != sided]
    return ranges(mirrored, spacing_mm=[spacing[axis] for axis in axes])


def augmentation(ranges: Ranges) -> Compose:
    """Compose the random changes of one patch.

    Takes and returns a dictionary with ``image`` ``(C, I, J, K)`` and ``labels`` ``(1, I, J, K)``, or both in 2D.
    """
    keys, dims = ("image", "labels"), ranges.dims
    flips = [RandFlipd(keys, prob=ranges.mirror, spatial_axis=axis) for axis in ranges.mirror_axes]
    return Compose(
        [
            *flips,
            RandAffined(
                keys,
                prob=ranges.affine,
                rotate_range=ranges.turns,
                scale_range=(ranges.scale,) * dims,
                translate_range=(ranges.translation,) * dims,
                shear_range=(ranges.shear,) * (dims * (dims - 1)),
                mode=(3, "nearest"),  # splines: linear interpolation would blur what the model must see sharply
                padding_mode="zeros",
            ),
            RandGaussianNoised("image", prob=ranges.noise, std=ranges.noise_std),
            RandGaussianSmoothd("image", prob=ranges.blur, **{f"sigma_{axis}": ranges.blur_sigma for axis in "xyz"}),
            RandScaleIntensityd("image", factors=ranges.largest_factor, prob=ranges.factor),
            RandShiftIntensityd("image", offsets=ranges.largest_offset, prob=ranges.offset),
            RandSimulateLowResolutiond(
                "image",
                prob=ranges.low_resolution,
                zoom_range=ranges.zoom,
                downsample_mode="area",
                upsample_mode="trilinear" if dims == 3 else "bilinear",
            ),
            RandAdjustContrastd("image", prob=ranges.contrast, gamma=ranges.gamma, retain_stats=True),
            RandBiasFieldd("image", degree=ranges.bias_degree, coeff_range=ranges.bias_coefficient, prob=ranges.bias),
            EnsureTyped(keys, track_meta=False),
        ]
    )
