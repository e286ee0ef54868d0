"""Random changes of the training patches: where things lie and how bright they are. MONAI transforms."""

from collections.abc import Sequence

import numpy as np
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

_THICK = 3.0  # an axis with voxels this many times longer than the others is not tilted


def augmentation(mirror_axes: Sequence[int], *, spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)) -> Compose:
    """Compose the random changes of one patch.

    Takes and returns a dictionary with ``image`` ``(C, I, J, K)`` and ``labels`` ``(1, I, J, K)``, or both in 2D.

    Args:
        mirror_axes: axes flipped half of the time; flipping axis 0 of a RAS model teaches it both sides of the body.
        spacing_mm: of the voxels, two or three numbers; thick slices are turned in their plane only.
    """
    keys, dims = ("image", "labels"), len(spacing_mm)
    flips = [RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in mirror_axes]
    upsampling = "trilinear" if dims == 3 else "bilinear"
    sigmas = {f"sigma_{axis}": (0.4, 1.0) for axis in "xyz"[:dims]}
    return Compose(
        [
            *flips,
            RandAffined(
                keys,
                prob=0.5,
                rotate_range=_turns(spacing_mm),
                scale_range=(0.2,) * dims,
                translate_range=(4,) * dims,
                shear_range=(0.08,) * (dims * (dims - 1)),
                mode=(3, "nearest"),  # splines: linear interpolation would blur what the model must see sharply
                padding_mode="zeros",
            ),
            RandGaussianNoised("image", prob=0.2, std=0.15),
            RandGaussianSmoothd("image", prob=0.15, **sigmas),
            RandScaleIntensityd("image", factors=0.3, prob=0.3),
            RandShiftIntensityd("image", offsets=0.3, prob=0.3),
            RandSimulateLowResolutiond(
                "image", prob=0.1, zoom_range=(0.5, 1.0), downsample_mode="area", upsample_mode=upsampling
            ),
            RandAdjustContrastd("image", prob=0.4, gamma=(0.6, 1.7), retain_stats=True),
            RandBiasFieldd("image", degree=2, coeff_range=(0.0, 0.3), prob=0.2),
            EnsureTyped(keys, track_meta=False),
        ]
    )


def augmentation_for(manifest: ModelManifest) -> Compose:
    """Compose the changes along a model's own axes."""
    across = None if manifest.slices is None else manifest.slices.axis
    axes = [axis for axis in range(3) if axis != across]
    spacing = manifest.spacing_mm or (1.0, 1.0, 1.0)
    return augmentation(
        [axes.index(axis) for axis in manifest.mirror_axes if axis in axes], spacing_mm=[spacing[n] for n in axes]
    )


def _turns(spacing_mm: Sequence[float]) -> tuple[float, ...]:
    """Largest angle about each axis; one angle in 2D."""
    if len(spacing_mm) == 2:
        return (np.pi / 8,)
    thick = [mm >= _THICK * min(spacing_mm) for mm in spacing_mm]
    return tuple(np.pi / 8 if not any(thick) or thick[axis] else 0.0 for axis in range(3))
