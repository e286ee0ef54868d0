"""Copies that were interrupted, and files that are no image: each is named, and called what it is."""

import gzip

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the files are written by pydicom")

from pydicom.uid import EncapsulatedPDFStorage, SegmentationStorage

from medseg.io.read import read_image
from medseg.spec.errors import ImageError
from scanner_files import compressed, dataset, enhanced, multi_frame, save, volume, write_stack

STACK = volume(6)


def refused(path, words):
    with pytest.raises(ImageError, match=words):
        read_image(path)


def cut(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("number", [0, 3, 5])
def test_a_slice_cut_in_its_voxels_is_refused_by_name_wherever_it_lies(tmp_path, number):
    cut(write_stack(tmp_path, STACK)[number], 0.97)
    refused(tmp_path, rf"s00{number}\.dcm.*; get")


def test_a_slice_cut_in_its_tags_is_refused_with_the_empty_one_beside_it(tmp_path):
    paths = write_stack(tmp_path, STACK)
    cut(paths[4], 0.9)
    paths[5].write_bytes(b"")
    refused(
        tmp_path, r"s004\.dcm \(DICOM that is cut off or damaged\).*s005\.dcm \(empty \(0 bytes\)\).*; get whole copies"
    )


@pytest.mark.parametrize("left", [b"", b"\0" * 900, "start"])
def test_a_file_that_no_longer_says_its_series_is_named_in_a_warning(tmp_path, left):
    path = write_stack(tmp_path, STACK)[5]
    path.write_bytes(path.read_bytes()[:300] if left == "start" else left)
    reading = read_image(tmp_path)
    assert reading.image.shape == (7, 6, 5)
    assert "1 file could not be read, so that slices may be missing: s005.dcm" in reading.warnings[0]


def test_a_damaged_file_of_another_series_is_no_matter_to_one_that_is_whole(tmp_path):
    other = write_stack(tmp_path, STACK, name="b", series="other")
    for path in other[1:]:
        path.unlink()
    cut(other[0], 0.9)
    write_stack(tmp_path, STACK)
    np.testing.assert_array_equal(read_image(tmp_path).image.array[0], STACK)


def test_compressed_voxels_that_end_early_are_refused(tmp_path):
    path = save(compressed(dataset(STACK[:, :, 0])), tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(path).image.array[0], STACK[:, :, :1])
    whole = path.read_bytes()
    for lost in (9, 20, 60):
        path.write_bytes(whole[:-lost])
        refused(path, r"; (get|export)")


def test_a_file_that_is_no_dicom_but_named_so_is_not_called_damaged(tmp_path):
    write_stack(tmp_path, STACK)
    (tmp_path / "notes.dcm").write_text("not an image, " * 30)
    (tmp_path / "readme.txt").write_text("not an image, " * 30)
    assert read_image(tmp_path).warnings == (
        f"{tmp_path}: 1 file are named like slices and are not DICOM: notes.dcm (not DICOM)",
    )


def test_packed_slices_are_named(tmp_path):
    paths = write_stack(tmp_path, STACK)
    packed = tmp_path / "s005.dcm.gz"
    packed.write_bytes(gzip.compress(paths[5].read_bytes()))
    paths[5].unlink()
    assert "s005.dcm.gz (packed by gzip: unpack it first)" in read_image(tmp_path).warnings[0]
    refused(packed, r"this is packed by gzip: unpack it first; give the unpacked file")
    alone = tmp_path / "packed" / "a.dcm.gz"
    alone.parent.mkdir()
    alone.write_bytes(packed.read_bytes())
    refused(alone.parent, r"must hold DICOM images.*a\.dcm\.gz \(packed by gzip")


def test_objects_that_are_no_images_are_called_what_they_are(tmp_path):
    segments = dataset(STACK, storage=SegmentationStorage, Modality="SEG")
    report = dataset(STACK[:, :, 0], storage=EncapsulatedPDFStorage, Modality="DOC", Rows=None, PixelData=None)
    for made, name, words in ((segments, "seg", r"a segmentation \(DICOM SEG\)"), (report, "doc", "a document")):
        path = save(made, tmp_path / name / "a.dcm")
        refused(path, rf"an image is expected, and this is {words}; choose a file of the series")
        refused(path.parent, rf"none of its 1 entries is one \(a\.dcm \({words}\)\); give")
        write_stack(path.parent, STACK)
        assert "left out 1 DICOM files without an image: a.dcm" in read_image(path.parent).warnings[0]


def test_one_file_that_was_cut_is_not_called_without_an_image(tmp_path):
    (path,) = write_stack(tmp_path, STACK[:, :, :1])
    whole = path.read_bytes()
    for length in (140, 400, len(whole) - 80):
        path.write_bytes(whole[:length])
        refused(path, r"cut off or damaged|cannot be read|the file holds")


def test_a_file_cut_anywhere_is_never_called_an_object_without_an_image(tmp_path):
    (path,) = write_stack(tmp_path, STACK[:, :, :1])
    whole = path.read_bytes()
    for length in range(150, len(whole) - 84, 8):  # also between two tags
        path.write_bytes(whole[:length])
        refused(path, r"this is DICOM that (is cut off or damaged|cannot be read)|the file holds")


def test_a_list_of_files_is_not_called_damaged(tmp_path):
    made = dataset(STACK[:, :, 0], Modality=None, Rows=None, Columns=None, PixelData=None, SOPClassUID=None)
    made.DirectoryRecordSequence = []
    path = save(made, tmp_path / "DICOMDIR")
    refused(path, r"this is a list of DICOM files \(DICOMDIR\); choose a file")


@pytest.mark.parametrize("seed", range(3))
def test_random_damage_to_tags_ends_in_an_image_or_a_sentence(tmp_path, seed):
    """In a slice, in functional groups, and in a file of many frames; warnings of pydicom are errors here."""
    rng = np.random.default_rng(seed)
    places = [(0, 0, 2.0 * k) for k in range(6)]
    made = (
        dataset(STACK[:, :, 0], EchoTime=3.5),
        enhanced(STACK, places),
        multi_frame(STACK, GridFrameOffsetVector=[2.0 * k for k in range(6)]),
    )[seed]
    path = save(made, tmp_path / "a.dcm")
    sound = path.read_bytes()
    last = len(sound) - len(made.PixelData)
    counts = {"read": 0, "refused": 0}
    for _ in range(100):
        damaged = np.frombuffer(sound, dtype=np.uint8).copy()
        at = rng.integers(132, last, size=rng.integers(1, 6))
        damaged[at] = rng.choice([0, 255, 92, 45, 46, int(rng.integers(256))], size=at.shape)
        path.write_bytes(damaged.tobytes())
        try:
            read_image(path)
            counts["read"] += 1
        except ImageError:
            counts["refused"] += 1
    assert min(counts.values()) > 0
