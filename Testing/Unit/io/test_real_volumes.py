"""Real scans come out as nibabel and SimpleITK read them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.io.itk import quiet_itk
from medseg.io.read import read_image

NIFTI = [
    "01_ct_torso_3mm/ct.nii.gz",
    "01_ct_torso_3mm/ct_slab.nii.gz",
    "02_ct_dicom_series/seg_multiorgan_pseudo.nii.gz",
    "03_ct_aorta_1p5mm/ct.nii.gz",
    "04_mr_torso_slab/mr.nii.gz",
    "05_ms_brain_4channel/flair.nii.gz",
    "06_ms_raw_oblique_aniso/flair.nii.gz",
    "10_brain_ch2_aal/t1.nii.gz",
    "10_brain_ch2_aal/seg_aal116.nii.gz",
    "12_ct_cranium/ct.nii.gz",
]
SERIES = ["02_ct_dicom_series/dicom", "07_mr_prostate_dicom_oblique/t2", "08_ct_head_gantry_tilt_dicom/GE"]


@pytest.fixture(scope="module")
def volumes(shared: Path) -> Path:
    return shared / "data" / "volumes"


def itk_affine(image: sitk.Image) -> np.ndarray:
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


@pytest.mark.parametrize("name", NIFTI)
def test_a_nifti_scan_equals_what_nibabel_reads(real_scan, name):
    reading, expected = read_image(real_scan(name)), nibabel.load(real_scan(name))
    np.testing.assert_array_equal(reading.image.array[0], np.asanyarray(expected.dataobj))
    np.testing.assert_array_equal(reading.image.affine, expected.affine)
    assert reading.warnings == ()


@pytest.mark.parametrize("name", ["example4d_oblique.nii.gz", "pcasl_4d_oblique.nii.gz"])
def test_a_frame_of_a_time_course_equals_what_nibabel_reads(volumes, name):
    reading, expected = read_image(volumes / "09_4d" / name, frame=1), nibabel.load(volumes / "09_4d" / name)
    np.testing.assert_array_equal(reading.image.array[0], np.asanyarray(expected.dataobj)[..., 1])
    np.testing.assert_array_equal(reading.image.affine, expected.affine)


@pytest.mark.parametrize("name", ["brain1_image.nrrd", "brain1_label.nrrd"])
def test_a_nrrd_scan_equals_what_simpleitk_reads(volumes, name):
    path = volumes / "11_brain_nrrd_roi" / name
    reading, expected = read_image(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(reading.image.array[0], sitk.GetArrayFromImage(expected).T)
    np.testing.assert_allclose(reading.image.affine, itk_affine(expected), atol=1e-6)


def test_a_real_scan_written_by_simpleitk_as_nrrd_is_read_as_it_was(sample_scan, tmp_path):
    """The NIfTI reader is held against nibabel above, so that two other programs vouch for this."""
    sitk.WriteImage(sitk.ReadImage(str(sample_scan)), str(tmp_path / "scan.nrrd"))
    reading, expected = read_image(tmp_path / "scan.nrrd"), nibabel.load(sample_scan)
    np.testing.assert_array_equal(reading.image.array[0], np.asanyarray(expected.dataobj))
    np.testing.assert_allclose(reading.image.affine, expected.affine, atol=1e-6)
    assert reading.warnings == ()


@pytest.mark.parametrize("name", SERIES)
def test_a_dicom_series_has_the_voxels_simpleitk_reads(volumes, name):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(volumes / name)))
    with quiet_itk():
        expected = reader.Execute()
    image = read_image(volumes / name).image
    np.testing.assert_array_equal(image.array[0], sitk.GetArrayFromImage(expected).T)
    if "gantry_tilt" not in name:  # SimpleITK straightens a tilted stack
        np.testing.assert_allclose(image.affine, itk_affine(expected), atol=1e-6)


def test_a_tilted_head_scan_puts_its_first_and_last_slice_where_their_tags_do(volumes):
    folder = volumes / "08_ct_head_gantry_tilt_dicom" / "GE"
    reading = read_image(folder)
    places = []
    for path in folder.glob("*.dcm"):
        header = sitk.ImageFileReader()
        header.SetFileName(str(path))
        header.ReadImageInformation()
        places.append([float(word) for word in header.GetMetaData("0020|0032").split("\\")])
    places = np.array(sorted(places, key=lambda place: place[2])) * [-1, -1, 1]
    last = reading.image.affine @ [0, 0, reading.image.shape[2] - 1, 1]
    np.testing.assert_allclose(reading.image.affine[:3, 3], places[0], atol=1e-6)
    np.testing.assert_allclose(last[:3], places[-1], atol=1e-6)
    assert "18.5 degrees" in reading.warnings[1]
    assert "slice distances vary: 4.00 mm is usual" in reading.warnings[0]
