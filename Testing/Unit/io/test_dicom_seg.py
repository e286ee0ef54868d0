"""A DICOM SEG lies where its series lies, in highdicom, in dcmqi and in our own reader, with the manifest's codes."""

import shutil
import subprocess
from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest

from dicom_round_trips import (
    ALGORITHM,
    ANATOMY,
    OBLIQUE,
    SPECS,
    STRAIGHT,
    by_dcmqi,
    by_highdicom,
    farthest,
    points_of,
)
from dicom_series import places, write_mr_series
from medseg.imaging.image import Image
from medseg.io.dicom_results.source import MAY_BE_EMPTY, open_source
from medseg.io.dicom_results.write_seg import make_segmentation
from medseg.io.read import read_image, read_labels, read_layers
from medseg.spec.errors import ImageError, JobError
from medseg.spec.labels import Code
from radiographs import write_radiograph

VOLUME = np.random.default_rng(0).integers(0, 1000, (10, 8, 7))
EVEN = np.arange(7) * 2.5
UNEVEN = [0, 2.5, 5, 8.5, 11, 13.5, 16]
READERS = {"highdicom": by_highdicom, "dcmqi": by_dcmqi}


def series(folder, axes=STRAIGHT, heights=EVEN, *, shift=0.0, **choices):
    """A series as it was read, and its headers in the order of its grid."""
    volume = VOLUME[:, :, : len(heights)]
    reading = read_image(write_mr_series(folder, volume, places(axes, heights, shift=shift), axes, **choices))
    return reading, open_source(reading.sources, reading.image)


def drawn(grid):
    """Labels 1 and 2 with slices in between that hold nothing, in no symmetric place; label 3 has no voxel."""
    array = np.zeros((1, *grid.shape), np.uint8)
    array[0, 2:5, 3:6, 1:3] = 1
    array[0, 6:9, 1:4, 5:6] = 2
    return Image(array, grid.affine)


def written(path, source, labels, specs=SPECS, **choices):
    make_segmentation(source, labels, specs, ALGORITHM, **choices).save_as(path)
    return path


def validate(path):
    """What dciodvfy finds, without the warnings."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (package dicom3tools)")
    said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    assert "Segmentation" in said  # it knew what it looked at
    return [line for line in said.splitlines() if line.startswith("Error")]


def test_every_segment_lies_where_it_was_drawn_whichever_program_reads_it(tmp_path):
    for name, axes, heights, choices in (
        ("straight", STRAIGHT, EVEN, {}),
        ("oblique", OBLIQUE, EVEN, {}),
        ("slices that overlap", OBLIQUE, EVEN, {"thickness": 5.0}),
        ("slices with gaps", STRAIGHT, EVEN, {"thickness": 1.0}),
        ("anisotropic", OBLIQUE, EVEN * 2.4, {"spacing": (0.31, 0.29), "thickness": 6.0}),
    ):
        reading, source = series(tmp_path / name, axes, heights, **choices)
        labels = drawn(reading.image)
        path = written(tmp_path / f"{name}.dcm", source, labels)
        assert source.warnings == ()
        assert validate(path) == [], name
        for reader, read in READERS.items():
            found = read(path, tmp_path / "dcmqi")
            assert list(found) == [spec.name for spec in SPECS]
            for spec in SPECS:
                truth = points_of(labels.array[0] == spec.value, reading.image.affine)
                assert farthest(found[spec.name].points, truth) < 1e-4, (name, reader, spec.name)
                assert found[spec.name].type == spec.type.value
                assert found[spec.name].modifier == ("" if spec.type_modifier is None else spec.type_modifier.value)


def test_one_slice_lies_where_it_was_drawn(tmp_path):
    reading, source = series(tmp_path / "one", OBLIQUE, [0.0], thickness=4.0)
    array = np.zeros((1, *reading.image.shape), np.uint8)
    array[0, 2:5, 3:6, 0] = 1
    path = written(tmp_path / "one.dcm", source, Image(array, reading.image.affine))
    for read in READERS.values():
        found = read(path, tmp_path / "dcmqi")["left amygdala"].points
        assert farthest(found, points_of(array[0] == 1, reading.image.affine)) < 1e-4


@pytest.mark.parametrize("labelmap", [False, True])
def test_our_own_reader_gives_the_labels_back(tmp_path, labelmap):
    for name, axes, heights, shift in (
        ("oblique", OBLIQUE, EVEN, 0.0),
        ("tilted", OBLIQUE, EVEN, 0.3),
        ("uneven", STRAIGHT, UNEVEN, 0.0),
        ("uneven and tilted", OBLIQUE, UNEVEN, -0.2),
        ("a slice is missing", OBLIQUE, [0, 2.5, 5, 7.5, 12.5, 15, 17.5], 0.0),
    ):
        reading, source = series(tmp_path / name, axes, heights, shift=shift)
        labels = drawn(reading.image)
        path = written(tmp_path / f"{name}.dcm", source, labels, labelmap=labelmap)
        again = read_labels(path, reading)
        np.testing.assert_array_equal(again.array, labels.array, err_msg=name)
        np.testing.assert_array_equal(again.affine, reading.image.affine)


def test_alone_a_file_is_read_on_the_slices_that_it_holds(tmp_path):
    for name, shift in (("even", 0.0), ("tilted", 0.3)):
        reading, source = series(tmp_path / name, OBLIQUE, shift=shift)
        labels = drawn(reading.image)
        alone = read_labels(written(tmp_path / f"{name}.dcm", source, labels))
        assert alone.shape == (10, 8, 5)  # slices 1 to 5
        for value in (1, 2):
            truth = points_of(labels.array[0] == value, reading.image.affine)
            assert farthest(points_of(alone.array[0] == value, alone.affine), truth) < 1e-4


def test_a_file_of_uneven_slices_is_not_stretched_but_refused_where_its_series_is_not_at_hand(tmp_path):
    reading, source = series(tmp_path / "uneven", STRAIGHT, UNEVEN)
    path = written(tmp_path / "uneven.dcm", source, drawn(reading.image))
    with pytest.raises(ImageError, match=r"not evenly spaced.*beside the DICOM series"):
        read_labels(path)


def test_who_would_refuse_or_bend_a_series_is_warned_about_and_does(tmp_path):
    for name, heights, shift, word in (("tilt", EVEN, 0.3, "tilted"), ("gap", UNEVEN, 0.0, "unevenly spaced")):
        reading, source = series(tmp_path / name, OBLIQUE, heights, shift=shift)
        assert f"the slices are {word}" in source.warnings[0]
        path = written(tmp_path / f"{name}.dcm", source, drawn(reading.image))
        assert validate(path) == []
        with pytest.raises(RuntimeError, match="regularly-spaced"):
            highdicom.seg.segread(path).get_volume()
        positions = {
            tuple(round(float(value), 6) for value in frame.PlanePositionSequence[0].ImagePositionPatient)
            for frame in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
        }
        told = {tuple(np.round(place, 6)) for place in places(OBLIQUE, heights, shift=shift)}
        assert positions < told  # the true places, of some slices


def test_a_volume_of_many_voxels_made_from_the_same_slices_takes_the_segments(tmp_path):
    """A NIfTI of the series has its axes turned over, as dcm2niix writes it; voxels are the same."""
    reading, source = series(tmp_path / "series", OBLIQUE)
    labels = drawn(reading.image)
    path = written(tmp_path / "labels.dcm", source, labels)
    turn = np.eye(4)
    turn[1, 1], turn[1, 3] = -1, reading.image.shape[1] - 1
    image = replace(reading.image, array=reading.image.array[:, :, ::-1], affine=reading.image.affine @ turn)
    again = read_labels(path, replace(reading, image=image, sources=()))
    np.testing.assert_array_equal(again.array, labels.array[:, :, ::-1])
    shifted = image.affine.copy()
    shifted[:3, 3] += 0.2
    with pytest.raises(ImageError, match="not those of the image it belongs to"):
        read_labels(path, replace(reading, image=replace(image, affine=shifted), sources=()))


def test_segments_that_overlap_are_kept_whole(tmp_path):
    reading, source = series(tmp_path / "series", OBLIQUE)
    array = np.zeros((2, *reading.image.shape), np.uint8)
    array[0, 2:6, 2:6, 1:4] = 1
    array[1, 4:8, 3:7, 2:5] = 3
    array[0, 0, 0, 6] = 2
    path = written(tmp_path / "labels.dcm", source, Image(array, reading.image.affine))
    assert validate(path) == []
    for read in READERS.values():
        found = read(path, tmp_path / "dcmqi")
        for spec in SPECS:
            truth = points_of((array == spec.value).any(axis=0), reading.image.affine)
            assert farthest(found[spec.name].points, truth) < 1e-4
    layers = read_layers(path, reading).array
    for value in (1, 2, 3):
        np.testing.assert_array_equal((layers == value).any(axis=0), (array == value).any(axis=0))
    with pytest.raises(ImageError, match="may not overlap"):
        read_labels(path)
    with pytest.raises(JobError, match="one number a voxel"):
        written(tmp_path / "map.labelmap.dcm", source, Image(array, reading.image.affine), labelmap=True)


def test_a_result_without_any_voxel_is_a_file_that_names_every_segment(tmp_path):
    reading, source = series(tmp_path / "series")
    labels = Image(np.zeros((1, *reading.image.shape), np.uint8), reading.image.affine)
    path = written(tmp_path / "labels.dcm", source, labels)
    assert validate(path) == []
    assert [item.SegmentLabel for item in pydicom.dcmread(path).SegmentSequence] == [spec.name for spec in SPECS]
    np.testing.assert_array_equal(read_labels(path, reading).array, labels.array)


def test_the_file_says_which_model_made_it_and_of_which_images(tmp_path):
    reading, source = series(tmp_path / "series")
    data = pydicom.dcmread(written(tmp_path / "labels.dcm", source, drawn(reading.image)))
    source_headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in reading.sources]
    assert data.Modality == "SEG"
    assert data.SegmentationType == "BINARY"
    assert data.StudyInstanceUID == source_headers[0].StudyInstanceUID
    assert data.FrameOfReferenceUID == source_headers[0].FrameOfReferenceUID
    assert (data.PatientName, data.PatientID) == ("Made^Up", "P1")
    (referenced,) = data.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == source_headers[0].SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence} <= {
        header.SOPInstanceUID for header in source_headers
    }
    segments = data.SegmentSequence
    for segment in segments:
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Made up", "1.2.0")
        assert "ab" * 32 in algorithm.AlgorithmParameters
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.TrackingID == f"made-up {segment.SegmentLabel}"
    assert len({segment.TrackingUID for segment in segments}) == len(segments)
    assert segments[1].AnatomicRegionSequence[0].CodeValue == "12738006"
    assert (
        highdicom.color.CIELabColor.from_dicom_value(segments[0].RecommendedDisplayCIELabValue).to_rgb()
        == SPECS[0].color
    )


def test_a_label_map_is_read_by_highdicom(tmp_path):
    reading, source = series(tmp_path / "series", OBLIQUE)
    labels = drawn(reading.image)
    path = written(tmp_path / "labels.labelmap.dcm", source, labels, labelmap=True)
    assert pydicom.dcmread(path).SOPClassUID == pydicom.uid.UID("1.2.840.10008.5.1.4.1.1.66.7")
    for name, found in by_highdicom(path, tmp_path).items():
        value = next(spec.value for spec in SPECS if spec.name == name)
        assert farthest(found.points, points_of(labels.array[0] == value, reading.image.affine)) < 1e-4


def test_headers_that_lack_what_may_be_empty_are_filled_in_and_said(tmp_path):
    reading, source = series(tmp_path / "series", drop=MAY_BE_EMPTY)
    assert "lack AccessionNumber, PatientBirthDate" in source.warnings[0]
    path = written(tmp_path / "labels.dcm", source, drawn(reading.image))
    assert [line for line in validate(path) if "Missing" not in line] == []
    assert pydicom.dcmread(path).PatientSex in ("", None)
    assert set(by_dcmqi(path, tmp_path / "dcmqi")) == {spec.name for spec in SPECS}


def test_a_missing_frame_of_reference_is_made_up_and_said(tmp_path):
    reading, source = series(tmp_path / "series", drop=("FrameOfReferenceUID",))
    assert "lack FrameOfReferenceUID" in source.warnings[0]
    path = written(tmp_path / "labels.dcm", source, drawn(reading.image))
    assert validate(path) == []
    np.testing.assert_array_equal(read_labels(path, reading).array, drawn(reading.image).array)


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SOPInstanceUID"])
def test_a_series_that_cannot_be_referred_to_is_refused(tmp_path, name):
    folder = write_mr_series(tmp_path / "series", VOLUME, places(), **{name: ""})
    reading = read_image(folder)
    with pytest.raises(ImageError, match=rf"by UID, and {name} is missing.*\.seg\.nrrd"):
        open_source(reading.sources, reading.image)


def test_slices_that_are_not_those_of_the_grid_are_refused(tmp_path):
    reading, _ = series(tmp_path / "series")
    moved = reading.image.affine.copy()
    moved[0, 3] += 1
    with pytest.raises(ImageError, match=r"1\.00 mm apart"):
        open_source(reading.sources, replace(reading.image, affine=moved))
    with pytest.raises(ImageError, match="6 slices or frames, and the result 7"):
        open_source(reading.sources[1:], reading.image)


def test_frames_of_one_file_are_put_in_the_order_of_the_grid(tmp_path):
    folder = write_mr_series(tmp_path / "series", VOLUME, places(OBLIQUE), OBLIQUE)
    reading = read_image(folder)
    slices = [pydicom.dcmread(path) for path in reading.sources]
    enhanced = highdicom.legacy.LegacyConvertedEnhancedMRImage(slices, highdicom.UID(), 7, highdicom.UID(), 1)
    enhanced.save_as(tmp_path / "enhanced.dcm")
    turn = np.eye(4)
    turn[2, 2], turn[2, 3] = -1, 6
    with pytest.raises(ImageError, match="one enhanced file with all frames, and the series lies in 2 of them"):
        open_source([tmp_path / "enhanced.dcm"] * 2, reading.image)
    orders = set()
    for affine in (reading.image.affine, reading.image.affine @ turn):
        grid = replace(reading.image, affine=affine)
        source = open_source([tmp_path / "enhanced.dcm"], grid)
        orders.add(source.order)
        labels = drawn(grid)
        path = written(tmp_path / "labels.dcm", source, labels)
        assert validate(path) == []
        for read in READERS.values():
            for name, found in read(path, tmp_path / "dcmqi").items():
                value = next(spec.value for spec in SPECS if spec.name == name)
                assert farthest(found.points, points_of(labels.array[0] == value, affine)) < 1e-4
    assert orders == {tuple(range(7)), tuple(range(6, -1, -1))}


def test_names_longer_than_dicom_allows_are_cut(tmp_path):
    reading, source = series(tmp_path / "series")
    long = replace(SPECS[0], name="n" * 80, type=Code("SCT", "4958002", "m" * 80))
    path = written(tmp_path / "labels.dcm", source, drawn(reading.image), (long, *SPECS[1:]))
    assert validate(path) == []
    segment = pydicom.dcmread(path).SegmentSequence[0]
    assert (segment.SegmentLabel, segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) == ("n" * 64, "m" * 64)
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == ANATOMY.value


def test_a_radiograph_which_has_no_place_in_the_patient_has_its_segments_on_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4000, (20, 30)).astype(np.uint16)
    known = {"PatientID": "1", "StudyDate": "20200101", "StudyTime": "101010", "StudyID": "1"}
    path = write_radiograph(tmp_path / "chest.dcm", pixels, PixelSpacing=[0.2, 0.2], **known)
    reading = read_image(path)
    array = np.zeros((1, *reading.image.shape), np.uint8)
    array[0, 3:9, 4:7] = 1
    labels = Image(array, reading.image.affine)
    seg = written(tmp_path / "labels.dcm", open_source(reading.sources, reading.image), labels)
    assert validate(seg) == []
    np.testing.assert_array_equal(pydicom.dcmread(seg).pixel_array.reshape(20, 30), array[0, :, :, 0].T)
    np.testing.assert_array_equal(read_labels(seg, reading).array, array)
    with pytest.raises(ImageError, match="only beside the image it was made from"):
        read_labels(seg)


def test_fractional_segments_count_from_one_half_on(tmp_path):
    """255 is the usual whole, and twice a value no longer fits into a byte."""
    reading, source = series(tmp_path / "series")
    shares = np.zeros((7, 8, 10), np.float32)
    shares[1:3, 3:6, 2:5], shares[3, 3:6, 2:5], shares[4, 3:6, 2:5] = 1.0, 0.6, 0.3
    template = pydicom.dcmread(written(tmp_path / "binary.dcm", source, drawn(reading.image)))
    for whole in (255, 200, 100):
        made = highdicom.seg.Segmentation(
            list(source.headers),
            shares,
            "FRACTIONAL",
            [highdicom.seg.SegmentDescription.from_dataset(template.SegmentSequence[0])],
            highdicom.UID(),
            1,
            highdicom.UID(),
            1,
            "made",
            "up",
            "1",
            "2",
            max_fractional_value=whole,
        )
        made.save_as(tmp_path / "fractional.dcm")
        found = read_labels(tmp_path / "fractional.dcm", reading).array[0]
        np.testing.assert_array_equal(found != 0, shares.T >= 0.5, err_msg=str(whole))


def test_frames_whose_rows_another_program_has_turned_over_lie_where_they_say(tmp_path):
    reading, source = series(tmp_path / "series")
    labels = drawn(reading.image)
    data = pydicom.dcmread(written(tmp_path / "labels.dcm", source, labels))
    data.PixelData = pydicom.pixels.pack_bits(np.ascontiguousarray(data.pixel_array[:, ::-1]))
    axes = data.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    down = np.array(axes.ImageOrientationPatient, dtype=float).reshape(2, 3)
    axes.ImageOrientationPatient = [*down[0], *-down[1]]
    for frame in data.PerFrameFunctionalGroupsSequence:
        place = frame.PlanePositionSequence[0]
        height = 0.7 * (reading.image.shape[1] - 1)
        place.ImagePositionPatient = list(np.array(place.ImagePositionPatient, dtype=float) + height * down[1])
    data.save_as(tmp_path / "turned.dcm")
    np.testing.assert_array_equal(read_labels(tmp_path / "turned.dcm", reading).array, labels.array)


def test_voxels_of_a_segment_that_the_file_does_not_describe_are_not_passed_over(tmp_path):
    reading, source = series(tmp_path / "series")
    for labelmap in (False, True):
        data = pydicom.dcmread(written(tmp_path / "labels.dcm", source, drawn(reading.image), labelmap=labelmap))
        data.SegmentSequence = [item for item in data.SegmentSequence if item.SegmentNumber != 2]
        data.save_as(tmp_path / "less.dcm")
        with pytest.raises(ImageError, match=r"every segment with voxels is described .* and 2 is not"):
            read_labels(tmp_path / "less.dcm", reading)
