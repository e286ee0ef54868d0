"""Random changes of one patch at a time, by MONAI's transforms in the processes that cut patches."""

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

from medseg.training.data.augment_ranges import Ranges


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
