import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg.imaging.intensity import as_finite, normalise
from medseg.spec.manifest import IntensityRule

RULES = [
    IntensityRule(kind="none"),
    IntensityRule(kind="zscore"),
    IntensityRule(kind="zscore", nonzero_only=True),
    IntensityRule(kind="clip_zscore", lower=-100, upper=300, mean=50, std=20),
    IntensityRule(kind="clip_unit", lower=-1000, upper=1000),
    IntensityRule(kind="percentile", lower=0.5, upper=99.5),
]


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(40, 300, size=(2, 6, 7, 8))


def test_zscore_has_mean_0_and_deviation_1_per_channel(array):
    array[1] *= 1000
    result = normalise(array, RULES[1]).astype(np.float64)
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(result.std(axis=(1, 2, 3)), 1, atol=1e-6)


def test_zscore_of_a_two_valued_image_is_plus_minus_one():
    array = np.tile(np.array([10, 30], dtype=np.int16), (1, 4, 4, 2))
    np.testing.assert_array_equal(normalise(array, RULES[1]), np.where(array == 30, 1.0, -1.0))


def test_zscore_of_nonzero_voxels_leaves_zeros_alone(array):
    array[:, :3] = 0
    result = normalise(array, RULES[2]).astype(np.float64)
    assert (result[:, :3] == 0).all()
    np.testing.assert_allclose(result[:, 3:].mean(axis=(1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(result[:, 3:].std(axis=(1, 2, 3)), 1, atol=1e-6)


def test_clip_zscore_is_its_formula(array):
    np.testing.assert_allclose(normalise(array, RULES[3]), (array.clip(-100, 300) - 50) / 20, rtol=1e-5, atol=1e-5)


def test_clip_unit_is_its_formula(array):
    result = normalise(array, RULES[4])
    np.testing.assert_allclose(result, (array.clip(-1000, 1000) + 1000) / 2000, atol=1e-6)


def test_percentiles_become_0_and_1():
    array = np.arange(1001, dtype=np.float64).reshape(1, 7, 11, 13)
    result = normalise(array, IntensityRule(kind="percentile", lower=10, upper=60))
    np.testing.assert_allclose(result, ((array - 100) / 500).clip(0, 1), atol=1e-6)


def test_none_keeps_the_values(array):
    np.testing.assert_array_equal(normalise(array, RULES[0]), array.astype(np.float32))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_the_input_is_never_changed(array, rule):
    array = array.astype(np.float32)
    before = array.copy()
    normalise(array, rule)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("value", [0.0, 0.1, -1024.0, 1e30])
@pytest.mark.parametrize("rule", [RULES[1], RULES[2], RULES[5]], ids=lambda rule: rule.kind)
def test_a_constant_image_becomes_zero(rule, value):
    assert (normalise(np.full((1, 3, 4, 5), value), rule) == 0).all()


def test_statistics_ignore_voxels_that_are_not_finite(array):
    spoiled = array.copy()
    spoiled[:, 0, 0, :4] = [np.nan, np.inf, -np.inf, np.nan]
    good = np.isfinite(spoiled)
    result = normalise(spoiled, RULES[1])
    for channel in range(2):
        kept = array[channel][good[channel]]
        expected = (array[channel] - kept.mean()) / kept.std()
        np.testing.assert_allclose(result[channel][good[channel]], expected[good[channel]], rtol=1e-4, atol=1e-5)
        extremes = [result[channel][good[channel]].min(), result[channel][good[channel]].max()]
        np.testing.assert_array_equal(result[channel, 0, 0, :3], [extremes[0], extremes[1], extremes[0]])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
@given(
    array=arrays(
        st.sampled_from([np.float32, np.float64]),
        (1, 2, 3, 2),
        elements=st.sampled_from([0.0, -0.0, 1.0, -3.5, 1e-30, 1e30, -1e30, 3e38, np.nan, np.inf, -np.inf]),
    )
)
@settings(max_examples=60, deadline=None)
def test_nothing_ever_comes_out_as_nan_or_infinity(array, rule):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = normalise(array, rule)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()


def test_values_beyond_float32_are_limited():
    np.testing.assert_array_equal(
        as_finite(np.array([1e300, -1e300, 2.0, np.nan]).reshape(1, 1, 2, 2)).ravel(),
        np.array([1e38, -1e38, 2.0, -1e38], dtype=np.float32),
    )
