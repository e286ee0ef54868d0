"""A MONAI rule refuses what cannot be run, and says which field."""

import pytest

from medseg.spec.errors import ManifestError
from medseg.spec.monai import ForegroundRule, IntensityStep, MonaiRule

SCALE = IntensityStep(kind="scale")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"kind": "gamma"}, "kind: expected one of normalise"),
        ({"kind": "range", "lower": 1.0}, "upper: expected a finite number"),
        ({"kind": "range", "lower": 1.0, "upper": 1.0}, "upper: expected more than lower"),
        ({"kind": "scale", "mean": 1.0}, "mean: expected nothing"),
        ({"kind": "scale", "low": 1.0}, "high: expected a number together with low"),
        ({"kind": "percentiles", "lower": -1.0, "upper": 99.0}, "lower: expected percents"),
        ({"kind": "normalise", "std": 0.0}, "std: expected a number that is not 0"),
        ({"kind": "normalise", "mean": float("nan")}, "mean: expected a finite number"),
    ],
)
def test_an_impossible_step_is_refused(fields, reason):
    with pytest.raises(ManifestError, match=reason):
        IntensityStep(**fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"blend": "cosine"}, "blend: expected one of gaussian"),
        ({"padding": "edge"}, "padding: expected one of constant"),
        ({"answers": "masks"}, "answers: expected one of probabilities"),
        ({"resize": "cubic"}, "resize: expected one of no, linear, area"),
        ({"steps": (SCALE,), "resampled_after": 2}, "resampled_after: expected a number of steps, 0..1"),
        ({"empty_channels": -1}, "empty_channels: expected an integer from 0"),
        ({"steps": (SCALE,), "foreground": ForegroundRule(after=1)}, "foreground: expected 0..0 steps, before"),
        ({"foreground": ForegroundRule(after=1, resampled=True)}, "foreground: expected 0..0 steps, after"),
    ],
)
def test_an_impossible_rule_is_refused(fields, reason):
    with pytest.raises(ManifestError, match=reason):
        MonaiRule(**fields)


@pytest.mark.parametrize("fields", [{"after": -1}, {"after": 0, "margin": -1}])
def test_a_foreground_with_numbers_below_0_is_refused(fields):
    with pytest.raises(ManifestError, match="expected an integer from 0"):
        ForegroundRule(**fields)
