"""MONAI's preprocessing: turned or not, intensities changed in the bundle's order, cropped to what is above 0."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.imaging.image import Image, Shape
from medseg.imaging.intensity import as_finite
from medseg.imaging.monai_resample import Back, MonaiResample
from medseg.imaging.steps import Crop, Reorient
from medseg.spec.monai import IntensityStep, MonaiRule

_BACK: dict[str, Back] = {"probabilities": "linear", "logits": "linear", "labels": "nearest"}


def turn_as_monai(image: Image, orientation: str, rule: MonaiRule) -> Reorient:
    """Bring the axes of an image into the network's order; they stay where the bundle has no ``Orientation``."""
    if rule.reorients:
        return Reorient.to_orientation(image, orientation)
    return Reorient(
        axes=(0, 1, 2),
        reversed_axes=(False, False, False),
        source_shape=image.shape,
        source_affine=image.affine,
    )


def plan_monai_grid(
    image: Image, spacing_mm: tuple[float, float, float] | None, window: Shape, rule: MonaiRule, factor: float = 1.0
) -> MonaiResample:
    """Plan the network's grid for an image that is turned and cropped.

    Args:
        image: ``(C, I, J, K)``.
        spacing_mm: of the network; None: the image's own.
        window: voxels of a window, to which images are resized where the rule says so; 1 across slices.
        rule: of the model.
        factor: voxels so many times larger, for a quick preview; not where images are resized.

    Raises:
        ImageError: if the image would become absurdly large.
    """
    if rule.resize != "no":
        i, j, k = (size if wanted == 1 else wanted for size, wanted in zip(image.shape, window, strict=True))
        back: Back = "area" if rule.resize == "area" and rule.answers != "labels" else _BACK[rule.answers]
        return MonaiResample.to_monai_size(image, (i, j, k), rule.resize, back)
    a, b, c = spacing_mm or image.spacing
    return MonaiResample.to_monai_spacing(image, (a * factor, b * factor, c * factor), _BACK[rule.answers])


def crop_before(turned: Image, rule: MonaiRule) -> Crop:
    """The box to which a turned image is cropped before it is resampled: its foreground, or all of it."""
    box = rule.foreground
    if box is None or box.resampled:
        return Crop.to_box(turned, (0, 0, 0), turned.shape)
    array = as_finite(turned.array)
    for step in rule.steps[: box.after]:
        _change(array, step)
    return foreground(Image(array, turned.affine), box.margin)


def cropped_grid(cut: Image, resample: MonaiResample, rule: MonaiRule) -> MonaiResample:
    """The grid without what lies outside the foreground, where the bundle crops after it resampled.

    Args:
        cut: the image, turned and cropped.
        resample: to the whole grid.
        rule: of the model.
    """
    box = rule.foreground
    if box is None or not box.resampled:
        return resample
    array = as_finite(cut.array)
    for step in rule.steps[: rule.resampled_after]:
        _change(array, step)
    sampled = resample.apply(Image(array, cut.affine))
    values = sampled.array.copy() if resample.is_identity else sampled.array
    for step in rule.steps[rule.resampled_after : box.after]:
        _change(values, step)
    return resample.kept(foreground(Image(values, sampled.affine), box.margin))


def prepared_as_monai(turned: Image, crop: Crop, resample: MonaiResample, rule: MonaiRule) -> Image:
    """Change intensities, crop and resample, in the bundle's order.

    Args:
        turned: ``(C, I, J, K)``.
        crop: of it: a region, or ``crop_before``.
        resample: of the cropped image.
        rule: of the model.

    Returns:
        float32, with the rule's empty channels after the image's.
    """
    box = rule.foreground
    first = box.after if box is not None and not box.resampled else 0
    image = _after(turned, rule.steps[:first])
    image = _after(crop.apply(image), rule.steps[first : rule.resampled_after])
    if box is None or not box.resampled:
        image = _after(resample.apply(image), rule.steps[rule.resampled_after :])
    else:
        whole = resample.on_whole_grid()
        image = _after(whole.apply(image), rule.steps[rule.resampled_after : box.after])
        i, j, k = (start + size for start, size in zip(resample.start, resample.shape, strict=True))
        cut = Crop.to_box(image, resample.start, (i, j, k)).apply(image)
        image = _after(cut, rule.steps[box.after :])
    if not rule.empty_channels:
        return image
    empty = np.zeros((rule.empty_channels, *image.shape), dtype=np.float32)
    return Image(np.concatenate([image.array, empty]), image.affine)


def foreground(image: Image, margin: int) -> Crop:
    """The box of the voxels above 0 in some channel, and a margin; the whole image where there is none."""
    mask = np.zeros(image.shape, dtype=np.bool_)
    for channel in image.array:
        mask |= channel > 0
    start, stop = [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        along = np.flatnonzero(mask.any(axis=others))
        if not len(along):
            return Crop.to_box(image, (0, 0, 0), image.shape)
        start.append(max(0, int(along[0]) - margin))
        stop.append(min(image.shape[axis], int(along[-1]) + 1 + margin))
    return Crop.to_box(image, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _after(image: Image, steps: tuple[IntensityStep, ...]) -> Image:
    """A copy with its values changed, finite and in single precision."""
    array = as_finite(image.array)
    for step in steps:
        _change(array, step)
    return Image(array, image.affine)


def _change(array: NDArray[np.float32], step: IntensityStep) -> None:
    """Change values ``(C, i, j, k)`` in place."""
    parts = list(array) if step.by_channel else [array]
    for values in parts:
        match step.kind:
            case "normalise":
                _normalise(values, step)
            case "scale":
                low, high = float(values.min()), float(values.max())
                wanted = (0.0, 1.0) if step.low is None or step.high is None else (step.low, step.high)
                if low == high:
                    values *= wanted[0]
                else:
                    _stretch(values, low, high, *wanted)
            case "range" | "percentiles":
                low, high = float(step.lower or 0), float(step.upper or 0)
                if step.kind == "percentiles":
                    low, high = map(float, np.percentile(values, [low, high]))
                _range(values, low, high, step)


def _range(values: NDArray[np.float32], low: float, high: float, step: IntensityStep) -> None:
    wanted = (0.0, 1.0) if step.low is None or step.high is None else (step.low, step.high)
    if low == high:  # of an image with one value
        values -= np.float32(low - (step.low or 0.0))
        return
    _stretch(values, low, high, *wanted)
    if step.clip:
        np.clip(values, *wanted, out=values)


def _stretch(values: NDArray[np.float32], low: float, high: float, to_low: float, to_high: float) -> None:
    values -= np.float32(low)
    values /= np.float32(high - low)
    if (to_low, to_high) != (0.0, 1.0):
        values *= np.float32(to_high - to_low)
        values += np.float32(to_low)


def _normalise(values: NDArray[np.float32], step: IntensityStep) -> None:
    chosen: Any = values != 0 if step.nonzero else ...
    part = values[chosen]
    if part.size == 0:
        return
    mean = float(part.mean(dtype=np.float64)) if step.mean is None else step.mean
    std = float(part.std(dtype=np.float64)) if step.std is None else step.std
    values[chosen] = (part - np.float32(mean)) / np.float32(std or 1.0)
