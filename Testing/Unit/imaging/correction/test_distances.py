"""Distances and smoothing against SciPy, and strokes against the definition in the world."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from medseg.imaging.correction.distances import distance_to, signed_distance, smooth
from medseg.imaging.correction.stroke_box import paint, stroke_box
from Unit.imaging.correction.drawn import SHAPE, affines

SPACINGS = st.tuples(*[st.floats(0.3, 7)] * 3)
MASKS = arrays(bool, SHAPE)
CAP = 12.0


@settings(deadline=None)
@given(MASKS, SPACINGS)
def test_distances_are_those_of_scipy_up_to_the_cap(mask, spacing):
    if not mask.any():
        assert (distance_to(mask, spacing, CAP) == CAP).all()
        return
    true = ndimage.distance_transform_edt(~mask, sampling=spacing)
    np.testing.assert_allclose(distance_to(mask, spacing, CAP), np.minimum(true, CAP), rtol=1e-5)


@settings(deadline=None)
@given(MASKS, SPACINGS)
def test_a_signed_distance_changes_its_sign_with_the_mask(mask, spacing):
    found = signed_distance(mask, spacing, CAP)
    assert (found[mask] < 0).all()
    assert (found[~mask] > 0).all()
    np.testing.assert_array_equal(found, -signed_distance(~mask, spacing, CAP))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), SPACINGS, st.floats(0.5, 2))
def test_smoothing_is_scipys_cut_at_three_deviations(seed, spacing, sigma):
    array = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    voxels = [sigma / mm for mm in spacing]
    radius = [int(3 * each + 0.5) for each in voxels]
    if max(r - n for r, n in zip(radius, SHAPE, strict=True)) >= 0:
        return
    true = ndimage.gaussian_filter(array, voxels, mode="nearest", radius=radius)
    np.testing.assert_allclose(smooth(array, spacing, sigma), true, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(affines(sheared=True), st.floats(0, 6), st.integers(0, 2**32 - 1))
def test_a_stroke_has_the_voxels_within_its_radius_and_those_that_hold_its_points(affine, radius, seed):
    exact = np.random.default_rng(seed).uniform(-2, 14, (3, 3))
    points = exact @ affine[:3, :3].T + affine[:3, 3]
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    places = grid @ affine[:3, :3].T + affine[:3, 3]
    far = np.min([np.linalg.norm(places - point, axis=-1) for point in points], axis=0)
    wanted = far <= radius
    for voxel in np.floor(exact + 0.5).astype(int):
        if ((voxel >= 0) & (voxel < SHAPE)).all():
            wanted[tuple(voxel)] = True
    found = np.zeros(SHAPE, bool)
    found[tuple(paint(points.tolist(), radius, SHAPE, affine).T)] = True
    edge = np.abs(far - radius) < 1e-6  # a rounding either way
    assert (found == wanted)[~edge].all()


@settings(deadline=None, max_examples=30)
@given(affines(sheared=True), st.floats(1, 30))
def test_the_box_of_a_stroke_holds_all_that_is_within_its_reach(affine, reach):
    voxels = np.array([[3, 4, 5], [4, 4, 5]])
    place = stroke_box(voxels, reach, 5.0, SHAPE, affine)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    far = np.min([np.linalg.norm((grid - voxel) @ affine[:3, :3].T, axis=-1) for voxel in voxels], axis=0)
    outside = np.ones(SHAPE, bool)
    outside[place.box] = False
    assert (far[outside] > reach).all()
    inside = np.minimum(far[place.box], reach)
    np.testing.assert_allclose(np.minimum(place.distance, reach), inside, atol=1e-3)
