"""Slices resized to a network's size and back: geometry known in closed form, nothing moves."""

import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.spec.errors import JobError
from medseg.spec.manifest import SliceRule
from planned import plan_blank, prepare
from Unit.imaging.restored import restored

SHAPE = (44, 41, 43)
WINDOWS = {0: (1, 30, 77), 1: (67, 1, 31), 2: (33, 59, 1)}  # smaller and larger than the slices, never a multiple


@pytest.fixture(params=[0, 1, 2], ids="ijk")
def axis(request):
    return request.param


@pytest.fixture
def resized(make_manifest, axis):
    return make_manifest(2, slices=SliceRule(axis=axis, fit="resize"), window_shape=WINDOWS[axis])


def two_labels(score):
    return np.stack([1 - score, score]).astype(np.float32)


def blob(centre, sigma=4.0):
    grid = np.indices(SHAPE).reshape(3, -1) - np.array(centre)[:, None]
    return np.exp(-(grid**2).sum(0) / (2 * sigma**2)).reshape(SHAPE).astype(np.float32)


def centroid(array):
    return (np.indices(array.shape) * array).reshape(3, -1).sum(1) / array.sum(dtype=np.float64)


@pytest.mark.parametrize("centre", [(19.3, 20.71, 21.1), (20.0, 19.5, 22.25), (22.17, 18.83, 20.5)])
def test_a_phantom_at_a_subvoxel_place_comes_back_without_a_shift(resized, axis, centre):
    phantom = blob(centre)
    prepared = prepare(Image(phantom[None], np.eye(4)), resized)
    size = list(WINDOWS[axis])
    size[axis] = SHAPE[axis]
    assert prepared.image.shape == tuple(size)
    back = restored(prepared, two_labels(prepared.image.array[0]))[1]
    np.testing.assert_allclose(centroid(phantom), centre, atol=2e-3)
    assert np.abs(centroid(back) - centroid(phantom)).max() < 0.01
    np.testing.assert_allclose(centroid(prepared.image.array[0])[axis], centre[axis], atol=2e-3)


def test_the_edge_between_two_halves_stays_where_it_is_to_a_hundredth_of_a_voxel(resized, axis):
    """Where a smooth step crosses 0.5 is read off both volumes by interpolation."""
    plane = next(a for a in range(3) if a != axis)
    middle = SHAPE[plane] / 2 + 0.3
    profile = 1 / (1 + np.exp(-(np.arange(SHAPE[plane]) - middle) / 2))
    step = np.broadcast_to(profile.reshape([-1 if a == plane else 1 for a in range(3)]), SHAPE).astype(np.float32)
    prepared = prepare(Image(step[None].copy(), np.eye(4)), resized)
    back = restored(prepared, two_labels(prepared.image.array[0]))[1]
    lines = np.moveaxis(back, plane, -1).reshape(-1, SHAPE[plane])
    for line in lines[:: len(lines) // 50]:
        assert abs(np.interp(0.5, line, np.arange(SHAPE[plane])) - middle) < 0.01
    labels = prepared.restore_labels(two_labels(prepared.image.array[0]))
    np.testing.assert_array_equal(labels, step > 0.5)


def test_a_ramp_comes_back_exactly_away_from_the_border(resized, axis):
    i, j, k = np.indices(SHAPE)
    ramp = ((0.3 * i + 0.5 * j - 0.2 * k) / 40).astype(np.float32)
    prepared = prepare(Image(ramp[None], np.eye(4)), resized)
    back = restored(prepared, two_labels(prepared.image.array[0]))[1]
    inner = tuple(slice(4, -4) if a != axis else slice(None) for a in range(3))
    np.testing.assert_allclose(back[inner], ramp[inner], atol=1e-5)


@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_linear_scores_return_exactly_to_every_orientation_and_spacing(
    all_orientations, make_affine, resized, world, degrees
):
    shape = (9, 8, 7)
    for order, signs in all_orientations:
        affine = make_affine(order, signs, spacing=(0.7, 1.2, 3.0), degrees=degrees)
        prepared = prepare(Image(np.zeros((1, *shape), np.int16), affine), resized)
        x, y, z = world(prepared.image.shape, prepared.image.affine)
        back = restored(prepared, (0.01 * x - 0.02 * y + 0.005 * z)[None].astype(np.float32))[0]
        x, y, z = world(shape, affine)
        inner = (slice(1, -1),) * 3  # shrunk slices end half a voxel of theirs before the border
        np.testing.assert_allclose(back[inner], (0.01 * x - 0.02 * y + 0.005 * z)[inner], atol=2e-5)


def test_the_spacing_across_the_slices_is_the_models_and_a_preview_takes_fewer_slices(make_manifest):
    manifest = make_manifest(
        2, slices=SliceRule(axis=2, fit="resize"), window_shape=(32, 20, 1), spacing_mm=(1.0, 1.0, 4.0)
    )
    image = Image(np.zeros((1, 30, 30, 24)), np.diag([1.0, 1.0, 2.0, 1.0]))
    assert prepare(image, manifest).image.shape == (32, 20, 12)
    assert prepare(image, manifest, spacing_factor=2.0).image.shape == (32, 20, 6)
    np.testing.assert_allclose(prepare(image, manifest).image.spacing, (30 / 32, 30 / 20, 4.0))


def test_a_slice_slightly_larger_than_a_large_window_is_resized_too(make_manifest):
    manifest = make_manifest(2, slices=SliceRule(axis=0, fit="resize"), window_shape=(1, 2000, 4))
    assert prepare(Image(np.zeros((1, 2, 2001, 4)), np.eye(4)), manifest).image.shape == (2, 2000, 4)


def test_the_network_sees_whole_slices_of_a_region_and_the_answer_ends_at_the_region(make_manifest):
    manifest = make_manifest(2, slices=SliceRule(axis=2, fit="resize"), window_shape=(20, 24, 1))
    image = Image(np.random.default_rng(0).random((1, 30, 36, 12)), np.eye(4))
    roi = (4.6, 12.4, 9.6, 20.4, 2.6, 6.4)  # voxels 5..12, 10..20, 3..6
    whole, part = prepare(image, manifest), prepare(image, manifest, roi)
    assert part.image.shape == (20, 24, 4)
    np.testing.assert_allclose(part.image.array, whole.image.array[..., 3:7], atol=1e-6)
    wanted = np.zeros((30, 36, 12), dtype=bool)
    wanted[5:13, 10:21, 3:7] = True
    everywhere = two_labels(np.ones(part.image.shape))
    np.testing.assert_array_equal(part.restore_labels(everywhere), wanted)
    np.testing.assert_array_equal(restored(part, everywhere), two_labels(wanted))
    plan = plan_blank(image.shape, image.affine, manifest, roi_ras_mm=roi)
    assert (plan.crop.shape, plan.resample.shape) == ((30, 36, 4), (20, 24, 4))


def test_a_region_beside_the_body_is_seen_too(make_manifest):
    manifest = make_manifest(2, slices=SliceRule(axis=2, fit="resize"), window_shape=(20, 24, 1), crop_to_body=True)
    array = np.zeros((1, 40, 40, 8))
    array[:, 10:20, 12:30] = 100
    body = prepare(Image(array, np.eye(4)), manifest)
    assert body.crop.shape[0] < 40
    beside = prepare(Image(array, np.eye(4)), manifest, (34.6, 38.4, 20.6, 25.4, 0.6, 3.4))
    assert beside.image.shape == (20, 24, 3)
    assert beside.crop.start[0] == body.crop.start[0]
    assert beside.crop.start[0] + beside.crop.shape[0] == 39
    labels = beside.restore_labels(two_labels(np.ones(beside.image.shape)))
    assert labels[35:39, 21:26, 1:4].all()
    assert labels.sum() == 4 * 5 * 3


def test_a_region_that_misses_the_volume_is_refused_as_ever(resized):
    with pytest.raises(JobError, match="misses the volume"):
        prepare(Image(np.zeros((1, *SHAPE)), np.eye(4)), resized, (500, 510, 0, 10, 0, 10))


def test_in_windows_a_region_is_cut_out_and_spacing_is_that_of_every_axis(make_manifest):
    manifest = make_manifest(2, slices=SliceRule(axis=2), window_shape=(20, 24, 1), spacing_mm=(2.0, 2.0, 2.0))
    prepared = prepare(Image(np.zeros((1, 30, 36, 12)), np.eye(4)), manifest, (4.6, 12.4, 9.6, 21.4, 2.6, 6.4))
    assert prepared.region is None
    assert prepared.image.shape == (4, 6, 2)


def test_outside_a_box_of_voxels_the_answer_is_background_and_inside_it_is_that_of_whole_slices(resized):
    image = Image(np.random.default_rng(3).normal(size=(1, *SHAPE)).astype(np.float32), np.eye(4))
    everything, inside = (prepare(image, resized, roi_voxels=box) for box in (None, (3, 9, 20, 30, 11, 12)))
    assert {inside.image.shape[a] for a in range(3)} >= {n for n in resized.window_shape if n > 1}
    labels = inside.restore_labels(two_labels(np.ones(inside.image.shape, dtype=np.float32)))
    expected = np.zeros(SHAPE, dtype=np.uint8)
    expected[3:9, 20:30, 11:12] = 1
    np.testing.assert_array_equal(labels, expected)
    assert everything.restore_labels(two_labels(np.ones(everything.image.shape, dtype=np.float32))).all()
