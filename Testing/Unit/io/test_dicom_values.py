"""Voxel values mean the same in every slice of a series, or a sentence says that they may not."""

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the files are written by pydicom")

import pydicom
from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage

from medseg.io.read import read_image
from medseg.spec.errors import ImageError
from scanner_files import dataset, save, volume, write_stack

STACK = volume(5)


@pytest.mark.parametrize("storage", [CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage])
@pytest.mark.parametrize(("bits", "signed"), [(16, 1), (16, 0), (12, 0), (10, 0)])
@pytest.mark.parametrize("rescale", [(1, 0), (2, -1024), (0.5, 3)])
def test_monochrome1_slices_of_a_volume_have_the_values_of_the_modality(tmp_path, storage, bits, signed, rescale):
    """It only says that viewers show them turned over; pydicom gives the stored values."""
    tags = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": signed}
    tags |= {"RescaleSlope": rescale[0], "RescaleIntercept": rescale[1], "PhotometricInterpretation": "MONOCHROME1"}
    paths = write_stack(tmp_path, STACK[:, :, :2] - 300 * signed, storage=storage, **tags)
    reading = read_image(tmp_path)
    for k, path in enumerate(paths):
        truth = pydicom.dcmread(path).pixel_array.T * np.float64(rescale[0]) + rescale[1]
        np.testing.assert_array_equal(reading.image.array[0, :, :, k], truth)
    assert "MONOCHROME1 (0028,0004): viewers show it turned over" in " ".join(reading.warnings)


def test_monochrome1_in_some_slices_alone_changes_no_value_and_is_said(tmp_path):
    each = [{"PhotometricInterpretation": f"MONOCHROME{1 + (k != 2)}"} for k in range(5)]
    write_stack(tmp_path, STACK, each=each)
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], STACK)
    said = "Photometric Interpretation (0028,0004): MONOCHROME2 in 4, MONOCHROME1 in 1"
    assert said in " ".join(reading.warnings)


def test_a_rescale_that_differs_between_slices_is_applied_to_each_and_said(tmp_path):
    each = [{"RescaleSlope": 1 + k % 2, "RescaleIntercept": -10} for k in range(5)]
    write_stack(tmp_path, STACK, each=each)
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], STACK * (1 + np.arange(5) % 2) - 10)
    assert "differs between slices in 2 ways: that of each is applied" in " ".join(reading.warnings)


def test_a_rescale_of_each_slice_is_ordinary_in_pet(tmp_path):
    each = [{"RescaleSlope": 1 + k, "RescaleIntercept": 0} for k in range(5)]
    write_stack(tmp_path, STACK, each=each, storage=PositronEmissionTomographyImageStorage, Modality="PT")
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], STACK * np.arange(1, 6))
    assert reading.warnings == ()


def test_a_rescale_that_only_some_slices_have_is_said(tmp_path):
    each = [{"RescaleSlope": 1, "RescaleIntercept": -1024} if k else {} for k in range(5)]
    write_stack(tmp_path, STACK, each=each)
    assert "1 of 5 slices have no Rescale (0028,1052 and 0028,1053), e.g. s000.dcm" in read_image(tmp_path).warnings[0]


@pytest.mark.parametrize(("tag", "values"), [("RescaleType", ("HU", "US")), ("Units", ("BQML", "CNTS"))])
def test_units_that_differ_between_slices_are_said(tmp_path, tag, values):
    write_stack(tmp_path, STACK, each=[{tag: values[k == 4]} for k in range(5)])
    assert f"{values[0]} in 4, {values[1]} in 1; their values may not mean the same" in read_image(tmp_path).warnings[0]


@pytest.mark.parametrize("written", [-2000, 63536])
def test_padding_is_counted_whichever_sign_its_tag_is_written_with(tmp_path, written):
    voxels = STACK.copy()
    voxels[:2, 0] = -2000
    for k in range(5):
        made = dataset(voxels[:, :, k], ImagePositionPatient=(0, 0, 2.0 * k), RescaleSlope=1, RescaleIntercept=-24)
        made.add_new(0x00280120, "SS" if written < 0 else "US", written)
        save(made, tmp_path / f"{k}.dcm")
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], voxels - 24)
    assert "10 voxels are padding (Pixel Padding Value 0028,0120; here -2024)" in reading.warnings[0]


def test_a_palette_is_refused_as_colour(tmp_path):
    tags = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    made = dataset(STACK[:, :, 0], PhotometricInterpretation="PALETTE COLOR", **tags)
    made.PixelData = bytes(42)
    for number, name in enumerate(("Red", "Green", "Blue")):
        made.add_new(0x00281101 + number, "US", [256, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", (np.arange(256) * 257).astype("<u2").tobytes())
    path = save(made, tmp_path / "a.dcm")
    with pytest.raises(ImageError, match=r"have 3 \(colour: PALETTE COLOR\); choose a grey series"):
        read_image(path)


def test_a_lookup_table_of_the_modality_that_is_not_applied_is_said(tmp_path):
    table = pydicom.Dataset()
    table.add_new(0x00283002, "US", [4, 0, 16])
    table.ModalityLUTType = "US"
    table.add_new(0x00283006, "OW", np.arange(4, dtype="<u2").tobytes())
    write_stack(tmp_path, STACK, ModalityLUTSequence=pydicom.Sequence([table]))
    assert "Modality LUT (0028,3000), which is not applied" in " ".join(read_image(tmp_path).warnings)


def test_a_slope_of_0_is_said_and_1_is_used(tmp_path):
    tags = {"RescaleSlope": 0, "RescaleIntercept": 0, "PhotometricInterpretation": "MONOCHROME1"}
    write_stack(tmp_path, STACK, **tags)
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], STACK)
    assert "Rescale Slope (0028,1053) is 0, which means nothing, and 1 is used" in " ".join(reading.warnings)


def test_axes_that_are_no_directions_are_refused(tmp_path):
    write_stack(tmp_path, STACK, ImageOrientationPatient=(0, 0, 0, 0, 0, 0))
    with pytest.raises(ImageError, match=r"two directions of length 1, got 0\.000 0\.000.*; export"):
        read_image(tmp_path)
