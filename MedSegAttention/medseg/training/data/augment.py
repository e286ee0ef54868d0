"""How often and how far training patches are changed at random; and one patch at a time, by MONAI's transforms.

Whole batches are changed with the same ranges in :mod:`medseg.training.data.augment_batch`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
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
from numpy.typing import NDArray
from torch import Tensor

from medseg.spec.manifest import ModelManifest

_MARK = "sides"  # what is flipped with a patch, and says so afterwards
_LARGEST_TURN = math.pi / 8
_THICK = 3.0  # an axis with voxels this many times longer than the others is not tilted


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """Chances, each of one patch, and ranges that are drawn from evenly.

    Attributes:
        turns: largest angle in radians about each axis; one angle in 2D.
        mirror_axes: axes that may be flipped; flipping axis 0 of a RAS model teaches it both sides of the body.
        sides_axis: the one of them along which left and right lie, where labels have a side; None: none has.
        exchange: for each label the one that it becomes when that axis is flipped.
    """

    turns: tuple[float, ...] = (_LARGEST_TURN,) * 3
    mirror_axes: tuple[int, ...] = ()
    sides_axis: int | None = None
    exchange: tuple[int, ...] = ()
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


def ranges_for(manifest: ModelManifest, known: Iterable[NDArray[np.bool_]] = ()) -> Ranges:
    """Ranges along a model's own axes; left and right change places only where its manifest lists the axis.

    Labels that have a side then become their counterparts, so that a flipped patch is labelled rightly.

    Args:
        manifest: of the model.
        known: which labels the expert of each case looked for, ``(L,)``; where one looked for one side alone, left and
            right stay where they are.
    """
    across = None if manifest.slices is None else manifest.slices.axis
    axes = [axis for axis in range(3) if axis != across]
    spacing = manifest.spacing_mm or (1.0, 1.0, 1.0)
    sided, order = manifest.side_exchange or (None, ())
    lopsided = sided is not None and any((each != each[list(order)]).any() for each in known)
    mirrored = [axis for axis in manifest.mirror_axes if axis in axes and not (lopsided and axis == sided)]
    found = ranges([axes.index(axis) for axis in mirrored], spacing_mm=[spacing[axis] for axis in axes])
    return found if sided not in mirrored else replace(found, sides_axis=axes.index(sided), exchange=tuple(order))


def augmentation(ranges: Ranges) -> Compose:
    """Compose the random changes of one patch.

    Takes and returns a dictionary with ``image`` ``(C, I, J, K)`` and ``labels`` ``(1, I, J, K)``, or both in 2D.
    """
    keys, dims = ("image", "labels"), ranges.dims
    flips: list[Any] = [RandFlipd(keys, prob=ranges.mirror, spatial_axis=axis) for axis in ranges.mirror_axes]
    if ranges.sides_axis is not None:
        marked = (*keys, _MARK)
        flips = [
            partial(_mark, axis=ranges.sides_axis, dims=dims),
            *(RandFlipd(marked, prob=ranges.mirror, spatial_axis=axis) for axis in ranges.mirror_axes),
            partial(_exchange, table=exchange_table(ranges.exchange)),
        ]
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


def exchange_table(exchange: Sequence[int]) -> Tensor:
    """``(256,)`` what each value of a labelmap becomes on the other side; those that are no label stay."""
    table = torch.arange(256)
    table[: len(exchange)] = torch.tensor(exchange)
    return table


def _mark(patch: dict[str, Any], *, axis: int, dims: int) -> dict[str, Any]:
    """Add what is 0 at the beginning of an axis until it is flipped."""
    return {**patch, _MARK: np.indices((2,) * dims)[axis][None].astype(np.float32)}


def _exchange(patch: dict[str, Any], *, table: Tensor) -> dict[str, Any]:
    """Let labels become their counterparts where left and right were flipped."""
    mark = patch.pop(_MARK)
    if float(mark.flatten()[0]) > 0:
        labels = torch.as_tensor(patch["labels"])
        patch["labels"] = table[labels.long()].to(labels.dtype)
    return patch
