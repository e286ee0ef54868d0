"""NIfTI is read as nibabel and ITK read it where these are right, and refused where they guess."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.io.read import read_image
from medseg.spec.errors import ImageError

ARRAY = np.arange(60, dtype=np.int16).reshape(3, 4, 5) * 7 - 100


def saved(path, array=ARRAY, affine=None, edit=None, cls=nibabel.Nifti1Image):
    image = cls(array, np.diag([1.0, 2.0, 3.0, 1.0]) if affine is None else affine)
    if edit:
        edit(image.header)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("handed", [1, -1])
def test_a_qform_alone_gives_the_affine_nibabel_computes(tmp_path, oblique_affine, handed):
    affine = oblique_affine @ np.diag([handed, 1, 1, 1])

    def only_qform(header):
        header.set_qform(affine, 1)
        header.set_sform(None, 0)

    path = saved(tmp_path / "q.nii", affine=affine, edit=only_qform)
    image = nibabel.Nifti1Image.from_filename(path)
    reading = read_image(path)
    np.testing.assert_allclose(reading.image.affine, image.affine, atol=1e-6)
    np.testing.assert_allclose(reading.image.affine, affine, atol=1e-5)
    assert reading.warnings == ()


@pytest.mark.parametrize("cls", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_in_both_byte_orders_hold_the_same_image(tmp_path, oblique_affine, cls, order):
    header = cls.header_class(endianness=order)
    header.set_data_dtype(np.int16)
    image = cls(ARRAY.astype(order + "i2"), oblique_affine, header=header)
    nibabel.save(image, tmp_path / "a.nii.gz")
    found = read_image(tmp_path / "a.nii.gz").image
    np.testing.assert_array_equal(found.array[0], ARRAY)
    np.testing.assert_allclose(found.affine, oblique_affine, atol=1e-5)
    assert found.array.dtype == np.int16


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, -1000.0), (1.0, 3.0), (-2.0, 0.0)])
def test_scaling_is_applied_as_nibabel_applies_it(tmp_path, slope, intercept):
    path = saved(tmp_path / "a.nii")
    whole = bytearray(path.read_bytes())
    whole[112:120] = np.array([slope, intercept], dtype="<f4").tobytes()
    path.write_bytes(bytes(whole))
    found = read_image(path).image.array
    np.testing.assert_array_equal(found[0], nibabel.load(path).get_fdata())
    assert found.dtype == np.float32


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001)])
def test_lengths_in_other_units_become_mm_as_in_itk_and_are_said(tmp_path, unit, factor):
    affine = np.diag([2 / factor, 2 / factor, 3 / factor, 1])
    path = saved(tmp_path / "a.nii", affine=affine, edit=lambda header: header.set_xyzt_units(unit))
    reading = read_image(path)
    np.testing.assert_allclose(reading.image.spacing, (2, 2, 3), rtol=1e-6)
    np.testing.assert_allclose(reading.image.spacing, sitk.ReadImage(str(path)).GetSpacing(), rtol=1e-6)
    assert "converted to mm" in reading.warnings[0]


def test_a_pair_of_header_and_voxel_file_is_one_image(tmp_path):
    saved(tmp_path / "a.img", cls=nibabel.Nifti1Pair)
    np.testing.assert_array_equal(read_image(tmp_path / "a.hdr").image.array[0], ARRAY)
    (tmp_path / "a.img").unlink()
    with pytest.raises(ImageError, match=r"its voxels lie in a\.img, which is missing"):
        read_image(tmp_path / "a.hdr")


def test_gzip_in_several_members_is_one_stream(tmp_path):
    whole = saved(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole[:200]) + gzip.compress(whole[200:]))
    reading = read_image(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(reading.image.array[0], ARRAY)
    assert reading.warnings == ()


@pytest.mark.parametrize("keep", [1, 100, 347, 351, 352, 353, 471])
def test_a_file_cut_anywhere_is_refused(tmp_path, keep):
    path = saved(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ImageError, match=str(path)):
        read_image(path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_packed_file_cut_anywhere_is_refused(tmp_path, share):
    path = saved(tmp_path / "a.nii.gz", array=np.random.default_rng(0).integers(0, 999, (8, 8, 8)).astype(np.int16))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ImageError, match="damaged or cut off"):
        read_image(path)


def test_a_bit_flipped_in_the_packed_voxels_is_noticed(tmp_path):
    path = saved(tmp_path / "a.nii.gz", array=np.random.default_rng(0).integers(0, 999, (8, 8, 8)).astype(np.int16))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(ImageError, match="damaged or cut off"):
        read_image(path)


def test_a_small_packed_file_that_claims_terabytes_is_refused_before_memory_is_asked_for(tmp_path):
    whole = bytearray(saved(tmp_path / "a.nii").read_bytes())
    whole[40:48] = np.array([3, 20000, 20000, 20000], dtype="<i2").tobytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(whole)))
    with pytest.raises(ImageError, match="claims 16,000,000,000,352 bytes"):
        read_image(tmp_path / "b.nii.gz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"none\.nii: there is no such file"):
        read_image(tmp_path / "none.nii")


def test_the_name_of_a_reading_is_the_file_without_its_ending(tmp_path):
    assert read_image(saved(tmp_path / "case.v1.nii.gz")).name == "case.v1"
