"""Where samples lie along an axis: what comes back is what ITK interpolates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.imaging.axis_samples import axis_samples
from medseg.imaging.image import Image
from medseg.imaging.steps import Resample

sizes = st.tuples(*[st.integers(1, 9)] * 3)


@settings(max_examples=60, deadline=None)
@given(source=sizes, target=sizes, seed=st.integers(0, 9))
def test_interpolating_axis_by_axis_equals_the_undo_of_the_resampling(source, target, seed):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * [0.7, 1.1, 3.0]
    affine[:3, 3] = rng.normal(size=3) * 100
    resample = Resample.to_shape(Image(np.zeros((1, *source)), affine), target)
    array = rng.normal(size=target)
    expected = resample.undo(Image(array[None].astype(np.float32), resample.affine)).array[0]
    found = array.astype(np.float32).astype(np.float64)
    for axis, along in enumerate(axis_samples(resample)):
        share = along.fraction.reshape([-1 if other == axis else 1 for other in range(3)])
        found = found.take(along.lower, axis) * (1 - share) + found.take(along.upper, axis) * share
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_an_axis_that_keeps_its_voxels_is_no_interpolation():
    resample = Resample.to_shape(Image(np.zeros((1, 4, 6, 8))), (4, 3, 8))
    i, j, k = axis_samples(resample)
    assert (i.is_identity, j.is_identity, k.is_identity) == (True, False, True)
    np.testing.assert_array_equal(i.fraction, 0)
    np.testing.assert_array_equal(j.lower, [0, 0, 0, 1, 1, 2])
    np.testing.assert_array_equal(j.upper, [1, 1, 1, 2, 2, 2])
    assert j.fraction.tolist() == pytest.approx([0, 0.25, 0.75, 0.25, 0.75, 0.25])
