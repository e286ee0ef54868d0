"""Slices of different acquisitions in one series are told apart, chosen by --frame, or refused; never mixed."""

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the files are written by pydicom")

from pydicom import dcmread
from pydicom.dataset import Dataset

from medseg.io.read import read_image
from medseg.spec.errors import ImageError
from scanner_files import dataset, volume, write_stack

FIRST, SECOND, THIRD = volume(6, 1), volume(6, 2), volume(6, 3)
EVEN = [2.0 * k for k in range(6)]


def voxels(folder, frame=None):
    return read_image(folder, frame=frame).image.array[0]


def assert_told_apart(folder, *stacks):
    with pytest.raises(ImageError, match=rf"got {len(stacks)} .*--frame 0\.\.{len(stacks) - 1}"):
        read_image(folder)
    for number, stack in enumerate(stacks):
        np.testing.assert_array_equal(voxels(folder, number), stack)
    with pytest.raises(ImageError, match=f"the last one here is {len(stacks) - 1}, got {len(stacks)}"):
        read_image(folder, frame=len(stacks))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}),
        ({"EchoNumbers": 1}, {"EchoNumbers": 2}),
        ({"EchoTime": 2.3}, {"EchoTime": 14.6}),
        ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M"]}, {"ImageType": ["ORIGINAL", "PRIMARY", "P"]}),
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
        ({"TriggerTime": 10}, {"TriggerTime": 400}),
        ({"AcquisitionTime": "115959"}, {"AcquisitionTime": "120001"}),
        ({"AcquisitionDateTime": "20200101115959"}, {"AcquisitionDateTime": "20200101120001"}),
        ({"ContentTime": "120000.5"}, {"ContentTime": "120001.25"}),
        ({"ContentDate": "20200101", "ContentTime": "235959"}, {"ContentDate": "20200102", "ContentTime": "000001"}),
        ({"SequenceName": "*ep_b0"}, {"SequenceName": "*ep_b1000"}),
        ({"InversionTime": 100}, {"InversionTime": 900}),
        ({"FlipAngle": 5}, {"FlipAngle": 15}),
        ({"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}),
        ({"KVP": 100}, {"KVP": 140}),
    ],
)
def test_acquisitions_that_a_tag_tells_apart_are_chosen_by_frame(tmp_path, first, second):
    """The numbers of both restart, so that nothing but the tag tells them apart."""
    write_stack(tmp_path, FIRST, EVEN, name="a", **first)
    write_stack(tmp_path, SECOND, EVEN, name="b", **second)
    assert_told_apart(tmp_path, FIRST, SECOND)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"EchoTime": 2.3}, {"EchoTime": 14.6}),
        ({"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}),
        ({"AcquisitionTime": "115959"}, {"AcquisitionTime": "120001"}),
    ],
)
@pytest.mark.parametrize("place", ["third decimal", "half a slice apart", "unevenly between", "one slice less"])
def test_acquisitions_that_a_tag_tells_apart_may_lie_anywhere(tmp_path, first, second, place):
    shift = {"third decimal": 0.004, "half a slice apart": 1.0, "unevenly between": 0.6}.get(place, 0.0)
    jitter = np.random.default_rng(0).uniform(-shift, shift, 6) if place == "third decimal" else np.full(6, shift)
    less = 1 if place == "one slice less" else 0
    write_stack(tmp_path, FIRST, EVEN, name="a", **first)
    write_stack(tmp_path, SECOND[:, :, less:], np.add(EVEN, jitter)[less:], name="b", **second)
    assert_told_apart(tmp_path, FIRST, SECOND[:, :, less:])


def test_two_echoes_at_two_times_are_four_volumes_in_the_order_of_their_tags(tmp_path):
    stacks = [volume(5, seed) for seed in range(4)]
    for number, stack in enumerate(stacks):
        tags = {"TemporalPositionIdentifier": number // 2 + 1, "EchoTime": 10 * (number % 2 + 1)}
        write_stack(tmp_path, stack, name=f"{3 - number}_", **tags)
    assert_told_apart(tmp_path, *stacks)
    with pytest.raises(ImageError, match=r"0: Temporal Position 1, Echo Time 10 \(5 slices\); 1: .*Echo Time 20"):
        read_image(tmp_path)


PRIVATE = {
    "SIEMENS MR HEADER": (0x0019, 0x0C, "IS", "0", "1000"),
    "GEMS_PARM_01": (0x0043, 0x39, "IS", [1_000_000_000, 8, 0, 0], [1_000_001_000, 8, 0, 0]),
    "Philips Imaging DD 001": (0x2001, 0x03, "FL", 0.0, 1000.0),
}


@pytest.mark.parametrize("maker", PRIVATE)
def test_b_values_that_only_a_makers_private_tag_says_tell_acquisitions_apart(tmp_path, maker):
    group, element, vr, *values = PRIVATE[maker]
    for name, stack, value in zip("ab", (FIRST, SECOND), values, strict=True):
        for path in write_stack(tmp_path, stack, EVEN, name=name):
            data = dcmread(path)
            data.private_block(group, maker, create=True).add_new(element, vr, value)
            data.save_as(path)
    assert_told_apart(tmp_path, FIRST, SECOND)
    with pytest.raises(ImageError, match=r"0: b-value 0 \(6 slices\); 1: b-value 1000 \(6 slices\)"):
        read_image(tmp_path)


def test_a_private_tag_that_another_maker_has_reserved_says_nothing(tmp_path):
    for name, stack, value in (("a", FIRST, "0"), ("b", SECOND, "1000")):
        for path in write_stack(tmp_path, stack, EVEN, name=name):
            data = dcmread(path)
            data.private_block(0x0019, "SOMEONE ELSE", create=True).add_new(0x0C, "IS", value)
            data.save_as(path)
    with pytest.raises(ImageError, match="no tag, time or number says"):
        read_image(tmp_path)


def test_time_points_are_in_the_order_of_numbers_not_of_words(tmp_path):
    stacks = [volume(4, seed) for seed in range(11)]
    for number, stack in enumerate(stacks):
        write_stack(tmp_path, stack, name=f"{number}_", TriggerTime=90 * number)
    np.testing.assert_array_equal(voxels(tmp_path, 2), stacks[2])
    np.testing.assert_array_equal(voxels(tmp_path, 10), stacks[10])


@pytest.mark.parametrize("key", ["AcquisitionTime", "ContentTime"])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 2, 4, 1, 3, 5]])
def test_times_of_single_slices_tell_repeats_apart_in_whatever_order_slices_were_taken(tmp_path, key, order):
    for repeat, stack in enumerate((FIRST, SECOND)):
        times = [{key: f"12{repeat:02d}{order.index(k):02d}"} for k in range(6)]
        write_stack(tmp_path, stack, name=f"{repeat}", each=times)
    assert_told_apart(tmp_path, FIRST, SECOND)


def test_numbers_that_run_on_tell_repeats_apart_with_a_warning(tmp_path):
    write_stack(tmp_path, FIRST, name="b", start=1)
    write_stack(tmp_path, SECOND, name="a", start=7)
    assert_told_apart(tmp_path, FIRST, SECOND)
    assert "told apart by Instance Number alone" in " ".join(read_image(tmp_path, frame=0).warnings)


def test_numbers_that_run_on_tell_a_repeat_apart_that_was_interrupted(tmp_path):
    write_stack(tmp_path, FIRST[:, :, 2:], EVEN[2:], name="b", start=1)
    write_stack(tmp_path, SECOND, EVEN, name="a", start=7)
    assert_told_apart(tmp_path, FIRST[:, :, 2:], SECOND)


def test_phases_numbered_place_by_place_are_told_apart(tmp_path):
    for phase, stack in enumerate((FIRST, SECOND, THIRD)):
        write_stack(tmp_path, stack, name=f"{phase}_", each=[{"InstanceNumber": 3 * k + phase + 1} for k in range(6)])
    assert_told_apart(tmp_path, FIRST, SECOND, THIRD)


@pytest.mark.parametrize("seed", range(3))
def test_repeats_that_nothing_tells_apart_are_refused(tmp_path, seed):
    """Restarted numbers, and numbers in no order."""
    numbers = np.random.default_rng(seed).permutation(12) if seed else [*range(6), *range(6)]
    write_stack(tmp_path, FIRST, name="a", each=[{"InstanceNumber": int(n)} for n in numbers[:6]])
    write_stack(tmp_path, SECOND, name="b", each=[{"InstanceNumber": int(n)} for n in numbers[6:]])
    for frame in (None, 0):
        with pytest.raises(ImageError, match=r"up to 2 slices lie at one place .*no tag, time or number .*; export"):
            read_image(tmp_path, frame=frame)


def test_acquisitions_half_a_slice_apart_that_only_numbers_tell_apart_are_not_one_volume(tmp_path):
    write_stack(tmp_path, FIRST, EVEN, name="a", start=1)
    write_stack(tmp_path, SECOND, np.add(EVEN, 1), name="b", start=7)
    assert_told_apart(tmp_path, FIRST, SECOND)
    assert "lie between each other's slices, told apart by Instance Number alone" in str(
        read_image(tmp_path, frame=1).warnings
    )


@pytest.mark.parametrize("key", ["AcquisitionNumber", "AcquisitionTime"])
def test_passes_that_interleave_to_the_distance_that_the_header_says_are_one_volume(tmp_path, key):
    """As an MR scanner that takes even slices first: neighbours would excite each other."""
    both = volume(8)
    value = {"AcquisitionNumber": (1, 2), "AcquisitionTime": ("120000", "120400")}[key]
    write_stack(tmp_path, both, each=[{key: value[k % 2]} for k in range(8)], SpacingBetweenSlices=2.0)
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], both)
    said = "differ in Acquisition Number (0020,0012: 1, 2) lie as one stack" in " ".join(reading.warnings)
    assert said == (key == "AcquisitionNumber")


def test_pieces_that_lie_one_after_the_other_are_one_volume_and_a_warning(tmp_path):
    both = volume(8)
    write_stack(tmp_path, both, each=[{"AcquisitionNumber": 1 + k // 4} for k in range(8)])
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], both)
    assert "differ in Acquisition Number (0020,0012: 1, 2) lie as one stack and are read as one" in reading.warnings[0]


def test_pieces_with_a_gap_between_them_are_told_apart(tmp_path):
    write_stack(tmp_path, FIRST, EVEN, name="a", AcquisitionNumber=1)
    write_stack(tmp_path, SECOND, np.add(EVEN, 90), name="b", AcquisitionNumber=2)
    assert_told_apart(tmp_path, FIRST, SECOND)


def test_a_slice_that_was_taken_again_later_fills_its_gap(tmp_path):
    write_stack(tmp_path, FIRST, each=[{"AcquisitionNumber": 2 if k == 3 else 1} for k in range(6)])
    np.testing.assert_array_equal(voxels(tmp_path), FIRST)


def test_what_every_slice_has_for_itself_tells_nothing_apart(tmp_path):
    each = [
        {
            "AcquisitionNumber": k + 1,
            "TriggerTime": 7 * k % 5,
            "AcquisitionTime": f"1200{k:02d}",
            "ContentTime": f"1300{9 - k:02d}",
            "EchoTime": 10 + 0.01 * k,
        }
        for k in range(6)
    ]
    write_stack(tmp_path, FIRST, each=each)
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], FIRST)
    assert reading.warnings == ()


def test_overlapping_slices_of_one_acquisition_are_one_volume(tmp_path):
    """A CT of 2 mm slices every 1 mm, numbered as they lie."""
    write_stack(tmp_path, FIRST, [1.0 * k for k in range(6)])
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], FIRST)
    assert reading.warnings == ()


@pytest.mark.parametrize("slices", [6, 2])
def test_a_copied_series_is_read_once_and_said(tmp_path, slices):
    for number, path in enumerate(write_stack(tmp_path, FIRST, name="a")):
        if number < slices:
            (tmp_path / f"copy of {path.name}").write_bytes(path.read_bytes())
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], FIRST)
    assert f"{slices} slices are there twice (same SOP Instance UID" in reading.warnings[0]


def test_a_series_that_was_sent_again_under_new_instance_uids_is_read_once(tmp_path):
    write_stack(tmp_path, FIRST, name="a")
    write_stack(tmp_path, FIRST, name="b")
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], FIRST)
    assert "6 slices have the place and the voxels of another, and one of each is read" in reading.warnings[0]


@pytest.mark.parametrize("tag", ["PatientID", "SeriesNumber", "SeriesDescription"])
def test_series_that_lost_their_uids_are_not_mixed(tmp_path, tag):
    for number, stack in enumerate((FIRST, SECOND)):
        write_stack(tmp_path, stack, name=f"{number}", SeriesInstanceUID=None, **{tag: f"{number + 1}"})
    assert_told_apart(tmp_path, FIRST, SECOND)


@pytest.mark.parametrize("tag", ["AcquisitionTime", None])
def test_sweeps_between_each_others_slices_are_said_where_nothing_says_how_thick_slices_are(tmp_path, tag):
    for number, (stack, shift) in enumerate(((FIRST, 0), (SECOND, 1))):
        tags = {tag: f"12{number}000"} if tag else {}
        places = np.add(EVEN, shift)
        write_stack(tmp_path, stack, places, name=f"{number}", start=1 + 6 * number, SliceThickness=None, **tags)
    warnings = " ".join(read_image(tmp_path).warnings)
    assert "sweeps of slices interleave to one stack, and their thickness is not given" in warnings


def test_one_instance_uid_for_all_slices_is_no_copy(tmp_path):
    write_stack(tmp_path, FIRST, SOPInstanceUID="1.2.3")
    reading = read_image(tmp_path)
    np.testing.assert_array_equal(reading.image.array[0], FIRST)
    assert reading.warnings == ()


def test_times_of_one_place_are_frames_of_one_slice(tmp_path):
    write_stack(tmp_path, FIRST, [0.0] * 6)
    np.testing.assert_array_equal(voxels(tmp_path, 4), FIRST[:, :, 4:5])


def test_one_series_in_two_folders_is_read_whole_from_above_and_said_from_inside(tmp_path):
    write_stack(tmp_path / "A", FIRST[:, :, :3], EVEN[:3], series="1")
    write_stack(tmp_path / "B", FIRST[:, :, 3:], EVEN[3:], series="1")
    whole = read_image(tmp_path)
    np.testing.assert_array_equal(whole.image.array[0], FIRST)
    assert "lie in 2 folders and are read together: A, B" in whole.warnings[0]
    for one, other in (("A", "B"), ("B", "A")):
        half = read_image(tmp_path / one)
        assert half.image.shape == (7, 6, 3)
        assert f"the series goes on in {tmp_path / other}" in half.warnings[0]


def test_another_series_or_a_copy_in_the_folder_beside_is_no_matter(tmp_path):
    for path in write_stack(tmp_path / "A", FIRST):
        (tmp_path / "B").mkdir(exist_ok=True)
        (tmp_path / "B" / path.name).write_bytes(path.read_bytes())
    write_stack(tmp_path / "C", SECOND, np.add(EVEN, 100), series="2")
    assert read_image(tmp_path / "A").warnings == ()


def test_what_is_wrong_with_a_file_in_the_folder_beside_is_no_matter(tmp_path):
    write_stack(tmp_path / "b", FIRST)
    (path,) = write_stack(tmp_path / "a", SECOND[:, :, :1])
    data = dcmread(path)
    data.ImagePositionPatient = [1, 2]
    data.save_as(path)
    with pytest.raises(ImageError, match="0020,0032"):
        read_image(tmp_path / "a")
    assert read_image(tmp_path / "b").warnings == ()


def test_without_positions_slice_location_is_the_order_and_without_it_the_number(tmp_path):
    names = np.random.default_rng(0).permutation(6)
    for k in range(6):
        place = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
        one, place["name"] = FIRST[:, :, k : k + 1], f"{names[k]}"
        write_stack(tmp_path / "location", one, InstanceNumber=None, SliceLocation=3.0 * k, **place)
        write_stack(tmp_path / "number", one, start=k + 1, **place)
        write_stack(tmp_path / "neither", one, InstanceNumber=None, **place)
    located, numbered = read_image(tmp_path / "location"), read_image(tmp_path / "number")
    np.testing.assert_array_equal(located.image.array[0], FIRST)
    assert located.image.spacing == pytest.approx((1.25, 1.5, 3))
    assert "ordered by Slice Location (0020,1041), orientation unknown" in located.warnings[0]
    np.testing.assert_array_equal(numbered.image.array[0], FIRST)
    assert "ordered by number, 2 mm apart" in numbered.warnings[0]
    with pytest.raises(ImageError, match="the first two are absent and the last repeats"):
        read_image(tmp_path / "neither")


def test_echoes_without_positions_are_told_apart(tmp_path):
    place = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    write_stack(tmp_path, FIRST, name="a", start=1, EchoNumbers=1, **place)
    write_stack(tmp_path, SECOND, name="b", start=7, EchoNumbers=2, **place)
    assert_told_apart(tmp_path, FIRST, SECOND)


def test_without_position_and_thickness_no_distance_is_invented(tmp_path):
    nothing = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "SliceThickness": None}
    write_stack(tmp_path, FIRST, **nothing)
    with pytest.raises(ImageError, match=r"the distance of slices must be known.*; export"):
        read_image(tmp_path)


@pytest.mark.parametrize("shifted", [[2, 3], [0, 1], [4, 5], [1, 4]])
def test_slices_shifted_in_their_plane_are_refused_by_name(tmp_path, shifted):
    each = [{"ImagePositionPatient": (15.0 * (k in shifted), 0, 2.0 * k)} for k in range(6)]
    write_stack(tmp_path, FIRST, each=each)
    names = ", ".join(f"s{k:03d}.dcm" for k in shifted)
    with pytest.raises(ImageError, match=rf"2 of 6 are shifted in their plane by up to 15\.0 mm \({names}\)"):
        read_image(tmp_path)


def test_a_mosaic_is_refused(tmp_path):
    write_stack(tmp_path, FIRST, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"])
    for frame in (None, 0):
        with pytest.raises(ImageError, match=r"this is a mosaic.*0008,0008.*dcm2niix"):
            read_image(tmp_path, frame=frame)


def test_a_dicom_file_is_known_by_its_mark_whatever_stands_before_it(tmp_path):
    (path,) = write_stack(tmp_path, FIRST[:, :, :1])
    whole = path.read_bytes()
    for number, preamble in enumerate((b"\x5c\x01\0\0", b"NRRD0004", b"II*\0", b"\x89PNG\r\n\x1a\n", b"\xff" * 128)):
        path.write_bytes(preamble.ljust(128, b"\0") + whole[128:])
        np.testing.assert_array_equal(voxels(path), FIRST[:, :, :1], err_msg=f"preamble {number}")


def test_a_dicom_file_without_a_preamble_is_read(tmp_path):
    for implicit in (True, False):
        bare = Dataset(dataset(FIRST[:, :, 0]))
        path = tmp_path / f"{implicit}" / "a"
        path.parent.mkdir()
        bare.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[:2] == b"\x08\0"
        np.testing.assert_array_equal(voxels(path), FIRST[:, :, :1])
