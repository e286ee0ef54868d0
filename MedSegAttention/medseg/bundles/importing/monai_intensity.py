"""One of MONAI's intensity transforms as an ``IntensityRule``."""

from collections.abc import Callable, Mapping
from typing import Any

from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntensityRule

_UNLIMITED = 1e9  # bounds of a rule that clips nothing a scanner writes

INTENSITY_STEPS = frozenset({
    "AdjustContrast", "ClipIntensityPercentiles", "GaussianSmooth", "HistogramNormalize", "MaskIntensity",
    "MedianSmooth", "NormalizeIntensity", "ScaleIntensity", "ScaleIntensityFixedMean", "ScaleIntensityRange",
    "ScaleIntensityRangePercentiles", "ShiftIntensity", "StdShiftIntensity", "ThresholdIntensity",
})  # fmt: skip
"""Names of the transforms, without ``d``, that change values."""


class UnknownRule(ManifestError):
    """A transform, or a use of one, that no ``IntensityRule`` describes."""


def read_rule(name: str, arguments: Mapping[str, Any], channel_count: int) -> IntensityRule:
    """Translate a transform.

    Args:
        name: one of ``INTENSITY_STEPS``.
        arguments: literal values of the transform's arguments, defaults left out.
        channel_count: of the image; what MONAI does over all channels together is what we do for one.

    Raises:
        UnknownRule: when no rule computes the same.
    """
    if name not in _TRANSLATIONS:
        msg = "no intensity rule does this"
        raise UnknownRule(msg)
    try:
        return _TRANSLATIONS[name](arguments, channel_count)
    except (ManifestError, TypeError, ValueError, KeyError, ZeroDivisionError) as error:
        msg = str(error) if isinstance(error, ManifestError) else "its numbers are missing or impossible"
        raise UnknownRule(msg) from error


def _range(arguments: Mapping[str, Any], _: int) -> IntensityRule:
    lower, upper = float(arguments["a_min"]), float(arguments["a_max"])
    low, high = float(arguments["b_min"]), float(arguments["b_max"])
    clip = bool(arguments.get("clip", False))
    if clip and (low, high) == (0, 1):
        return IntensityRule(kind="clip_unit", lower=lower, upper=upper)
    std = (upper - lower) / (high - low)
    bounds = (lower, upper) if clip else (-_UNLIMITED, _UNLIMITED)
    return IntensityRule(kind="clip_zscore", lower=bounds[0], upper=bounds[1], mean=lower - low * std, std=std)


def _normalise(arguments: Mapping[str, Any], channel_count: int) -> IntensityRule:
    nonzero = bool(arguments.get("nonzero", False))
    subtrahend, divisor = (_only(arguments.get(key)) for key in ("subtrahend", "divisor"))
    if subtrahend is None and divisor is None:
        _require_channel_wise(arguments, channel_count)
        return IntensityRule(kind="zscore", nonzero_only=nonzero)
    if nonzero:
        msg = "fixed numbers over the voxels that are not 0"
        raise UnknownRule(msg)
    mean, std = float(subtrahend or 0), float(1 if divisor is None else divisor)
    return IntensityRule(kind="clip_zscore", lower=-_UNLIMITED, upper=_UNLIMITED, mean=mean, std=std)


def _percentiles(arguments: Mapping[str, Any], channel_count: int) -> IntensityRule:
    _require_channel_wise(arguments, channel_count)
    bounds = arguments.get("b_min"), arguments.get("b_max")
    if bounds != (0, 1) or not arguments.get("clip", False) or arguments.get("relative", False):
        msg = "not clipped to 0..1"
        raise UnknownRule(msg)
    return IntensityRule(kind="percentile", lower=float(arguments["lower"]), upper=float(arguments["upper"]))


def _unit(arguments: Mapping[str, Any], channel_count: int) -> IntensityRule:
    _require_channel_wise(arguments, channel_count)
    if (arguments.get("minv", 0), arguments.get("maxv", 1)) != (0, 1) or arguments.get("factor") is not None:
        msg = "not scaled to 0..1"
        raise UnknownRule(msg)
    return IntensityRule(kind="percentile", lower=0.0, upper=100.0)


def _require_channel_wise(arguments: Mapping[str, Any], channel_count: int) -> None:
    if channel_count > 1 and not arguments.get("channel_wise", False):
        msg = "statistics over all channels together"
        raise UnknownRule(msg)


def _only(value: Any) -> Any:
    """The one number of a list of one."""
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        msg = "another number for each channel"
        raise UnknownRule(msg)
    return value[0]


_TRANSLATIONS: dict[str, Callable[[Mapping[str, Any], int], IntensityRule]] = {
    "ScaleIntensityRange": _range,
    "NormalizeIntensity": _normalise,
    "ScaleIntensityRangePercentiles": _percentiles,
    "ScaleIntensity": _unit,
}
