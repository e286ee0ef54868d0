"""Every broken or odd file of the corpus is accepted, warned about or refused, as a clinician would want it."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg.io.read import read_image, read_labels
from medseg.spec.errors import ImageError

ALLOWED = {
    "accept": {"accepted"},
    "warn": {"warned", "refused"},
    "reject": {"refused"},
    "either": {"accepted", "warned", "refused"},
}

# words of the sentence: the rule and the value
WARNED = {
    "constant_nonzero.nii.gz": "every voxel is 37",
    "constant_zero.nii.gz": "every voxel is 0",
    "dicom_duplicate_position": "where another one does were left out: imA003.dcm",
    "dicom_gantry_tilt": "shifted against each other by 18.0 degrees",
    "dicom_irregular_spacing": "2.00 mm is usual, but 5.00 mm after imA005.dcm",
    "dicom_missing_slice": "missing slices: 1: 2.00 mm is usual, but 4.00 mm after imA006.dcm",
    "dicom_no_pixelspacing": "Pixel Spacing (0028,0030) is absent",
    "dicom_no_position": "Image Position or Orientation",
    "inf_voxels.nii.gz": "0 NaN and 2 infinite",
    "label_empty.nii.gz": "every voxel is 0",  # as an image; as a labelmap it is accepted, see below
    "nan_block.nii.gz": "27 NaN and 0 infinite",
    "nan_inf.nrrd": "27 NaN and 1 infinite",
    "negative_pixdim.nii": "has minus signs",
    "no_qform_sform.nii": "orientation is unknown",
    "nrrd_no_space.nrrd": "orientation is unknown",
    "nrrd_nonorthogonal.nrrd": "24.0 degrees off perpendicular",
    "one_voxel.nii.gz": "every voxel is -999",
    "outlier_1e30.nii.gz": "1e+30",
    "qform_sform_differ.nii.gz": "differ by up to 42.4 mm; the sform is used",
    "sheared_sform.nii.gz": "19.3 degrees off perpendicular",
    "trailing_garbage.nii.gz": "bytes that are not gzip follow",
}
REFUSED = {
    "4d_time.nii.gz": "choose one with --frame 0..2",
    "5d_full.nii.gz": "24 x 20 x 16 x 2 x 2",
    "5d_vector.nii.gz": "24 x 20 x 16 x 1 x 3",
    "7d.nii.gz": "8 x 8 x 8 x 1 x 1 x 1 x 2",
    "all_nan.nii.gz": "all 7,680 are NaN",
    "all_nan.nrrd": "all 7,680 are NaN",
    "bad_crc.nii.gz": "CRC check failed",
    "bad_datatype_code.nii": "9999",
    "bad_magic.nii": "'XXXX'",
    "claims_16TB.nii": "promises 16,000,000,000,000 bytes and the file holds 15,360",
    "dicom_empty_dir": "must hold DICOM images",
    "dicom_mixed_series": "one series is expected, got 2: CT 'synthetic A' 24 x 20 x 16",
    "dicom_short_pixeldata": "need 960 bytes and the file holds 100",
    "dicom_size_changes": "all slices are 24 x 20, got 24 x 10",
    "dtype_complex64.nii.gz": "complex (NIfTI datatype 32); save the magnitude",
    "empty.nii.gz": "0 bytes",
    "empty.nrrd": "0 bytes",
    "header_only.nii": "promises 15,360 bytes and the file holds 0",
    "huge_spacing.nii.gz": "0.001..100 mm, got 1000 x 1000 x 1000 mm",
    "mhd_missing_raw.mhd": "'absent.raw', which is missing",
    "mhd_short.mhd": "promises 15,360 bytes and mhd_short.raw holds 1,000",
    "mhd_short.raw": "NIfTI, NRRD, MetaImage, DICOM, PNG or JPEG",
    "nan_affine.nii": "must be finite numbers, got nan 0 0 0",
    "negative_dim.nii": "-24 x 20 x 16",
    "nrrd_bad_type.nrrd": "'quaternion'",
    "nrrd_missing_datafile.nhdr": "'not_there.raw', which is missing",
    "nrrd_nan_dirs.nrrd": "must be finite numbers, got nan",
    "nrrd_singular_dirs.nrrd": "must point in different directions",
    "nrrd_sizes_too_small.nrrd": "promise 1,920 bytes and the file holds 15,360",
    "nrrd_wrong_sizes.nrrd": "promises 122,880 bytes and the file holds 15,360",
    "rgb24.nii.gz": "RGB colour (NIfTI datatype 128); save one grey channel",
    "scl_slope_inf.nii": "must be finite, got inf",
    "singular_affine.nii": "got 0 x 0 x 0 mm",
    "text_renamed.dcm": "b'This is not an i'",
    "text_renamed.nii": "b'This is not an i'",
    "text_renamed.nii.gz": "b'This is not an i'",
    "tiny_spacing.nii.gz": "got 1e-05 x 1e-05 x 1e-05 mm",
    "truncated.nii": "promises 15,360 bytes and the file holds 5,120",
    "truncated.nii.gz": "damaged or cut off",
    "zero_dim.nii": "24 x 0 x 16",
    "zero_spacing.nii": "got 0 x 0 x 0 mm",
}
# sound as images; whether a labelmap fits an image is asked by those who compare the two
COMPARED_LATER = {"label_wrong_shape.nii.gz", "label_empty.nii.gz"}


@pytest.fixture(scope="module")
def corpus(bad_inputs) -> Path:
    return bad_inputs[0]


@pytest.fixture(scope="module")
def manifest(bad_inputs) -> dict[str, str]:
    return bad_inputs[1]


def outcome(path: Path) -> tuple[str, str]:
    try:
        reading = read_image(path)
    except ImageError as error:
        return "refused", str(error)
    return ("warned" if reading.warnings else "accepted"), " | ".join(reading.warnings)


def test_every_entry_of_the_corpus_has_the_outcome_stated_here(corpus, manifest):
    wrong = {}
    for name in manifest:
        expected = "refused" if name in REFUSED else "warned" if name in WARNED else "accepted"
        found, sentence = outcome(corpus / name)
        words = REFUSED.get(name) or WARNED.get(name) or ""
        if found != expected or words not in sentence or (sentence and str(corpus / name) not in sentence):
            wrong[name] = (expected, words, found, sentence)
    assert not wrong
    assert len(manifest) == 106


def test_every_stated_outcome_is_one_the_corpus_allows(manifest):
    assert set(REFUSED) | set(WARNED) <= set(manifest)
    for name, expect in manifest.items():
        stated = "refused" if name in REFUSED else "warned" if name in WARNED else "accepted"
        assert stated in ALLOWED[expect] or name in COMPARED_LATER, name


def test_every_refusal_says_what_to_do_next(corpus):
    for name in REFUSED:
        with pytest.raises(ImageError, match=r";[^;]*\b(save|get|export|check|choose|convert|put|give|move|correct)\b"):
            read_image(corpus / name)


def test_a_frame_chosen_from_a_time_course_is_the_one_asked_for(corpus):
    first = read_image(corpus / "4d_time.nii.gz", frame=0).image.array
    last = read_image(corpus / "4d_time.nii.gz", frame=2).image.array
    assert (last - first == 9).all()
    with pytest.raises(ImageError, match=r"last one here is 2, got 3; choose 0\.\.2"):
        read_image(corpus / "4d_time.nii.gz", frame=3)


@pytest.mark.parametrize(
    ("name", "words"),
    [("label_float.nii.gz", "whole numbers, got 0.99"), ("label_negative_300.nii.gz", r"got -1\.\.300")],
)
def test_labels_that_are_not_whole_or_negative_are_refused(corpus, name, words):
    with pytest.raises(ImageError, match=words):
        read_labels(corpus / name)


@pytest.mark.parametrize("name", ["label_ok.nii.gz", "label_empty.nii.gz", "label_shifted.nii.gz"])
def test_sound_labelmaps_are_read_in_the_smallest_unsigned_type(corpus, name):
    assert read_labels(corpus / name).array.dtype == "uint8"


def test_a_label_on_another_grid_shows_it(corpus):
    image = read_image(corpus / "ok_reference.nii.gz").image
    assert read_labels(corpus / "label_ok.nii.gz").shape == image.shape
    assert read_labels(corpus / "label_wrong_shape.nii.gz").shape == (22, 20, 16)
    assert read_labels(corpus / "label_shifted.nii.gz").affine[0, 3] - image.affine[0, 3] == 7


def test_a_reoriented_copy_holds_the_same_voxels_at_the_same_places(corpus):
    whole = read_image(corpus / "ok_reference.nii.gz").image
    rng = np.random.default_rng(0)
    for code in ("LPS", "LAS", "RAI", "PIR", "ASL", "SRA"):
        turned = read_image(corpus / f"orient_{code}.nii.gz").image
        for voxel in rng.integers(0, turned.shape, size=(20, 3)):
            place = turned.affine @ [*voxel, 1]
            i, j, k = np.round(np.linalg.solve(whole.affine, place))[:3].astype(int)
            assert turned.array[0][tuple(voxel)] == whole.array[0, i, j, k]


def test_nan_voxels_become_the_lowest_finite_value_and_the_rest_is_untouched(corpus):
    expected = np.asarray(nibabel.load(corpus / "nan_block.nii.gz").dataobj)
    found = read_image(corpus / "nan_block.nii.gz").image.array[0]
    bad = np.isnan(expected)
    assert (found[bad] == expected[~bad].min()).all()
    assert (found[~bad] == expected[~bad]).all()


def test_a_tilted_gantry_keeps_the_direction_in_which_its_slices_move(corpus):
    affine = read_image(corpus / "dicom_gantry_tilt").image.affine
    lps_step = [0, 2 * np.tan(np.radians(18)), 2]
    np.testing.assert_allclose(affine[:3, 2], np.array([-1, -1, 1]) * lps_step, atol=1e-9)


def test_slices_are_sorted_by_position_not_by_name(corpus):
    straight, reversed_ = (read_image(corpus / name).image for name in ("dicom_ok", "dicom_reversed_names"))
    np.testing.assert_array_equal(straight.array, reversed_.array)
    np.testing.assert_array_equal(straight.affine, reversed_.affine)


def test_one_file_of_a_mixed_folder_selects_its_series(corpus):
    assert read_image(corpus / "dicom_mixed_series" / "imA004.dcm").image.shape == (24, 20, 16)
    assert read_image(corpus / "dicom_mixed_series" / "imB004.dcm").image.shape == (16, 16, 16)


def test_a_rescale_slope_that_differs_between_slices_is_applied_to_each(corpus, tmp_path):
    sound = read_image(corpus / "dicom_ok").image.array[0]
    for path in (corpus / "dicom_ok").iterdir():
        whole = path.read_bytes()
        if path.name == "imA007.dcm":
            assert b"\x28\x00\x53\x10DS\x04\x001.0 " in whole
            whole = whole.replace(b"\x28\x00\x53\x10DS\x04\x001.0 ", b"\x28\x00\x53\x10DS\x04\x003.0 ")
        (tmp_path / path.name).write_bytes(whole)
    factors = np.where(np.arange(16) == 7, 3, 1)
    np.testing.assert_array_equal(read_image(tmp_path).image.array[0], sound * factors)


@pytest.mark.parametrize(
    "name", ["scl_slope_half.nii", "no_qform_sform.nii", "nrrd_lefthanded.nrrd", "nan_inf.nrrd", "mhd_short.mhd"]
)
def test_random_damage_to_a_header_ends_in_an_image_or_a_sentence(corpus, tmp_path, name):
    rng = np.random.default_rng(0)
    sound = (corpus / name).read_bytes()
    refused = 0
    for trial in range(150):
        damaged = np.frombuffer(sound, dtype=np.uint8).copy()
        places = rng.integers(0, min(352, len(sound)), size=rng.integers(1, 6))
        damaged[places] = rng.choice([0, 255, 127, 45, 57, int(rng.integers(256))], size=places.shape)
        path = tmp_path / f"{trial}{Path(name).suffix}"
        path.write_bytes(damaged.tobytes())
        found, sentence = outcome(path)
        assert found != "refused" or str(path) in sentence
        refused += found == "refused"
    assert refused > 0
