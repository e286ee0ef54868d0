import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.imaging.image import Image
from medseg.spec.errors import ImageError, JobError
from medseg.spec.manifest import IntensityRule
from planned import plan_blank, prepare
from Unit.imaging.restored import restored


def softmax(fields):
    powers = np.exp(fields - fields.max(axis=0))
    return (powers / powers.sum(axis=0)).astype(np.float32)


def three_regions(positions):
    """Smooth scores of three labels that depend on nothing but the place in the patient."""
    x, y, z = positions
    return softmax(np.stack([np.zeros_like(x), np.sin(x) + np.cos(y / 2), np.sin(z / 2) - np.sin(y)]))


def linear_scores(positions):
    x, y, z = positions
    return np.stack([0.5 - 0.01 * x + 0.003 * z, 0.2 + 0.01 * x - 0.02 * y, 0.3 + 0.02 * y - 0.003 * z]).astype(
        np.float32
    )


@pytest.mark.parametrize("degrees", [0.0, 28.0])
@pytest.mark.parametrize("target", ["RAS", "PSL"])
def test_labels_drawn_in_the_patient_return_to_every_voxel_of_every_orientation(
    all_orientations, make_affine, make_manifest, world, degrees, target
):
    shape = (7, 5, 6)
    for order, signs in all_orientations:
        affine = make_affine(order, signs, spacing=(0.7, 1.2, 3.0), degrees=degrees)
        prepared = prepare(Image(np.zeros((1, *shape), np.int16), affine), make_manifest(orientation=target))
        labels = prepared.restore_labels(three_regions(world(prepared.image.shape, prepared.image.affine)))
        expected = three_regions(world(shape, affine)).argmax(axis=0)
        assert set(np.unique(expected)) == {0, 1, 2}
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels, expected)
        assert prepared.source_shape == shape
        np.testing.assert_array_equal(prepared.source_affine, affine)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.5, 2.5)])
def test_linear_scores_return_exactly_through_turning_cropping_and_resampling(
    all_orientations, make_affine, make_manifest, world, spacing
):
    shape = (8, 9, 6)
    for order, signs in all_orientations:
        affine = make_affine(order, signs, spacing=(0.7, 1.2, 3.0), degrees=20)
        centre = affine @ [3.5, 4, 2.5, 1]
        roi = tuple(np.stack([centre[:3] - 2, centre[:3] + 2], axis=1).ravel())
        manifest = make_manifest(spacing_mm=spacing, orientation="LPS")
        prepared = prepare(Image(np.zeros((1, *shape)), affine), manifest, roi)
        assert not prepared.resample.is_identity
        scores = linear_scores(world(prepared.image.shape, prepared.image.affine))
        back = restored(prepared, scores)
        # beyond the outermost centres of the prepared grid, within the edge, the nearest centre counts
        place = np.linalg.solve(prepared.image.affine, affine)
        voxels = world(shape, place)
        top = np.array(prepared.image.shape)[:, None, None, None]
        inside = ((voxels > -0.5) & (voxels < top - 0.5)).all(axis=0)
        clamped = voxels.clip(0, top - 1).reshape(3, -1)
        nearest = prepared.image.affine[:3, :3] @ clamped + prepared.image.affine[:3, 3:]
        expected = np.where(inside, linear_scores(nearest.reshape(3, *shape)), np.array([1, 0, 0])[:, None, None, None])
        assert 8 <= inside.sum() < inside.size
        np.testing.assert_allclose(back, expected, atol=1e-5)
        np.testing.assert_allclose(back.sum(axis=0), 1, atol=1e-5)
        sure = np.sort(expected, axis=0)[-1] - np.sort(expected, axis=0)[-2] > 1e-4
        np.testing.assert_array_equal(prepared.restore_labels(scores)[sure], expected.argmax(axis=0)[sure])


def test_without_resampling_the_labels_are_the_argmax_to_the_bit(make_manifest):
    scores = np.random.default_rng(0).integers(0, 4, size=(5, 6, 7, 8)).astype(np.float32) / 4  # with many ties
    prepared = prepare(Image(np.zeros((1, 6, 7, 8))), make_manifest(label_count=5))
    np.testing.assert_array_equal(prepared.restore_labels(scores), scores.argmax(axis=0))
    np.testing.assert_array_equal(restored(prepared, scores), scores)


@pytest.mark.parametrize("shape", [(1, 9, 8), (9, 1, 8), (9, 8, 1), (1, 1, 9), (1, 1, 1), (2, 3, 1)])
@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0), (0.5, 2.0, 4.0)])
def test_thin_volumes_come_back_on_their_own_grid(make_affine, make_manifest, shape, spacing):
    affine = make_affine((2, 0, 1), (-1, 1, -1), spacing=(0.8, 1.0, 5.0), degrees=10)
    image = Image(np.random.default_rng(0).normal(size=(1, *shape)), affine)
    manifest = make_manifest(spacing_mm=spacing, intensity=IntensityRule(kind="zscore"), crop_to_body=True)
    prepared = prepare(image, manifest)
    assert np.isfinite(prepared.image.array).all()
    scores = np.zeros((3, *prepared.image.shape), dtype=np.float32)
    scores[2] = 1
    np.testing.assert_array_equal(prepared.restore_labels(scores), np.full(shape, 2))


def test_a_ball_keeps_its_volume_through_thick_slices(make_affine, make_manifest, world):
    shape, radius = (70, 70, 17), 20.0
    affine = make_affine((1, 0, 2), (1, -1, 1), spacing=(0.7, 0.7, 3.0), degrees=15)
    centre = (affine @ [35.2, 34.1, 8.3, 1])[:3, None, None, None]
    prepared = prepare(Image(np.zeros((1, *shape)), affine), make_manifest(label_count=2, spacing_mm=(1.5, 1.5, 1.5)))

    def depth(shape, affine):
        return radius - np.linalg.norm(world(shape, affine) - centre, axis=0)

    inside = (0.5 + depth(prepared.image.shape, prepared.image.affine) / 100).astype(np.float32)
    labels = prepared.restore_labels(np.stack([1 - inside, inside]))
    # linear interpolation of a distance errs by at most h^2/8 * 2/r: its second derivatives add up to 2/r
    spacing = max(prepared.image.spacing)
    error = spacing**2 / 4 / (radius - 2 * spacing) + 1e-3
    assert error < 0.05
    exact = depth(shape, affine)
    assert (labels[exact > error] == 1).all()
    assert (labels[exact < -error] == 0).all()
    volume = labels.sum() * prepared.reorient.apply(Image(labels[None], affine)).voxel_volume_mm3
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)


def test_outside_a_region_everything_is_background(make_manifest):
    prepared = prepare(Image(np.zeros((1, 10, 10, 10))), make_manifest(), (1.6, 4.4, 2.6, 3.4, -50, 50))
    assert prepared.image.shape == (3, 1, 10)
    scores = np.zeros((3, 3, 1, 10), dtype=np.float32)
    scores[1] = 1
    labels = prepared.restore_labels(scores)
    expected = np.zeros((10, 10, 10), dtype=np.uint8)
    expected[2:5, 3:4] = 1
    np.testing.assert_array_equal(labels, expected)
    probabilities = restored(prepared, scores)
    np.testing.assert_array_equal(probabilities, np.stack([expected == 0, expected == 1, np.zeros_like(expected)]))


def test_the_body_is_cropped_from_air_with_a_margin(make_affine, make_manifest, world):
    affine = make_affine(spacing=(1.5, 1.5, 2.0), degrees=0, origin=(0, 0, 0))
    shape = (80, 80, 60)
    x, y, z = world(shape, affine)
    body = ((x - 60) / 30) ** 2 + ((y - 50) / 20) ** 2 + ((z - 60) / 35) ** 2 < 1
    rng = np.random.default_rng(0)
    array = np.where(body, 40, -1000) + rng.normal(0, 20, size=shape)
    array[2, 2, 2] = 3000  # a speck is no body
    prepared = prepare(Image(array[None], affine), make_manifest(crop_to_body=True, orientation="LPS"))
    inside = restored(prepared, np.ones((2, *prepared.image.shape), dtype=np.float32))[1] > 0
    assert inside[body].all()
    for axis, spacing in enumerate((1.5, 1.5, 2.0)):
        others = tuple(other for other in range(3) if other != axis)
        kept, needed = (np.flatnonzero(mask.any(axis=others)) for mask in (inside, body))
        for margin in (needed[0] - kept[0], kept[-1] - needed[-1]):
            assert 9 <= margin * spacing <= 10 + 2 * 4 + spacing


def test_dark_tissue_around_bright_fat_is_body(make_manifest, world):
    x, y, z = world((60, 60, 60), np.eye(4))
    radius = np.sqrt((x - 30) ** 2 + (y - 30) ** 2 + (z - 30) ** 2)
    array = np.abs(np.random.default_rng(0).normal(0, 10, size=radius.shape))
    array[radius < 17] = 120
    array[radius < 12] = 1000
    prepared = prepare(Image(array[None]), make_manifest(crop_to_body=True))
    assert prepared.crop.start[0] <= 30 - 17 - 9  # the tissue and nearly all of the margin
    assert prepared.crop.start[0] > 0


@pytest.mark.parametrize("value", [0.0, 1e30])
def test_an_image_without_contrast_is_kept_whole(make_manifest, value):
    prepared = prepare(Image(np.full((1, 20, 30, 8), value)), make_manifest(crop_to_body=True))
    assert prepared.image.shape == (20, 30, 8)


def test_an_image_that_is_all_body_is_kept_whole(make_manifest):
    array = np.random.default_rng(0).normal(100, 10, size=(1, 30, 30, 30))
    assert prepare(Image(array), make_manifest(crop_to_body=True)).image.shape == (30, 30, 30)


def test_channels_are_prepared_side_by_side(make_affine, make_manifest):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(3, 6, 7, 8)) * np.array([1, 10, 100])[:, None, None, None]
    affine = make_affine((1, 2, 0), (1, -1, -1))
    rule = IntensityRule(kind="zscore")
    together = prepare(Image(array, affine), make_manifest(channel_count=3, intensity=rule, spacing_mm=(0.8, 1, 1)))
    for number, channel in enumerate(array):
        alone = prepare(Image(channel[None], affine), make_manifest(intensity=rule, spacing_mm=(0.8, 1, 1)))
        np.testing.assert_array_equal(together.image.array[number], alone.image.array[0])
    assert together.image.array.dtype == np.float32


def test_one_voxel_that_is_not_finite_spoils_no_neighbour(make_manifest):
    array = np.ones((1, 8, 8, 8))
    array[0, 4, 4, 4] = np.nan
    prepared = prepare(Image(array), make_manifest(spacing_mm=(0.7, 0.7, 0.7)))
    np.testing.assert_allclose(prepared.image.array, 1)


def test_restoring_needs_memory_for_the_volume_not_for_the_labels(make_manifest):
    shape = (64, 64, 32)
    prepared = prepare(Image(np.zeros((1, *shape), np.float32)), make_manifest(spacing_mm=(2.0, 2.0, 2.0)))
    peaks = []
    for count in (3, 40):
        scores = np.random.default_rng(0).random((count, *prepared.image.shape), dtype=np.float32)
        tracemalloc.start()
        prepared.restore_labels(scores)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.5 * 4 * np.prod(shape)


@pytest.mark.parametrize(("count", "dtype"), [(256, np.uint8), (257, np.uint16)])
def test_more_than_255_labels_take_two_bytes(make_manifest, count, dtype):
    prepared = prepare(Image(np.zeros((1, 2, 2, 2))), make_manifest())
    scores = np.zeros((count, 2, 2, 2), dtype=np.float32)
    scores[-1] = 1
    labels = prepared.restore_labels(scores)
    assert labels.dtype == dtype
    assert (labels == count - 1).all()


def test_scores_on_another_grid_are_refused(make_manifest):
    prepared = prepare(Image(np.zeros((1, 4, 4, 4))), make_manifest())
    for shape in [(3, 4, 4, 5), (4, 4, 4), (0, 4, 4, 4)]:
        with pytest.raises(ValueError, match=r"prepared grid \(4, 4, 4\)"):
            prepared.restore_labels(np.zeros(shape, dtype=np.float32))


def test_the_wrong_number_of_channels_is_refused(make_manifest):
    with pytest.raises(JobError, match=r"takes 2 channel\(s\) \(channel 0, channel 1\), got 1"):
        prepare(Image(np.zeros((1, 4, 4, 4))), make_manifest(channel_count=2))


def test_an_absurd_spacing_is_refused(make_manifest):
    with pytest.raises(ImageError, match="check the image's spacing"):
        prepare(
            Image(np.zeros((1, 64, 64, 64)), np.diag([1000.0, 1000.0, 1000.0, 1])), make_manifest(spacing_mm=(1, 1, 1))
        )


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    sizes=st.tuples(*[st.floats(0.3, 6.0)] * 3),
    spacing=st.none() | st.tuples(*[st.floats(0.3, 6.0)] * 3),
    orientation=st.integers(0, 47),
    degrees=st.floats(-180, 180),
    shear=st.floats(-0.8, 0.8),
    target=st.sampled_from(["RAS", "LPS", "ASR", "IRP"]),
)
@settings(max_examples=80, deadline=None)
def test_every_grid_gets_an_answer_for_every_voxel(  # one value everywhere must stay one value up to the last corner
    all_orientations, make_affine, make_manifest, shape, sizes, spacing, orientation, degrees, shear, target
):
    affine = make_affine(*all_orientations[orientation], spacing=sizes, degrees=degrees, shear=shear)
    image = Image(np.full((1, *shape), 7, np.int16), affine)
    prepared = prepare(image, make_manifest(spacing_mm=spacing, orientation=target))
    np.testing.assert_allclose(prepared.image.array, 7, rtol=1e-6)
    scores = np.broadcast_to(np.array([0.25, 0.75], np.float32)[:, None, None, None], (2, *prepared.image.shape))
    np.testing.assert_allclose(restored(prepared, scores)[1], np.full(shape, 0.75), rtol=1e-6)
    assert (prepared.restore_labels(scores) == 1).all()


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0)])
def test_a_preview_once_as_coarse_changes_no_bit(make_affine, make_manifest, spacing):
    image = Image(np.random.default_rng(3).normal(size=(1, 9, 8, 7)), make_affine(spacing=(0.7, 1.2, 3.0), degrees=9))
    manifest = make_manifest(spacing_mm=spacing, intensity=IntensityRule(kind="zscore"))
    plain, once = prepare(image, manifest), prepare(image, manifest, spacing_factor=1.0)
    np.testing.assert_array_equal(plain.image.array, once.image.array)
    np.testing.assert_array_equal(plain.image.affine, once.image.affine)


@pytest.mark.parametrize("spacing", [None, (1.0, 1.5, 1.0)])
def test_a_preview_has_fewer_voxels_and_its_labels_lie_where_the_phantom_is(make_affine, make_manifest, world, spacing):
    shape, affine = (40, 36, 20), make_affine((1, 0, 2), (-1, 1, -1), spacing=(1.0, 1.0, 2.0), degrees=15)
    centre = affine @ [24.0, 14.0, 9.0, 1.0]
    ball = np.linalg.norm(world(shape, affine) - centre[:3, None, None, None], axis=0) < 9
    manifest = make_manifest(spacing_mm=spacing, intensity=IntensityRule(kind="none"))
    image = Image(np.where(ball, 1.0, 0.0)[None], affine)
    plain, quick = prepare(image, manifest), prepare(image, manifest, spacing_factor=2.0)
    assert quick.image.array.size == pytest.approx(plain.image.array.size / 8, rel=0.15)
    inside = quick.image.array[0].clip(0, 1)
    labels = quick.restore_labels(np.stack([1 - inside, inside]))
    assert labels.shape == shape
    assert 2 * (labels & ball).sum() / (labels.sum() + ball.sum()) > 0.93
    found = np.argwhere(labels).mean(axis=0)
    np.testing.assert_allclose(found, np.argwhere(ball).mean(axis=0), atol=0.15)


def test_labels_and_probabilities_of_one_walk_are_those_of_two(make_affine, make_manifest, world):
    image = Image(np.zeros((1, 9, 8, 7)), make_affine((2, 0, 1), (1, -1, 1), spacing=(0.7, 1.2, 3.0)))
    centre = image.affine @ [4, 4, 3, 1]
    roi = tuple(np.stack([centre[:3] - 3, centre[:3] + 3], axis=1).ravel())
    prepared = prepare(image, make_manifest(spacing_mm=(1.0, 1.0, 1.0)), roi)
    scores, told = three_regions(world(prepared.image.shape, prepared.image.affine)), []
    whole = np.empty((3, *image.shape), np.float32)
    labels = prepared.restore_labels(scores, probabilities=whole, on_label=lambda *step: told.append(step))
    np.testing.assert_array_equal(labels, prepared.restore_labels(scores))
    np.testing.assert_array_equal(whole, restored(prepared, scores))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_plan_without_voxels_is_the_one_of_the_image(all_orientations, make_affine, make_manifest):
    shape = (9, 8, 7)
    for order, signs in all_orientations:
        affine = make_affine(order, signs, spacing=(0.7, 1.2, 3.0), degrees=20)
        centre = affine @ [4, 4, 3, 1]
        roi = tuple(np.stack([centre[:3] - 2, centre[:3] + 2], axis=1).ravel())
        manifest = make_manifest(spacing_mm=(1.0, 2.0, 1.5), orientation="PSL")
        plan = plan_blank(shape, affine, manifest, roi_ras_mm=roi, spacing_factor=1.5)
        crop, resample = plan.crop, plan.resample
        prepared = prepare(Image(np.zeros((1, *shape)), affine), manifest, roi, spacing_factor=1.5)
        assert (crop.start, crop.shape) == (prepared.crop.start, prepared.crop.shape)
        assert resample.shape == prepared.image.shape
        np.testing.assert_allclose(resample.affine, prepared.image.affine)


@pytest.mark.parametrize("target", ["RAS", "PSL", "ILA"])
def test_a_box_of_voxels_is_exactly_what_is_kept_on_every_grid(all_orientations, make_affine, make_manifest, target):
    shape, box = (9, 8, 7), (2, 6, 0, 3, 4, 7)
    expected = np.zeros(shape, dtype=np.uint8)
    expected[2:6, 0:3, 4:7] = 1
    manifest = make_manifest(orientation=target, spacing_mm=(1.0, 2.0, 1.5))
    for order, signs in all_orientations:
        affine = make_affine(order, signs, spacing=(0.7, 1.2, 3.0), degrees=25)
        prepared = prepare(Image(np.zeros((1, *shape)), affine), manifest, roi_voxels=box)
        scores = np.zeros((3, *prepared.image.shape), dtype=np.float32)
        scores[1] = 1
        np.testing.assert_array_equal(prepared.restore_labels(scores), expected)
        plan = plan_blank(shape, affine, manifest, roi_voxels=box)
        crop, resample = plan.crop, plan.resample
        assert (crop.start, crop.shape) == (prepared.crop.start, prepared.crop.shape)
        assert resample.shape == prepared.image.shape


def test_a_box_of_voxels_is_cut_at_the_end_of_the_volume_and_refused_beyond_it(make_manifest):
    image = Image(np.zeros((1, 4, 5, 6)))
    assert prepare(image, make_manifest(), roi_voxels=(1, 9, 0, 5, 2, 6)).image.shape == (3, 5, 4)
    with pytest.raises(JobError, match=r"misses the volume, which has \(4, 5, 6\)"):
        prepare(image, make_manifest(), roi_voxels=(4, 9, 0, 5, 2, 6))
