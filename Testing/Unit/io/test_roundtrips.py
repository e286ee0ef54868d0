"""What is written lies where it lay, voxel for voxel, read back by us, by nibabel and by SimpleITK."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.imaging.image import Image
from medseg.io.read import read_image, read_labels
from medseg.io.write import check_grid, write_image, write_segmentation
from medseg.spec.errors import JobError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ENDINGS = (".nii", ".nii.gz", ".nrrd", ".mha", ".seg.nrrd")
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


def read_by_itk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = sitk.ReadImage(str(path))
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, LPS_TO_RAS @ lps


@pytest.mark.parametrize("ending", ENDINGS)
def test_all_48_axis_orders_and_an_oblique_grid_come_back_voxel_for_voxel(
    tmp_path, labels, straight_affines, oblique_affine, ending
):
    for number, affine in enumerate([*straight_affines, oblique_affine]):
        path = tmp_path / f"{number}{ending}"
        write_segmentation(path, Image(labels.array, affine), [])
        ours, (array, itk_affine) = read_labels(path), read_by_itk(path)
        np.testing.assert_array_equal(ours.array, labels.array)
        np.testing.assert_allclose(ours.affine, affine, atol=1e-5)
        np.testing.assert_array_equal(array, labels.array[0])
        np.testing.assert_allclose(itk_affine, affine, atol=1e-5)


def test_nibabel_reads_the_same_grid_from_both_forms_of_our_nifti(tmp_path, labels, straight_affines, oblique_affine):
    for affine in (*straight_affines, oblique_affine):
        write_image(tmp_path / "a.nii", Image(labels.array, affine), overwrite=True)
        image = nibabel.load(tmp_path / "a.nii")
        np.testing.assert_allclose(image.header.get_sform(), affine, atol=1e-5)
        np.testing.assert_allclose(image.header.get_qform(), affine, atol=1e-5)
        assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
        assert image.header.get_xyzt_units()[0] == "mm"
        np.testing.assert_array_equal(np.asarray(image.dataobj), labels.array[0])


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd"])
def test_a_sheared_grid_comes_back_exactly(tmp_path, labels, sheared_affine, ending):
    path = tmp_path / f"a{ending}"
    write_segmentation(path, Image(labels.array, sheared_affine), [])
    np.testing.assert_allclose(read_labels(path).affine, sheared_affine, atol=1e-6)
    np.testing.assert_array_equal(read_labels(path).array, labels.array)


def test_a_sheared_grid_in_nrrd_means_the_same_to_simpleitk(tmp_path, labels, sheared_affine):
    write_image(tmp_path / "a.nrrd", Image(labels.array, sheared_affine))
    np.testing.assert_allclose(read_by_itk(tmp_path / "a.nrrd")[1], sheared_affine, atol=1e-6)


def test_a_sheared_grid_is_refused_for_mha_before_and_while_writing(tmp_path, labels, sheared_affine):
    with pytest.raises(JobError, match=r"18\.0 degrees off; write \.nrrd or \.nii\.gz instead"):
        check_grid(tmp_path / "a.mha", labels.shape, sheared_affine)
    with pytest.raises(JobError, match=r"18\.0 degrees off"):
        write_image(tmp_path / "a.mha", Image(labels.array, sheared_affine))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_every_voxel_type_keeps_its_values(tmp_path, oblique_affine, ending, dtype):
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo("float32")
    array = np.linspace(0, 100, 24).astype(dtype).reshape(1, 2, 3, 4)
    array[0, 0, 0, :2] = (limits.min, limits.max) if np.dtype(dtype).kind in "iu" else (-1.5e6, 2.5e6)
    write_image(tmp_path / f"a{ending}", Image(array, oblique_affine))
    found = read_image(tmp_path / f"a{ending}").image.array
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(read_by_itk(tmp_path / f"a{ending}")[0], array[0])


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_several_channels_come_back_as_channels(tmp_path, oblique_affine, ending):
    array = np.random.default_rng(0).random((3, 4, 5, 6), dtype=np.float32)
    write_image(tmp_path / f"p{ending}", Image(array, oblique_affine))
    np.testing.assert_array_equal(read_image(tmp_path / f"p{ending}").image.array, array)
    vectors = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"p{ending}")))  # K, J, I, C
    np.testing.assert_array_equal(vectors.transpose(3, 2, 1, 0), array)
    np.testing.assert_array_equal(read_image(tmp_path / f"p{ending}", frame=1).image.array, array[1:2])


def test_several_channels_become_the_fourth_dimension_of_nifti(tmp_path, oblique_affine):
    array = np.random.default_rng(0).random((3, 4, 5, 6), dtype=np.float32)
    write_image(tmp_path / "p.nii.gz", Image(array, oblique_affine))
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "p.nii.gz").dataobj), array.transpose(1, 2, 3, 0))
    np.testing.assert_array_equal(read_image(tmp_path / "p.nii.gz", frame=2).image.array, array[2:])


@pytest.mark.parametrize(("highest", "dtype"), [(1, "uint8"), (255, "uint8"), (256, "uint16"), (70000, "uint32")])
@pytest.mark.parametrize("ending", ENDINGS)
def test_labels_are_stored_in_the_smallest_unsigned_type(tmp_path, ending, highest, dtype):
    array = np.zeros((1, 3, 3, 3), dtype=np.int64)
    array[0, 1, 1, 1] = highest
    write_segmentation(tmp_path / f"a{ending}", Image(array), [])
    assert read_by_itk(tmp_path / f"a{ending}")[0].dtype == dtype
    assert read_labels(tmp_path / f"a{ending}").array.max() == highest


def test_masks_and_half_floats_are_stored_though_no_format_has_them(tmp_path):
    mask = np.eye(3, dtype=bool).reshape(1, 3, 3, 1)
    for ending in (".nii.gz", ".nrrd", ".mha"):
        write_image(tmp_path / f"m{ending}", Image(mask))
        write_image(tmp_path / f"h{ending}", Image(mask.astype(np.float16)))
        assert read_image(tmp_path / f"m{ending}").image.array.dtype == np.uint8
        assert read_image(tmp_path / f"h{ending}").image.array.dtype == np.float32


def test_labels_that_are_not_whole_numbers_are_a_bug_of_the_caller(tmp_path):
    for array in (np.full((1, 2, 2, 2), 0.5), np.full((1, 2, 2, 2), -1), np.zeros((2, 2, 2, 2), int)):
        with pytest.raises(ValueError, match=r"labels are \(N, I, J, K\) integers from 0 up"):
            write_segmentation(tmp_path / "a.nrrd", Image(array), [])
