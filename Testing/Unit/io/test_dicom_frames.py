"""Many frames in a file, and geometry in functional groups: what is a volume is read where its tags put it."""

import sys

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the files are written by pydicom")

import SimpleITK as sitk  # noqa: N813
from pydicom.sequence import Sequence as Items

from medseg.io.itk import quiet_itk
from medseg.io.read import read_image
from medseg.jobs.batch.cases import find_cases
from medseg.spec.errors import ImageError
from medseg.spec.manifest import Code, LabelSpec
from scanner_files import AXIAL, dataset, enhanced, item, multi_frame, save, volume, write_stack
from small_manifest import small_manifest

STACK = volume(5)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CODE = Code("SCT", "39607008", "Lung")
UPWARDS = [(0, 0, 2.0 * k) for k in range(5)]


def expected(axes, spacing, first, step):
    """RAS affine by closed form from what the tags say in LPS."""
    lps = np.column_stack([np.array(axes[:3]) * spacing[1], np.array(axes[3:]) * spacing[0], step, first])
    return np.diag([-1.0, -1.0, 1.0]) @ lps


def assert_is(reading, voxels, affine):
    np.testing.assert_array_equal(reading.image.array[0], voxels)
    np.testing.assert_allclose(reading.image.affine[:3], affine, atol=1e-6)


def itk_place(path, voxel):
    with quiet_itk():
        return np.array(sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint(voxel)) * (-1, -1, 1)


def test_an_enhanced_file_lies_where_its_groups_and_simpleitk_say(tmp_path):
    positions = [(-20 + 2.0 * k, -10, 30) for k in range(5)]
    path = save(enhanced(STACK, positions, axes=SAGITTAL), tmp_path / "a.dcm")
    reading = read_image(path)
    up = np.cross(SAGITTAL[:3], SAGITTAL[3:])  # to the patient's right: the last frame is the first slice
    order = slice(None, None, -1) if up @ (2, 0, 0) < 0 else slice(None)
    first = positions[order][0]
    assert_is(
        reading, STACK[:, :, order], expected(SAGITTAL, (0.5, 0.75), first, positions[order][1] - np.array(first))
    )
    np.testing.assert_allclose(reading.image.affine[:3, 3], itk_place(path, (0, 0, 0 if up[0] > 0 else 4)), atol=1e-6)
    assert reading.warnings == ()


def test_an_enhanced_file_with_its_frames_in_any_order_is_sorted(tmp_path):
    order = [3, 0, 4, 2, 1]
    save(enhanced(STACK[:, :, order], [UPWARDS[k] for k in order]), tmp_path / "a.dcm")
    assert_is(read_image(tmp_path), STACK, expected(AXIAL, (0.5, 0.75), (0, 0, 0), (0, 0, 2)))


def test_enhanced_files_of_one_frame_each_are_one_volume(tmp_path):
    for k in range(5):
        made = enhanced(STACK[:, :, k : k + 1], UPWARDS[k : k + 1], InstanceNumber=k + 1)
        save(made, tmp_path / f"{k}.dcm")
    reading = read_image(tmp_path)
    assert_is(reading, STACK, expected(AXIAL, (0.5, 0.75), (0, 0, 0), (0, 0, 2)))
    assert reading.warnings == ()


def test_frames_at_several_times_are_chosen_by_frame(tmp_path):
    both = np.concatenate([STACK, STACK + 2000], axis=2)
    content = [{"FrameContentSequence": item(TemporalPositionIndex=1 + k // 5)} for k in range(10)]
    save(enhanced(both, [*UPWARDS, *UPWARDS], own=content), tmp_path / "a.dcm")
    with pytest.raises(ImageError, match=r"got 2 .*0: Temporal Position 1 \(5 slices\).*--frame 0\.\.1"):
        read_image(tmp_path)
    np.testing.assert_array_equal(read_image(tmp_path, frame=1).image.array[0], STACK + 2000)


def test_a_dimension_that_the_file_names_itself_tells_frames_apart(tmp_path):
    both = np.concatenate([STACK, STACK + 2000], axis=2)
    content = [{"FrameContentSequence": item(DimensionIndexValues=[1 + k // 5, 1 + k % 5])} for k in range(10)]
    made = enhanced(both, [*UPWARDS, *UPWARDS], own=content)
    pointers = [item(DimensionIndexPointer=tag) for tag in (0x00189075, 0x00209057)]
    made.DimensionIndexSequence = Items(pointers)
    save(made, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(tmp_path, frame=0).image.array[0], STACK)


def test_b_values_in_functional_groups_are_told_apart(tmp_path):
    both = np.concatenate([STACK, STACK + 2000], axis=2)
    diffusion = [{"MRDiffusionSequence": item(DiffusionBValue=1000.0 * (k % 2))} for k in range(10)]
    order = [k // 2 + 5 * (k % 2) for k in range(10)]
    save(enhanced(both[:, :, order], [UPWARDS[k // 2] for k in range(10)], own=diffusion), tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_image(tmp_path, frame=1).image.array[0], STACK + 2000)


def test_each_frame_has_its_own_rescale(tmp_path):
    scales = [
        {"PixelValueTransformationSequence": item(RescaleSlope=k + 1, RescaleIntercept=-7 * k, RescaleType="US")}
        for k in range(5)
    ]
    save(enhanced(STACK, UPWARDS, own=scales), tmp_path / "a.dcm")
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], STACK * np.arange(1, 6) - 7 * np.arange(5))
    assert "differs between slices in 5 ways: that of each is applied" in " ".join(reading.warnings)


def test_enhanced_files_agree_with_highdicom(tmp_path):
    """Which reads regular volumes alone, and by its own arithmetic."""
    highdicom = pytest.importorskip("highdicom")
    axes = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)
    normal = np.cross(axes[:3], axes[3:])
    positions = [tuple(np.array([3.0, -4, 5]) + 2.0 * k * normal) for k in range(5)]
    path = save(enhanced(STACK, positions, axes=axes), tmp_path / "a.dcm")
    theirs = highdicom.imread(path).get_volume(dtype=np.float64)  # slices, rows, columns
    ours = read_image(path).image
    for voxel in ((0, 0, 0), (1, 2, 3), (6, 5, 4)):
        place = (ours.affine @ [*voxel, 1])[:3] * (-1, -1, 1)
        other = np.round(np.linalg.solve(theirs.affine, [*place, 1])[:3]).astype(int)
        assert ours.array[0][voxel] == theirs.array[tuple(other)]
        np.testing.assert_allclose((theirs.affine @ [*other, 1])[:3], place, atol=1e-4)


@pytest.mark.parametrize(
    ("tags", "heights"),
    [
        ({"GridFrameOffsetVector": [-2.0 * k for k in range(5)]}, [30 - 2.0 * k for k in range(5)]),
        ({"GridFrameOffsetVector": [2.0 * k for k in range(5)]}, [30 + 2.0 * k for k in range(5)]),
        ({"GridFrameOffsetVector": [30 - 2.0 * k for k in range(5)]}, [30 - 2.0 * k for k in range(5)]),
        ({"SpacingBetweenSlices": 3.0}, [30 + 3.0 * k for k in range(5)]),
        ({"SpacingBetweenSlices": -3.0}, [30 - 3.0 * k for k in range(5)]),
    ],
)
def test_frames_with_one_geometry_at_the_top_lie_where_its_vector_says(tmp_path, tags, heights):
    path = save(multi_frame(STACK, ImagePositionPatient=(1, 2, 30), **tags), tmp_path / "a.dcm")
    order = np.argsort(heights)
    reading = read_image(path)
    step = (0, 0, abs(heights[1] - heights[0]))
    assert_is(reading, STACK[:, :, order], expected(AXIAL, (1.5, 1.25), (1, 2, min(heights)), step))
    assert ("not on which side" in " ".join(reading.warnings)) == ("SpacingBetweenSlices" in tags)


def test_uneven_frames_are_said(tmp_path):
    tags = {"GridFrameOffsetVector": [0.0, 2.0, 4.0, 9.0, 11.0]}
    reading = read_image(save(multi_frame(STACK, **tags), tmp_path / "a.dcm"))
    assert "2.00 mm is usual, but 5.00 mm after a.dcm frame 2" in reading.warnings[0]


def test_a_thickness_is_no_distance_and_taken_with_a_warning(tmp_path):
    reading = read_image(save(multi_frame(STACK), tmp_path / "a.dcm"))
    assert reading.image.spacing[2] == 2
    assert "does not say how far apart its 5 frames are" in reading.warnings[0]
    assert "Slice Thickness (0018,0050), 2 mm" in reading.warnings[0]


def refused(path, words, frame=None):
    with pytest.raises(ImageError, match=words):
        read_image(path, frame=frame)


def test_a_distance_that_nothing_says_is_refused(tmp_path):
    path = save(multi_frame(STACK, SliceThickness=None), tmp_path / "a.dcm")
    refused(path, r"the distance of its 5 frames must be known.*; convert", frame=0)


def test_frames_without_a_place_are_refused_and_what_is_lacking_is_named(tmp_path):
    made = multi_frame(STACK, Modality="MR", ImageOrientationPatient=None)
    refused(save(made, tmp_path / "a.dcm"), r"of 5 lacks Image Orientation \(0020,0037\); convert")
    made = enhanced(STACK, UPWARDS)
    del made.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence
    refused(save(made, tmp_path / "b" / "a.dcm"), r"position.*frame 3|\(0020,0032\)")


def test_a_cine_is_frames_of_one_slice(tmp_path):
    tags = {"FrameTime": 33.0, "FrameIncrementPointer": 0x00181063, "SpacingBetweenSlices": 2.0}
    path = save(multi_frame(STACK, Modality="MR", **tags), tmp_path / "a.dcm")
    refused(path, r"got 5 .*--frame 0\.\.4")
    reading = read_image(path, frame=3)
    np.testing.assert_array_equal(reading.image.array[0], STACK[:, :, 3:4])
    assert "its 5 frames are times of one slice (cine)" in reading.warnings[0]


def test_frames_shifted_in_their_plane_are_refused(tmp_path):
    positions = [(12.0 * (k == 2), 0, 2.0 * k) for k in range(5)]
    refused(save(enhanced(STACK, positions), tmp_path / "a.dcm"), r"1 of 5 are shifted .* 12\.0 mm \(a\.dcm frame 2\)")


def test_frames_of_two_orientations_are_refused(tmp_path):
    own = [{"PlaneOrientationSequence": item(ImageOrientationPatient=SAGITTAL if k > 2 else AXIAL)} for k in range(5)]
    refused(save(enhanced(STACK, UPWARDS, own=own), tmp_path / "a.dcm"), "all slices have the orientation")


def test_single_and_many_frames_in_one_series_are_refused(tmp_path):
    write_stack(tmp_path, STACK, series="1")
    save(enhanced(STACK, UPWARDS, series="1"), tmp_path / "many.dcm")
    refused(tmp_path, r"one frame each or many, and s000\.dcm has 1, many\.dcm 5; move")


def test_projections_of_a_scintigraphy_are_no_volume(tmp_path):
    tags = {"FrameIncrementPointer": 0x00540050, "RotationVector": [1] * 5, "Modality": "NM"}
    refused(save(multi_frame(STACK, **tags), tmp_path / "a.dcm"), r"projections round the patient")


def test_slices_of_a_scintigraphy_lie_where_its_detector_does(tmp_path):
    detector = item(ImagePositionPatient=(1, 2, 3), ImageOrientationPatient=AXIAL)
    tags = {"FrameIncrementPointer": 0x00540080, "SliceVector": [1, 2, 3, 4, 5], "SpacingBetweenSlices": 4.0}
    place = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    storage = "1.2.840.10008.5.1.4.1.1.20"
    made = dataset(
        STACK, storage=storage, Modality="NM", DetectorInformationSequence=Items([detector]), **tags, **place
    )
    reading = read_image(save(made, tmp_path / "a.dcm"))
    assert_is(reading, STACK, expected(AXIAL, (1.5, 1.25), (1, 2, 3), (0, 0, 4)))


def test_a_captured_volume_whose_frames_have_places_is_no_radiograph(tmp_path):
    made = enhanced(STACK, UPWARDS)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"
    made.Modality = "OT"
    path = save(made, tmp_path / "in" / "a.dcm")
    assert_is(read_image(path), STACK, expected(AXIAL, (0.5, 0.75), (0, 0, 0), (0, 0, 2)))
    labels = (LabelSpec(value=1, name="a", color=(1, 2, 3), category=CODE, type=CODE),)
    (case,) = find_cases(tmp_path, small_manifest(labels=labels), tmp_path / "out", ".nii.gz")
    assert case.inputs == (str(tmp_path / "in"),)


def test_files_of_many_frames_each_are_acquisitions(tmp_path):
    for number, stack in enumerate((STACK, STACK + 2000)):
        save(enhanced(stack, UPWARDS, AcquisitionNumber=number + 1), tmp_path / f"{number}.dcm")
    for number in range(2):
        np.testing.assert_array_equal(read_image(tmp_path, frame=number).image.array[0], STACK + 2000 * number)


def test_a_volume_spread_over_files_of_many_frames_is_one(tmp_path):
    both = volume(8)
    for number in range(2):
        places = [(0, 0, 2.0 * k) for k in range(number, 8, 2)]
        save(enhanced(both[:, :, number::2], places, InstanceNumber=number + 1), tmp_path / f"{number}.dcm")
    np.testing.assert_array_equal(read_image(tmp_path).image.array[0], both)


def test_a_vector_that_lacks_frames_is_refused(tmp_path):
    path = save(multi_frame(STACK, GridFrameOffsetVector=[0, 2, 4]), tmp_path / "a.dcm")
    refused(path, r"a number for each of 5 frames, got 3; convert")


@pytest.mark.parametrize("frames", [1, 5])
def test_without_pydicom_files_with_functional_groups_are_refused(tmp_path, monkeypatch, frames):
    path = save(enhanced(STACK[:, :, :frames], UPWARDS[:frames]), tmp_path / "a.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    refused(path, "takes the package pydicom to read, and it is absent; install pydicom")


def test_functional_groups_of_other_frames_than_there_are_are_refused(tmp_path):
    made = enhanced(STACK, UPWARDS)
    del made.PerFrameFunctionalGroupsSequence[4]
    refused(save(made, tmp_path / "a.dcm"), "functional groups for each of its frames, 5, got 4; export")
    del made.PerFrameFunctionalGroupsSequence
    del made.SharedFunctionalGroupsSequence
    refused(save(made, tmp_path / "b.dcm"), "functional groups for each of its frames, 5, got 0; export")


def test_geometry_that_is_no_numbers_is_refused_in_words(tmp_path):
    path = save(enhanced(STACK, UPWARDS), tmp_path / "a.dcm")
    whole = path.read_bytes()
    assert whole.count(b"0.5\\0.75") == 1
    path.write_bytes(whole.replace(b"0.5\\0.75", b"0.5\\x.75"))
    refused(path, r"; export")
