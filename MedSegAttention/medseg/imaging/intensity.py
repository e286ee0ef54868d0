"""Intensities: from whatever the scanner wrote to what the network was trained on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.spec.manifest import IntensityRule

_LARGEST = 1e38  # differences of two such values still fit float32


def as_finite(array: NDArray[Any]) -> NDArray[np.float32]:
    """Copy to float32 with every voxel finite.

    Per channel, NaN becomes the smallest finite value and an infinity the nearest finite extreme; a channel without
    a finite voxel becomes 0. Finite values are limited to +-1e38.

    Args:
        array: ``(C, I, J, K)``, any real dtype.

    Returns:
        ``(C, I, J, K)`` float32; a new array.
    """
    if not np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    result = np.empty(array.shape, dtype=np.float32)
    for channel, target in zip(array, result, strict=True):
        usable = _usable(channel)
        finite = channel if usable is None else channel[usable]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        np.nan_to_num(channel, nan=low, posinf=high, neginf=low).clip(-_LARGEST, _LARGEST, out=target, casting="unsafe")
    return result


def normalise(array: NDArray[Any], rule: IntensityRule) -> NDArray[np.float32]:
    """Apply a model's intensity rule to every channel by itself.

    Statistics are taken over the finite voxels in float64, slab by slab. A constant channel becomes 0 under
    ``zscore`` and ``percentile``; so does one whose two percentiles coincide. Voxels that are not finite are treated
    as in ``as_finite``.

    * ``none``: the values as they are.
    * ``zscore``: minus the mean, over the standard deviation; with ``nonzero_only`` both are of the voxels that
      are not 0, and voxels that are 0 stay 0.
    * ``clip_zscore``: clipped to ``lower..upper``, minus ``mean``, over ``std``.
    * ``clip_unit``: ``lower..upper`` becomes 0..1, clipped.
    * ``percentile``: the image's own percentiles ``lower..upper`` become 0..1, clipped.

    Args:
        array: ``(C, I, J, K)``, any real dtype.
        rule: from the manifest; complete and in order since it was built.

    Returns:
        ``(C, I, J, K)`` float32 without NaN or infinity; a new array.
    """
    result = as_finite(array)
    for channel, values in zip(array, result, strict=True):
        usable = _usable(channel)  # voxels that statistics may use; None: all
        if rule.kind == "zscore":
            if rule.nonzero_only:
                usable = values != 0 if usable is None else usable & (values != 0)
            centre, scale = _moments(values, usable)
            _rescale(values, -np.inf, np.inf, centre, scale, usable if rule.nonzero_only else None)
        elif rule.kind == "clip_zscore":
            _rescale(values, _number(rule.lower), _number(rule.upper), _number(rule.mean), _number(rule.std))
        elif rule.kind == "clip_unit":
            lower, upper = _number(rule.lower), _number(rule.upper)
            _rescale(values, lower, upper, lower, upper - lower)
        elif rule.kind == "percentile":
            lower, upper = _percentiles(values, usable, _number(rule.lower), _number(rule.upper))
            _rescale(values, lower, upper, lower, upper - lower)
    return result


def _rescale(
    values: NDArray[np.float32],
    lower: float,
    upper: float,
    centre: float,
    scale: float,
    only: NDArray[np.bool_] | None = None,
) -> None:
    """Clip, centre and scale in place, in float64 one slab at a time; a scale of 0 gives 0."""
    for n, slab in enumerate(values):
        changed = (slab.astype(np.float64).clip(lower, upper) - centre) / scale if scale > 0 else np.zeros(slab.shape)
        changed = changed.clip(-_LARGEST, _LARGEST)
        slab[...] = changed if only is None else np.where(only[n], changed, 0.0)


def _moments(values: NDArray[np.float32], usable: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Mean and standard deviation in float64; exactly 0 deviation for a constant, whatever the rounding."""
    slabs = [slab if usable is None else slab[usable[n]] for n, slab in enumerate(values)]
    count = sum(slab.size for slab in slabs)
    if count == 0:
        return 0.0, 0.0
    low = min(float(slab.min()) for slab in slabs if slab.size)
    high = max(float(slab.max()) for slab in slabs if slab.size)
    if low == high:
        return low, 0.0
    mean = sum(float(slab.sum(dtype=np.float64)) for slab in slabs) / count
    square = sum(float(np.square(slab.astype(np.float64) - mean).sum()) for slab in slabs)
    return mean, float(np.sqrt(square / count))


def _percentiles(
    values: NDArray[np.float32], usable: NDArray[np.bool_] | None, lower: float, upper: float
) -> tuple[float, float]:
    """Two percentiles of the usable voxels; 0, 0 when there is none."""
    chosen = values if usable is None else values[usable]
    if chosen.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(chosen, [lower, upper])
    return float(low), float(high)


def _usable(channel: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Mark the finite voxels; None when all are, which is nearly always and saves an array."""
    if not np.issubdtype(channel.dtype, np.floating):
        return None
    finite = np.isfinite(channel)
    return None if finite.all() else finite


def _number(value: float | None) -> float:
    """Unwrap a number the rule was refused without."""
    return 0.0 if value is None else float(value)
