"""One of MONAI's intensity transforms as an ``IntensityStep``."""

from collections.abc import Callable, Mapping
from typing import Any

from medseg.spec.errors import ManifestError
from medseg.spec.manifest import IntensityRule
from medseg.spec.monai import IntensityStep, StepKind

INTENSITY_STEPS = frozenset({
    "AdjustContrast", "ClipIntensityPercentiles", "GaussianSmooth", "HistogramNormalize", "MaskIntensity",
    "MedianSmooth", "NormalizeIntensity", "ScaleIntensity", "ScaleIntensityFixedMean", "ScaleIntensityRange",
    "ScaleIntensityRangePercentiles", "ShiftIntensity", "StdShiftIntensity", "ThresholdIntensity",
})  # fmt: skip
"""Names of the transforms, without ``d``, that change values."""


class UnknownStep(ManifestError):
    """A transform, or a use of one, that no ``IntensityStep`` describes."""


def read_intensity(name: str, arguments: Mapping[str, Any]) -> IntensityStep:
    """Translate a transform.

    Args:
        name: one of ``INTENSITY_STEPS``.
        arguments: literal values of the transform's arguments, defaults left out.

    Raises:
        UnknownStep: when no step computes the same.
    """
    if name not in _TRANSLATIONS:
        msg = "no intensity step does this"
        raise UnknownStep(msg)
    try:
        return _TRANSLATIONS[name](arguments)
    except (ManifestError, TypeError, ValueError, KeyError) as error:
        msg = str(error) if isinstance(error, ManifestError) else "its numbers are missing or impossible"
        raise UnknownStep(msg) from error


def steps_of(rule: IntensityRule) -> tuple[IntensityStep, ...]:
    """A manifest's intensity rule as steps, where a person chose it in the place of the bundle's."""
    if rule.kind == "zscore":
        return (IntensityStep(kind="normalise", nonzero=rule.nonzero_only, by_channel=True),)
    lower, upper = rule.lower, rule.upper
    if lower is None or upper is None:
        return ()
    low, high = 0.0, 1.0
    if rule.kind == "clip_zscore":
        low, high = ((bound - (rule.mean or 0.0)) / (rule.std or 1.0) for bound in (lower, upper))
    kind: StepKind = "percentiles" if rule.kind == "percentile" else "range"
    return (IntensityStep(kind=kind, lower=lower, upper=upper, low=low, high=high, clip=True, by_channel=True),)


def _range(arguments: Mapping[str, Any]) -> IntensityStep:
    low, high = arguments.get("b_min"), arguments.get("b_max")
    return IntensityStep(
        kind="range",
        lower=float(arguments["a_min"]),
        upper=float(arguments["a_max"]),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        clip=bool(arguments.get("clip", False)),
    )


def _normalise(arguments: Mapping[str, Any]) -> IntensityStep:
    mean, std = (_only(arguments.get(key)) for key in ("subtrahend", "divisor"))
    return IntensityStep(
        kind="normalise",
        mean=None if mean is None else float(mean),
        std=None if std is None else float(std),
        nonzero=bool(arguments.get("nonzero", False)),
        by_channel=bool(arguments.get("channel_wise", False)),
    )


def _percentiles(arguments: Mapping[str, Any]) -> IntensityStep:
    if arguments.get("relative", False):
        msg = "relative to the image's own range"
        raise UnknownStep(msg)
    low, high = arguments.get("b_min"), arguments.get("b_max")
    return IntensityStep(
        kind="percentiles",
        lower=float(arguments["lower"]),
        upper=float(arguments["upper"]),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        clip=bool(arguments.get("clip", False)),
        by_channel=bool(arguments.get("channel_wise", False)),
    )


def _scale(arguments: Mapping[str, Any]) -> IntensityStep:
    low, high = arguments.get("minv", 0.0), arguments.get("maxv", 1.0)
    if low is None or high is None or arguments.get("factor") is not None:
        msg = "not scaled between two numbers"
        raise UnknownStep(msg)
    by_channel = bool(arguments.get("channel_wise", False))
    return IntensityStep(kind="scale", low=float(low), high=float(high), by_channel=by_channel)


def _only(value: Any) -> Any:
    """The one number of a list of one."""
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        msg = "another number for each channel"
        raise UnknownStep(msg)
    return value[0]


_TRANSLATIONS: dict[str, Callable[[Mapping[str, Any]], IntensityStep]] = {
    "ScaleIntensityRange": _range,
    "NormalizeIntensity": _normalise,
    "ScaleIntensityRangePercentiles": _percentiles,
    "ScaleIntensity": _scale,
}
