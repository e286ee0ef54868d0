import nibabel
import numpy as np
import pytest

from medseg.imaging.image import Image
from medseg.imaging.steps import Crop, Reorient, Resample, blur
from medseg.spec.errors import ImageError, JobError
from Unit.imaging.restored import axis_codes


def numbered(shape, affine):
    return Image(np.arange(np.prod(shape), dtype=np.int32).reshape(1, *shape), affine)


@pytest.mark.parametrize("target", ["RAS", "LPS", "PIR", "SAL"])
def test_reorienting_moves_no_voxel_in_the_patient_and_undoes_exactly(all_orientations, make_affine, world, target):
    shape = (3, 4, 5)
    for order, signs in all_orientations:
        affine = make_affine(order, signs, spacing=(0.7, 1.1, 3.0), degrees=25, shear=0.1)
        image = Image(world(shape, affine), affine)
        step = Reorient.to_orientation(image, target)
        turned = step.apply(image)
        assert axis_codes(turned.affine) == target
        np.testing.assert_allclose(turned.array, world(turned.shape, turned.affine), atol=1e-12)
        back = step.undo(turned)
        np.testing.assert_array_equal(back.array, image.array)
        np.testing.assert_array_equal(back.affine, image.affine)


def test_reorienting_to_ras_is_nibabels_closest_canonical(all_orientations, make_affine):
    for order, signs in all_orientations:
        image = numbered((2, 3, 4), make_affine(order, signs, spacing=(1, 2, 3), degrees=10))
        turned = Reorient.to_orientation(image, "RAS").apply(image)
        expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(image.array[0], image.affine))
        np.testing.assert_array_equal(turned.array[0], np.asarray(expected.dataobj))
        np.testing.assert_allclose(turned.affine, expected.affine, atol=1e-12)


def test_a_crop_keeps_positions_and_undoes_to_the_outside_value(make_affine, world):
    affine = make_affine(spacing=(0.5, 1, 2), degrees=40)
    image = Image(world((6, 5, 4), affine), affine)
    step = Crop.to_box(image, (1, 0, 3), (4, 5, 4))
    cropped = step.apply(image)
    assert cropped.shape == (3, 5, 1)
    np.testing.assert_allclose(cropped.array, world(cropped.shape, cropped.affine), atol=1e-12)
    back = step.undo(cropped, outside=-7)
    expected = np.full_like(image.array, -7)
    expected[:, 1:4, :, 3:4] = image.array[:, 1:4, :, 3:4]
    np.testing.assert_array_equal(back.array, expected)


@pytest.mark.parametrize(("start", "stop"), [((0, 0, 0), (0, 2, 2)), ((-1, 0, 0), (2, 2, 2)), ((0, 0, 0), (2, 2, 3))])
def test_a_box_that_is_empty_or_leaves_the_image_is_refused(start, stop):
    with pytest.raises(ValueError, match="inside its image"):
        Crop.to_box(Image(np.zeros((1, 2, 2, 2))), start, stop)


def test_a_region_on_voxel_edges_takes_exactly_those_voxels(make_affine):
    image = numbered((10, 10, 10), make_affine((1, 2, 0), (-1, 1, 1), spacing=(2, 1, 0.3), origin=(0, 0, 0)))
    # k runs to R in 0.3 mm, i to P in 2 mm, j to S in 1 mm; voxel n spans (n - 0.5) to (n + 0.5) times that
    step = Crop.to_roi(image, (0.3 * 1.5, 0.3 * 4.5, -2 * 6.5, -2 * 2.5, -0.5, 2.5))
    assert step.start == (3, 0, 2)
    assert step.shape == (4, 3, 3)


def test_rounding_adds_no_voxel_to_a_region_on_voxel_edges():
    for spacing in (0.1, 0.3, 0.7, 1.1, 3.3):
        for origin in (-123.4, 0.1, 77.7):
            affine = np.diag([spacing, spacing, spacing, 1.0])
            affine[:3, 3] = origin
            for first in range(1, 12):
                edges = (origin + spacing * (first - 0.5), origin + spacing * (first + 2.5))
                step = Crop.to_roi(Image(np.zeros((1, 20, 20, 20)), affine), edges * 3)
                assert (step.start, step.shape) == ((first,) * 3, (3, 3, 3))


def test_an_oblique_region_is_covered_whole(make_affine, world):
    affine = make_affine(spacing=(0.8, 1.1, 2.0), degrees=33, origin=(0, 0, 0))
    shape = (30, 30, 30)
    centre = affine[:3, :3] @ np.array([15, 15, 15])
    roi = np.stack([centre - np.array([3, 4, 5]), centre + np.array([3, 4, 5])], axis=1).ravel()
    step = Crop.to_roi(Image(np.zeros((1, *shape)), affine), tuple(roi))
    low, high = roi[::2, None, None, None], roi[1::2, None, None, None]
    positions = world(shape, affine)
    inside = ((positions >= low) & (positions <= high)).all(axis=0)
    kept = np.zeros(shape, dtype=bool)
    kept[tuple(slice(a, a + n) for a, n in zip(step.start, step.shape, strict=True))] = True
    assert inside.sum() > 100
    assert not (inside & ~kept).any()
    assert kept.sum() < 0.5 * kept.size


def test_a_region_smaller_than_a_voxel_takes_that_voxel_and_one_beyond_the_volume_is_cut():
    image = numbered((8, 8, 8), np.eye(4))
    tiny = Crop.to_roi(image, (2.9, 3.1, 3.9, 4.1, 4.9, 5.1))
    assert (tiny.start, tiny.shape) == ((3, 4, 5), (1, 1, 1))
    wide = Crop.to_roi(image, (-100, 2, 3, 100, -100, 100))
    assert (wide.start, wide.shape) == ((0, 3, 0), (3, 5, 8))


@pytest.mark.parametrize(
    ("roi", "words"),
    [
        ((10, 20, 0, 3, 0, 3), r"10\.0,20\.0.* misses the volume, which spans -0\.5,7\.5.*move it"),
        ((-9, -0.5, 0, 3, 0, 3), "misses the volume"),
        ((3, 2, 0, 3, 0, 3), "lower bound below"),
        ((-np.inf, 2, 0, 3, 0, 3), "finite"),
        ((0, 2, 0, 3, 0, np.nan), "finite"),
    ],
)
def test_a_region_that_makes_no_sense_is_refused(roi, words):
    with pytest.raises(JobError, match=words):
        Crop.to_roi(Image(np.zeros((1, 8, 8, 8))), roi)


@pytest.mark.parametrize("spacing", [(0.5, 0.7, 1.0), (1.3, 2.9, 0.2), (7.0, 1.0, 3.1)])
def test_resampling_keeps_the_outer_edges(make_affine, spacing):
    image = Image(
        np.zeros((1, 20, 30, 9)), make_affine((2, 1, 0), (1, -1, 1), spacing=(1, 0.8, 3), degrees=8, shear=0.2)
    )
    step = Resample.to_spacing(image, spacing)
    for end in (0.0, 1.0):
        old = image.affine @ [*(end * np.array(image.shape) - 0.5), 1]
        new = step.affine @ [*(end * np.array(step.shape) - 0.5), 1]
        np.testing.assert_allclose(old, new, atol=1e-9)
    reached = Image(np.zeros((1, *step.shape)), step.affine).spacing
    for got, wanted, count in zip(reached, spacing, step.shape, strict=True):
        assert abs(got / wanted - 1) <= 0.5 / (count - 0.5)


def test_resampling_keeps_a_linear_field_up_and_down_and_back(make_affine, world):
    affine = make_affine(spacing=(1.0, 1.2, 2.0), degrees=15)
    x, y, z = world((12, 14, 10), affine)
    image = Image((x - 2 * y + 3 * z)[None].astype(np.float32), affine)
    step = Resample.to_spacing(image, (0.6, 1.6, 1.0))
    assert step.sigmas == (0, 0, 0)
    resampled = step.apply(image)
    x, y, z = world(resampled.shape, resampled.affine)
    inner = (0, slice(2, -2), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(resampled.array[inner], (x - 2 * y + 3 * z)[inner[1:]], atol=1e-4)
    back = step.undo(resampled)
    np.testing.assert_allclose(back.array[inner], image.array[inner], atol=1e-4)
    np.testing.assert_array_equal(back.affine, image.affine)


def test_undoing_a_resampling_has_no_dark_border():
    image = Image(np.full((2, 11, 1, 7), 4.0, dtype=np.float32), np.diag([1, 5, 0.7, 1.0]))
    for spacing in [(3.0, 1.0, 3.0), (0.4, 9.0, 0.3), (50.0, 50.0, 50.0)]:
        step = Resample.to_spacing(image, spacing)
        resampled = step.apply(image)
        np.testing.assert_allclose(resampled.array, 4.0, rtol=1e-6)
        np.testing.assert_allclose(step.undo(resampled, outside=0).array, 4.0, rtol=1e-6)
    assert step.shape == (1, 1, 1)


def test_a_spacing_within_a_thousandth_changes_nothing():
    array = np.random.default_rng(0).normal(size=(1, 5, 6, 7)).astype(np.float32)
    image = Image(array, np.diag([1.0005, 0.9995, 2.0, 1]))
    step = Resample.to_spacing(image, (1.0, 1.0, 2.0))
    assert step.is_identity
    np.testing.assert_array_equal(step.apply(image).array, array)
    np.testing.assert_array_equal(step.undo(step.apply(image)).array, array)
    np.testing.assert_array_equal(step.affine, image.affine)


def test_stripes_finer_than_the_target_do_not_alias():
    stripes = np.broadcast_to(np.where(np.arange(60) % 2, 1.0, -1.0)[None, :, None, None], (1, 60, 4, 4))
    image = Image(stripes.astype(np.float32))
    step = Resample.to_spacing(image, (3.0, 1.0, 1.0))
    inner = step.apply(image).array[0, 2:-2]
    assert np.abs(inner).max() < 0.01  # without the blur every sample would be +1 or -1


def test_the_blur_widens_a_voxel_to_the_target_width():
    point = np.zeros((1, 40, 40, 40), dtype=np.float32)
    point[0, 20, 20, 20] = 1
    step = Resample.to_spacing(Image(point), (4.0, 1.0, 2.0))
    blurred = blur(point[0], step.sigmas)
    offsets = np.arange(40) - 20
    for axis, factor in enumerate((4.0, 1.0, 2.0)):
        profile = blurred.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.float64)
        variance = (profile * offsets**2).sum() / profile.sum()
        expected = (factor**2 - 1) / (8 * np.log(2)) if factor > 1.5 else 0
        assert variance == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("sigmas", [(0.8, 0.0, 2.5), (0.5, 6.0, 1.0)])
@pytest.mark.parametrize("shape", [(9, 8, 7), (1, 12, 3)])
def test_the_blur_is_a_convolution_with_a_gaussian_of_four_deviations_over_repeated_edges(shape, sigmas):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = array.astype(np.float64)
    for axis, sigma in enumerate(sigmas):
        if sigma > 0:
            radius = int(np.ceil(4 * sigma))
            kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
            padded = np.pad(expected, [(radius, radius) if n == axis else (0, 0) for n in range(3)], mode="edge")
            expected = np.apply_along_axis(np.convolve, axis, padded, kernel / kernel.sum(), mode="valid")
    np.testing.assert_allclose(blur(array, sigmas), expected, atol=1e-6)


@pytest.mark.parametrize("spacing", [(1e-5, 1e-5, 1e-5), (1.0, 1.0, 1e-200), (0.001, 0.1, 0.1)])
def test_a_grid_no_machine_can_hold_is_refused_before_it_is_made(spacing):
    with pytest.raises(ImageError, match=r"4 GB, but from 1 x 1 x 1 to .*check the image's spacing"):
        Resample.to_spacing(Image(np.zeros((1, 100, 100, 100))), spacing)


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, np.nan)])
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(ImageError, match="above 0 mm"):
        Resample.to_spacing(Image(np.zeros((1, 4, 4, 4))), spacing)
