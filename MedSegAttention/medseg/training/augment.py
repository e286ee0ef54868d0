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
    RandSpatialCropd,
    SpatialPadd,
)


def augmentation(window_shape: Sequence[int], mirror_axes: Sequence[int]) -> Compose:
    """Compose the transforms from a prepared case to one training patch.

    Takes and returns a dictionary with ``image`` ``(C, I, J, K)`` and ``labels`` ``(1, I, J, K)``; the patch has the
    shape of the window. Smaller volumes are padded with 0, as at inference.

    Args:
        window_shape: voxels of the patch.
        mirror_axes: axes flipped half of the time; flipping axis 0 of a RAS model teaches it both sides of the body.
    """
    keys = ("image", "labels")
    flips = [RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in mirror_axes]
    return Compose(
        [
            SpatialPadd(keys, tuple(window_shape)),
            RandSpatialCropd(keys, tuple(window_shape), random_size=False),
            *flips,
            RandAffined(
                keys,
                prob=0.5,
                rotate_range=(np.pi / 8,) * 3,
                scale_range=(0.2,) * 3,
                translate_range=(4,) * 3,
                shear_range=(0.08,) * 6,
                mode=(3, "nearest"),  # splines: linear interpolation would blur what the model must see sharply
                padding_mode="zeros",
            ),
            RandGaussianNoised("image", prob=0.2, std=0.15),
            RandGaussianSmoothd("image", prob=0.15, sigma_x=(0.4, 1.0), sigma_y=(0.4, 1.0), sigma_z=(0.4, 1.0)),
            RandScaleIntensityd("image", factors=0.3, prob=0.3),
            RandShiftIntensityd("image", offsets=0.3, prob=0.3),
            RandAdjustContrastd("image", prob=0.4, gamma=(0.6, 1.7), retain_stats=True),
            RandBiasFieldd("image", degree=2, coeff_range=(0.0, 0.3), prob=0.2),
            EnsureTyped(keys, track_meta=False),
        ]
    )
