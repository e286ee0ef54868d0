"""Radiographs have the values that pydicom reads, bones bright, and the pixels that the standard gives them."""

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

pytest.importorskip("pydicom", reason="the files are written and read again by pydicom")

import pydicom
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from medseg.io.read import read_image
from medseg.jobs.batch.cases import find_cases
from medseg.spec.errors import ImageError
from medseg.spec.manifest import Code, LabelSpec
from radiographs import write_radiograph
from small_manifest import small_manifest

PIXELS = np.random.default_rng(5).integers(0, 4096, (30, 40)).astype(np.uint16)  # rows, columns
KNOWN = {"PixelSpacing": [0.2, 0.3]}
CODE = Code("SCT", "39607008", "Lung")


def plane(path):
    """The values of a file as rows x columns."""
    image = read_image(path).image
    assert image.shape[2] == 1
    return image.array[0, :, :, 0].T


@pytest.mark.parametrize(
    ("storage", "modality"),
    [
        (ComputedRadiographyImageStorage, "CR"),
        (DigitalXRayImageStorageForPresentation, "DX"),
        (DigitalMammographyXRayImageStorageForPresentation, "MG"),
        (SecondaryCaptureImageStorage, "OT"),
    ],
)
def test_a_radiograph_is_one_slice_with_the_values_of_pydicom_and_its_modality(tmp_path, storage, modality):
    path = write_radiograph(tmp_path / "a.dcm", PIXELS, storage=storage, Modality=modality, **KNOWN)
    reading = read_image(path)
    np.testing.assert_array_equal(plane(path), pydicom.dcmread(path).pixel_array)
    assert reading.image.modality == modality
    assert reading.image.spacing == pytest.approx((0.3, 0.2, 1))
    assert reading.image.size_unit == "cm2"
    assert reading.warnings == ()
    np.testing.assert_array_equal(plane(tmp_path), PIXELS)  # the folder it is alone in


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_that_are_not_stored_do_not_count_also_where_values_are_turned_over(tmp_path, bits, signed):
    """MONOCHROME1 is turned over within the stored bits: the lowest value they can hold becomes the highest."""
    stored = PIXELS & np.uint16((1 << bits) - 1)
    high = stored | np.uint16(0 if bits == 16 else 0xFFFF << bits & 0xFFFF)  # an overlay, or what was there before
    pixels = high if not signed else np.where(stored >> (bits - 1), high, stored)
    truth = pydicom.dcmread(write_radiograph(tmp_path / "2.dcm", pixels.astype(np.uint16), bits=bits, signed=signed))
    values = stored.astype(int) - (((stored >> (bits - 1)) & 1).astype(int) << bits if signed else 0)
    if signed:
        np.testing.assert_array_equal(truth.pixel_array, values)
    np.testing.assert_array_equal(plane(tmp_path / "2.dcm"), values)
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    inverted = write_radiograph(tmp_path / "1.dcm", pixels.astype(np.uint16), bits=bits, signed=signed, **tags)
    if signed and bits == 12:  # GDCM does not turn these over, and says so
        with pytest.raises(ImageError, match="cannot be decoded"):
            read_image(inverted)
        return
    ends = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    np.testing.assert_array_equal(plane(inverted), sum(ends) - values)


def test_the_rescale_of_the_modality_is_applied_after_turning_over_and_no_window_is(tmp_path):
    tags = {"RescaleSlope": 0.5, "RescaleIntercept": -10, "WindowCenter": 100, "WindowWidth": 10}
    path = write_radiograph(tmp_path / "a.dcm", PIXELS, PhotometricInterpretation="MONOCHROME1", **tags)
    np.testing.assert_allclose(plane(path), (4095.0 - PIXELS) * 0.5 - 10)


@pytest.mark.parametrize(
    ("tags", "spacing", "words"),
    [
        (KNOWN, (0.3, 0.2), ""),
        (KNOWN | {"ImagerPixelSpacing": [0.4, 0.6]}, (0.3, 0.2), ""),
        ({"ImagerPixelSpacing": [0.4, 0.6]}, (0.6, 0.4), "magnified: areas are too large"),
        (KNOWN | {"ImagerPixelSpacing": [0.2, 0.3]}, (0.3, 0.2), "measured at the detector"),
        (KNOWN | {"ImagerPixelSpacing": [0.2, 0.3], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.3, 0.2), ""),
        (
            {"ImagerPixelSpacing": [0.4, 0.6], "EstimatedRadiographicMagnificationFactor": 1.25},
            (0.48, 0.32),
            "divided by the estimated magnification, 1.25: areas are estimates",
        ),
        ({"NominalScannedPixelSpacing": [0.1, 0.2]}, (0.2, 0.1), "on the film that was scanned"),
    ],
)
def test_pixels_are_as_large_as_the_best_of_the_tags_says(tmp_path, tags, spacing, words):
    reading = read_image(write_radiograph(tmp_path / "a.dcm", PIXELS, **tags))
    assert reading.image.spacing == pytest.approx((*spacing, 1))
    assert reading.image.spacing_known
    assert words in " ".join(reading.warnings)
    assert len(reading.warnings) == bool(words)


def test_where_no_tag_says_how_large_they_are_it_is_unknown(tmp_path):
    reading = read_image(write_radiograph(tmp_path / "a.dcm", PIXELS))
    assert (reading.image.size_unit, reading.image.spacing) == ("voxels", (1, 1, 1))
    (words,) = reading.warnings
    assert "no area can be given" in words


@pytest.mark.parametrize("orientation", [["L", "F"], ["R", "F"], ["L", "H"], ["RA", "FP"]])
def test_left_is_where_the_file_says_it_is(tmp_path, orientation):
    path = write_radiograph(tmp_path / "a.dcm", PIXELS, PatientOrientation=orientation, **KNOWN)
    reading = read_image(path)
    left, back = (reading.image.affine @ [1, 1, 0, 0])[:2] * -1  # one column and one row on, in LPS
    assert left == pytest.approx(0.3 if orientation[0][0] == "L" else -0.3)
    assert back == pytest.approx(0.2 if orientation[1][0] == "F" else -0.2)
    assert reading.warnings == ()


def test_a_lateral_view_is_told(tmp_path):
    (words,) = read_image(write_radiograph(tmp_path / "a.dcm", PIXELS, PatientOrientation=["A", "F"], **KNOWN)).warnings
    assert "a frontal radiograph has L\\F or R\\F" in words


def test_it_lies_where_itk_and_so_3d_slicer_places_it(tmp_path):
    """ITK looks for the spacing of a CR at the detector alone."""
    tags = {"PatientOrientation": ["L", "F"], "ImagerPixelSpacing": [0.2, 0.3]}
    theirs = sitk.ReadImage(str(write_radiograph(tmp_path / "a.dcm", PIXELS, **tags)))
    ours = read_image(tmp_path / "a.dcm").image
    for index in ((0, 0, 0), (7, 3, 0)):
        lps = theirs.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((ours.affine @ [*index, 1])[:3], [-lps[0], -lps[1], lps[2]], atol=1e-9)
        assert theirs[index] == ours.array[0][index]


def test_a_lut_shape_that_contradicts_the_photometric_interpretation_is_told(tmp_path):
    path = write_radiograph(tmp_path / "a.dcm", PIXELS, PresentationLUTShape="INVERSE", **KNOWN)
    (words,) = read_image(path).warnings
    assert "contradict each other" in words
    np.testing.assert_array_equal(plane(path), PIXELS)


def two_views(folder):
    """PA and lateral in one series, as they come from an archive."""
    folder.mkdir()
    for number, view in enumerate(("PA", "LL")):
        write_radiograph(folder / f"{view}.dcm", PIXELS + number, bits=16, ViewPosition=view, SeriesDescription="Chest")
    return folder


def test_two_views_are_never_stacked_and_each_is_read_alone(tmp_path):
    folder = two_views(tmp_path / "chest")
    with pytest.raises(ImageError, match=r"here are 2: .*view LL \(LL\.dcm\); .*view PA \(PA\.dcm\); give one file"):
        read_image(folder)
    np.testing.assert_array_equal(plane(folder / "PA.dcm"), PIXELS)
    np.testing.assert_array_equal(plane(folder / "LL.dcm"), PIXELS + 1)


def test_a_batch_has_a_case_for_each_view(tmp_path):
    folder = two_views(tmp_path / "chest")
    labels = (LabelSpec(value=1, name="lung", color=(9, 9, 9), category=CODE, type=CODE),)
    cases = find_cases(folder, small_manifest(labels=labels), tmp_path / "out", ".nrrd")
    assert [(case.name, case.inputs) for case in cases] == [
        (f"chest_{view}", (str(folder / f"{view}.dcm"),)) for view in ("LL", "PA")
    ]


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_what_was_compressed_without_loss_comes_back(tmp_path, compressor):
    write_radiograph(tmp_path / "plain.dcm", PIXELS, bits=16, **KNOWN)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(tmp_path / "plain.dcm"))
    image = reader.Execute()
    for tag in ("0008|0016", "0008|0060", "0020|000e", "0028|0030"):
        image.SetMetaData(tag, reader.GetMetaData(tag))
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "small.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(image)
    syntax = pydicom.dcmread(tmp_path / "small.dcm").file_meta.TransferSyntaxUID
    assert syntax.is_compressed
    np.testing.assert_array_equal(plane(tmp_path / "small.dcm"), PIXELS)


def test_run_lengths_of_pydicom_come_back(tmp_path):
    data = pydicom.dcmread(write_radiograph(tmp_path / "a.dcm", PIXELS, **KNOWN))
    data.compress(RLELossless)
    data.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(plane(tmp_path / "a.dcm"), PIXELS)


def test_what_cannot_be_decoded_is_refused_by_the_name_of_its_syntax(tmp_path):
    data = pydicom.dcmread(write_radiograph(tmp_path / "a.dcm", PIXELS, **KNOWN))
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(100)])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.201")  # high-throughput JPEG 2000
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(ImageError, match=r"transfer syntax 1\.2\.840\.10008\.1\.2\.4\.201, cannot be decoded"):
        read_image(tmp_path / "a.dcm")


def test_a_captured_picture_in_colours_that_are_all_the_same_is_grey(tmp_path):
    grey = (PIXELS // 16).astype(np.uint8)
    colours = np.repeat(grey[:, :, None], 3, axis=2)
    tags = {"bits": 8, "storage": SecondaryCaptureImageStorage, "Modality": "OT"}
    np.testing.assert_array_equal(plane(write_radiograph(tmp_path / "a.dcm", colours, **tags)), grey)
    colours[3, 4] = (250, 0, 0)
    with pytest.raises(ImageError, match="its colours differ by up to 250; convert it to grey"):
        read_image(write_radiograph(tmp_path / "b.dcm", colours, **tags))
