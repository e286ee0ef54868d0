import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.imaging.geometry import parse_orientation, resample_to, same_grid, stack_channels
from medseg.imaging.image import Image
from medseg.spec.errors import ImageError
from Unit.imaging.restored import axis_codes

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def as_sitk(image):
    """One channel as ITK sees it in the patient; for proper directions only."""
    result = sitk.GetImageFromArray(np.ascontiguousarray(image.array[0].transpose(2, 1, 0)))
    affine = TO_LPS @ image.affine
    result.SetSpacing(image.spacing)
    result.SetOrigin(affine[:3, 3].tolist())
    result.SetDirection((affine[:3, :3] / np.array(image.spacing)).ravel().tolist())
    return result


def sitk_resample(image, like, interpolator, outside):
    grid = as_sitk(like)
    sampled = sitk.Resample(as_sitk(image), grid, sitk.Transform(), interpolator, outside)
    return sitk.GetArrayFromImage(sampled).transpose(2, 1, 0)


@pytest.mark.parametrize("degrees", [0.0, 17.0, -30.0])
def test_axis_codes_of_all_48_orientations_are_nibabels(all_orientations, make_affine, degrees):
    for order, signs in all_orientations:
        affine = make_affine(order, signs, spacing=(0.7, 1.3, 4.0), degrees=degrees)
        assert axis_codes(affine) == "".join(nibabel.aff2axcodes(affine))


def test_parsing_an_orientation_inverts_its_code(all_orientations, make_affine):
    for order, signs in all_orientations:
        assert parse_orientation(axis_codes(make_affine(order, signs))) == tuple(zip(order, signs, strict=True))


def test_axes_at_45_degrees_are_named_the_same_whatever_the_rounding():
    codes = set()
    for nudge in np.linspace(-1e-9, 1e-9, 9):
        angle = np.pi / 4 + nudge
        affine = np.eye(4)
        affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        codes.add(axis_codes(affine))
    assert codes == {"RAS"}


@pytest.mark.parametrize("orientation", ["", "RA", "RAX", "RRS", "RLS", "ras", "RASI"])
def test_a_code_that_is_no_orientation_is_refused(orientation):
    with pytest.raises(ImageError, match="one of R/L"):
        parse_orientation(orientation)


def test_grids_are_the_same_up_to_the_rounding_of_a_header_at_the_far_corner(make_affine):
    for spacing, tolerance_mm in (((1.0, 2.0, 3.0), 0.1), ((0.05, 0.05, 0.05), 0.005)):
        affine = make_affine(spacing=spacing, degrees=10)
        image = Image(np.zeros((1, 101, 5, 5)), affine)
        near, far = affine.copy(), affine.copy()
        near[0, 0] += 0.9 * tolerance_mm / 101  # corners lie half a voxel beyond the outermost centres
        far[0, 0] += 1.2 * tolerance_mm / 100
        assert same_grid(image, Image(np.zeros((3, 101, 5, 5)), near))
        assert not same_grid(image, Image(np.zeros((1, 101, 5, 5)), far))
        assert not same_grid(image, Image(np.zeros((1, 100, 5, 5)), affine))


@pytest.mark.parametrize(
    ("order", "interpolator"), [("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor)]
)
def test_resampling_is_simpleitks_in_the_patient(make_affine, order, interpolator):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(1, 9, 11, 7)).astype(np.float32)
    image = Image(array, make_affine((1, 0, 2), (1, -1, 1), spacing=(1.1, 0.9, 2.5), degrees=20))
    like = Image(np.zeros((1, 12, 8, 10)), make_affine(spacing=(1.0, 1.3, 0.8), degrees=-15, origin=(-14, 3, 28)))
    expected = sitk_resample(image, like, interpolator, -3.0)
    sampled = resample_to(image, like.shape, like.affine, order=order, outside=-3.0)
    assert 0.05 < np.mean(expected == -3.0) < 0.95
    np.testing.assert_allclose(sampled.array[0], expected, atol=2e-5)
    assert (sampled.affine == like.affine).all()


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (-1, -1, -1)])
def test_a_linear_field_survives_sheared_and_left_handed_grids(make_affine, world, signs):
    source = make_affine((2, 0, 1), signs, spacing=(1.0, 0.6, 2.0), degrees=12, shear=0.4)
    target = source @ np.array([[0.5, 0.1, 0, 1], [0, 0.7, 0.2, 1], [0.1, 0, 0.4, 1], [0, 0, 0, 1.0]])

    def field(affine, shape):
        x, y, z = world(shape, affine)
        return (2 * x - y + 0.5 * z + 3)[None]

    image = Image(field(source, (12, 12, 12)), source)
    sampled = resample_to(image, (8, 9, 10), target, order="linear", outside=np.nan)
    np.testing.assert_allclose(sampled.array, field(target, (8, 9, 10)), atol=1e-4)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, ">i2", np.uint16, np.int64, np.float16, np.float32, ">f8"])
def test_nearest_keeps_every_dtype_and_value(dtype):
    array = (np.arange(24).reshape(1, 2, 3, 4) % 7).astype(dtype)
    doubled = resample_to(
        Image(array), (4, 3, 4), np.diag([0.5, 1, 1, 1]) - 0.25 * np.eye(4)[:, :1] @ np.eye(4)[3:], order="nearest"
    )
    assert doubled.array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(doubled.array, np.repeat(array, 2, axis=1))


def test_the_outer_half_voxel_repeats_the_edge_also_of_one_voxel():
    image = Image(np.full((1, 1, 1, 1), 5.0), np.diag([4.0, 4.0, 4.0, 1.0]))
    fine = np.eye(4)
    fine[:3, 3] = -2.5
    sampled = resample_to(image, (6, 6, 6), fine, order="linear", outside=-1).array[0]
    expected = np.full((6, 6, 6), -1.0)
    expected[1:5, 1:5, 1:5] = 5.0
    np.testing.assert_array_equal(sampled, expected)


def test_channels_on_other_grids_are_resampled_to_the_first(make_affine):
    rng = np.random.default_rng(1)
    first = Image(rng.normal(size=(1, 9, 8, 7)).astype(np.float32), make_affine(degrees=5))
    other = Image(
        rng.normal(size=(1, 7, 7, 4)).astype(np.float32),
        make_affine((0, 2, 1), (1, 1, -1), spacing=(1.5, 2.0, 2.0), origin=(-12, 15, 28)),
    )
    stacked = stack_channels([first, other, first])
    assert stacked.array.shape == (3, 9, 8, 7)
    assert same_grid(stacked, first)
    np.testing.assert_array_equal(stacked.array[[0, 2]], np.concatenate([first.array] * 2))
    expected = sitk_resample(other, first, sitk.sitkLinear, float(other.array.min()))
    np.testing.assert_allclose(stacked.array[1], expected, atol=2e-5)


def test_voxels_that_are_not_numbers_do_not_spread_when_a_channel_is_resampled():
    rng = np.random.default_rng(0)
    first = Image(rng.normal(size=(1, 6, 6, 6)))
    shifted = np.eye(4)
    shifted[:3, 3] = 0.5
    clean = rng.normal(size=(1, 6, 6, 6)).astype(np.float32)
    broken = clean.copy()
    broken[0, 1, 2, 3], broken[0, 4, 4, 4], broken[0, 2, 2, 2] = np.nan, np.inf, -np.inf
    clean[0, 1, 2, 3] = clean[0, 2, 2, 2] = np.nanmin(np.where(np.isfinite(broken), broken, np.nan))
    clean[0, 4, 4, 4] = np.nanmax(np.where(np.isfinite(broken), broken, np.nan))
    found, expected = (stack_channels([first, Image(array, shifted)]) for array in (broken, clean))
    assert np.isfinite(found.array).all()
    np.testing.assert_array_equal(found.array, expected.array)


def test_channels_on_one_grid_keep_their_values_and_type():
    first = Image(np.arange(8, dtype=np.int16).reshape(1, 2, 2, 2))
    second = Image(np.arange(8, 16, dtype=np.int16).reshape(1, 2, 2, 2))
    stacked = stack_channels([first, second])
    assert stacked.array.dtype == np.int16
    np.testing.assert_array_equal(stacked.array.ravel(), np.arange(16))
    assert stack_channels([first]) is first


def test_channels_of_different_places_are_refused():
    elsewhere = np.eye(4)
    elsewhere[0, 3] = 500
    with pytest.raises(ImageError, match=r"image 2 .*501\.\d, 1\.0, 1\.0.* register it"):
        stack_channels([Image(np.zeros((1, 3, 3, 3))), Image(np.zeros((1, 3, 3, 3)), elsewhere)])
    with pytest.raises(ImageError, match="at least 1 image"):
        stack_channels([])
