"""A NIfTI file whose sform, qform and pixdim disagree says which is used, and what ITK makes of it, which is asked."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.io.itk import quiet_itk
from medseg.io.read import read_image

ARRAY = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
SFORM = np.diag([1.0, 2.0, 3.0, 1.0])
TURNED = np.array([[0, -2.0, 0, 40], [1, 0, 0, -10], [0, 0, 3, 5], [0, 0, 0, 1]])


def saved(path, sform, qform, codes=(1, 1), pixdim=None):
    image = nibabel.Nifti1Image(ARRAY, sform)
    image.header.set_sform(sform, codes[0])
    image.header.set_qform(qform, codes[1])
    if pixdim is not None:
        image.header["pixdim"][1:4] = pixdim
    nibabel.save(image, path)
    return path


def itk_affine(path):
    with quiet_itk():
        image = sitk.ReadImage(str(path))
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4)])
def test_two_forms_that_differ_are_said_with_what_itk_uses(tmp_path, codes):
    path = saved(tmp_path / "a.nii.gz", SFORM, TURNED, codes)
    reading = read_image(path)
    np.testing.assert_array_equal(reading.image.affine, SFORM)
    (warning,) = reading.warnings
    corners = np.array([[i, j, k, 1] for i in (0, 2) for j in (0, 3) for k in (0, 4)]).T
    apart = np.linalg.norm((SFORM - TURNED) @ corners, axis=0).max()
    assert f"its two geometries (sform, qform) differ by up to {apart:.1f} mm; the sform is used" in warning
    theirs = itk_affine(path)
    used = "use the qform" if np.allclose(theirs, TURNED, atol=1e-4) else "so do 3D Slicer and ITK"
    assert used in warning
    assert np.allclose(theirs, TURNED, atol=1e-4) or np.allclose(theirs, SFORM, atol=1e-4)


@pytest.mark.parametrize("codes", [(1, 0), (2, 0), (1, 1)])
@pytest.mark.parametrize("pixdim", [(1, 2, 5), (2, 2, 3), (1, 2, np.nan)])
def test_a_pixdim_that_contradicts_the_sform_is_said(tmp_path, codes, pixdim):
    path = saved(tmp_path / "a.nii", SFORM, SFORM, codes, pixdim)
    reading = read_image(path)
    np.testing.assert_array_equal(reading.image.affine, SFORM)
    (warning,) = reading.warnings
    assert f"1 x 2 x 3 mm by the sform and {' x '.join(f'{value:g}' for value in pixdim)} mm by pixdim" in warning
    assert "the sform is used; " in warning
    assert "3D Slicer and ITK" in warning


def test_what_itk_shows_elsewhere_is_measured(tmp_path):
    path = saved(tmp_path / "a.nii", SFORM, SFORM, (1, 0), (1, 2, 5))
    apart = np.abs(itk_affine(path)[:3, 2] - SFORM[:3, 2]).max() * 4
    (warning,) = read_image(path).warnings
    said = f"voxels of 1 x 2 x 5 mm, up to {apart:.1f} mm elsewhere" if apart else "so do 3D Slicer and ITK"
    assert said in warning


def test_rounding_is_no_disagreement(tmp_path, oblique_affine):
    path = saved(tmp_path / "a.nii", oblique_affine, oblique_affine)
    assert read_image(path).warnings == ()
