"""The text-headed formats, in every encoding, against SimpleITK and pynrrd."""

import bz2
import gzip
import zlib

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.io.read import read_image
from medseg.spec.errors import ImageError

ARRAY = np.random.default_rng(0).integers(-500, 500, (3, 4, 5)).astype(np.int16)
GRID = "space: left-posterior-superior\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (5,6,7)\n"
AFFINE = np.array([[-1.0, 0, 0, -5], [0, -2, 0, -6], [0, 0, 3, 7], [0, 0, 0, 1]])


def write_nrrd(path, voxels, *, grid=GRID, sizes="3 4 5", more="", kinds="domain domain domain", endian="little"):
    header = f"NRRD0005\n# a comment\ntype: short\ndimension: {len(sizes.split())}\nsizes: {sizes}\n{grid}"
    path.write_bytes(f"{header}kinds: {kinds}\nendian: {endian}\n{more}\n".encode() + voxels)
    return path


RAW = ARRAY.tobytes(order="F")
ENCODINGS = {
    "raw": RAW,
    "gzip": gzip.compress(RAW),
    "gz": gzip.compress(RAW),
    "bzip2": bz2.compress(RAW),
    "ascii": " ".join(map(str, ARRAY.ravel(order="F"))).encode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_of_nrrd_holds_the_same_image(tmp_path, encoding):
    image = read_image(write_nrrd(tmp_path / "a.nrrd", ENCODINGS[encoding], more=f"encoding: {encoding}\n")).image
    np.testing.assert_array_equal(image.array[0], ARRAY)
    np.testing.assert_array_equal(image.affine, AFFINE)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_detached_voxels_with_skips_are_found(tmp_path, encoding):
    skipped = {"raw": b"two\nlines\n" + b"xyz" + RAW, "gzip": b"a\nb\n" + gzip.compress(b"xyz" + RAW)}
    (tmp_path / "v.raw").write_bytes(skipped.get(encoding, b"a\nb\n" + bz2.compress(b"xyz" + RAW)))
    more = f"encoding: {encoding}\ndata file: v.raw\nline skip: 2\nbyte skip: 3\n"
    image = read_image(write_nrrd(tmp_path / "a.nhdr", b"", more=more)).image
    np.testing.assert_array_equal(image.array[0], ARRAY)


def test_a_byte_skip_of_minus_one_counts_from_the_end(tmp_path):
    (tmp_path / "v.raw").write_bytes(b"header of unknown length" + RAW)
    path = write_nrrd(tmp_path / "a.nhdr", b"", more="encoding: raw\ndata file: v.raw\nbyte skip: -1\n")
    np.testing.assert_array_equal(read_image(path).image.array[0], ARRAY)


@pytest.mark.parametrize(("space", "signs"), [("RAS", (1, 1)), ("left-anterior-superior", (-1, 1)), ("LPS", (-1, -1))])
def test_every_anatomical_space_is_turned_to_ras(tmp_path, space, signs):
    grid = GRID.replace("left-posterior-superior", space)
    affine = read_image(write_nrrd(tmp_path / "a.nrrd", RAW, grid=grid, more="encoding: raw\n")).image.affine
    np.testing.assert_array_equal(affine, np.diag([*signs, 1, 1]) @ np.diag([-1, -1, 1, 1]) @ AFFINE)


def test_big_endian_voxels_are_turned(tmp_path):
    voxels = ARRAY.astype(">i2").tobytes(order="F")
    image = read_image(write_nrrd(tmp_path / "a.nrrd", voxels, endian="big", more="encoding: raw\n")).image
    np.testing.assert_array_equal(image.array[0], ARRAY)
    assert image.array.dtype == np.dtype("int16")


def test_a_nrrd_of_pynrrd_is_read(tmp_path):
    header = {"space": "right-anterior-superior", "space directions": np.eye(3) * 2, "space origin": [1, 2, 3]}
    nrrd.write(str(tmp_path / "a.nrrd"), ARRAY, {**header, "encoding": "gzip"})
    image = read_image(tmp_path / "a.nrrd").image
    np.testing.assert_array_equal(image.array[0], ARRAY)
    np.testing.assert_array_equal(image.affine[:3], np.column_stack([np.eye(3) * 2, [1, 2, 3]]))


def test_a_list_of_volumes_needs_a_frame_and_colours_are_refused(tmp_path):
    grid = GRID.replace("directions: ", "directions: none ")
    voxels = np.stack([ARRAY, ARRAY + 1]).tobytes(order="F")
    two = {"grid": grid, "sizes": "2 3 4 5", "more": "encoding: raw\n"}
    path = write_nrrd(tmp_path / "a.nrrd", voxels, kinds="list domain domain domain", **two)
    np.testing.assert_array_equal(read_image(path, frame=1).image.array[0], ARRAY + 1)
    with pytest.raises(ImageError, match=r"got 2 .*--frame 0\.\.1"):
        read_image(path)
    path = write_nrrd(tmp_path / "c.nrrd", voxels, kinds="complex domain domain domain", **two)
    with pytest.raises(ImageError, match="kind 'complex'"):
        read_image(path)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("encoding: zstd\n", "raw, gzip, bzip2 or ascii, got 'zstd'"),
        ("encoding: raw\nnonsense\n", "'field: value', got 'nonsense'"),
        ("encoding: raw\nsizes: 3 4\n", "each of the 3 dimensions"),
        ("encoding: raw\nsizes: 3 4 0\n", "got '3 4 0'"),
        ("encoding: raw\nsizes: 3 4 x\n", "must be numbers, got 'x'"),
        ("encoding: raw\nsizes: 3 4 nan\n", "whole numbers, got '3 4 nan'"),
        ("encoding: raw\nsizes: 3 4 inf\n", "whole numbers, got '3 4 inf'"),
        ("encoding: raw\nsizes: 3 4 4.5\n", "whole numbers, got '3 4 4.5'"),
        ("encoding: raw\nendian: middle\n", "little or big, got 'middle'"),
        ("encoding: raw\nspace: scanner-xyz\n", "got 'scanner-xyz'"),
        ("encoding: raw\nspace directions: (1,0) (0,2) (0,0)\n", "3 numbers a vector"),
        ("encoding: raw\ndata file: LIST\n", "several files"),
        ("encoding: ascii\n", "promise 60 numbers"),
        ("encoding: gzip\n", "damaged or cut off|not gzip"),
    ],
)
def test_a_broken_nrrd_header_is_refused_by_its_field(tmp_path, more, words):
    path = write_nrrd(tmp_path / "a.nrrd", RAW, more=more)
    with pytest.raises(ImageError, match=words):
        read_image(path)


def itk_image():
    image = sitk.GetImageFromArray(ARRAY.T)
    image.SetSpacing((1, 2, 3))
    image.SetOrigin((5, 6, 7))
    image.SetDirection((0, 0, -1, 0, 1, 0, 1, 0, 0))
    return image


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nii.gz"])
@pytest.mark.parametrize("compressed", [True, False])
def test_what_simpleitk_writes_is_read_on_the_same_grid(tmp_path, name, compressed):
    sitk.WriteImage(itk_image(), str(tmp_path / name), useCompression=compressed)
    reading = read_image(tmp_path / name)
    np.testing.assert_array_equal(reading.image.array[0], ARRAY)
    lps = np.array([[0, 0, -3, 5], [0, 2, 0, 6], [1, 0, 0, 7], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(reading.image.affine, np.diag([-1, -1, 1, 1]) @ lps, atol=1e-6)
    assert reading.warnings == ()


def test_a_time_course_in_metaimage_needs_a_frame(tmp_path):
    sitk.WriteImage(sitk.JoinSeries([itk_image(), itk_image() + 1]), str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.mha", frame=1).image.array[0], ARRAY + 1)
    with pytest.raises(ImageError, match=r"--frame 0\.\.1"):
        read_image(tmp_path / "a.mha")


@pytest.mark.parametrize("share", [0.2, 0.7, 0.98])
@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_cut_file_is_refused(tmp_path, name, compressed, share):
    path = tmp_path / name
    sitk.WriteImage(itk_image(), str(path), useCompression=compressed)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ImageError, match=str(path)):
        read_image(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("MET_SHORT", "MET_QUATERNION", "got 'MET_QUATERNION'"),
        ("DimSize = 3 4 5", "DimSize = 3 4 x", "DimSize must be finite numbers"),
        ("DimSize = 3 4 5", "DimSize = 3 4 0", "at least 1, got '3 4 0'"),
        ("Offset = 5 6 7", "Offset = 5 6", "fit 3 dimensions"),
        ("ElementSpacing = 1 2 3", "ElementSpacing = 1 2 nan", "must be finite numbers, got '1 2 nan'"),
        ("BinaryData = True", "BinaryData = False", "text"),
        ("LOCAL", "LIST", "several files"),
    ],
)
def test_a_broken_metaimage_header_is_refused_by_its_field(tmp_path, old, new, words):
    path = tmp_path / "a.mha"
    sitk.WriteImage(itk_image(), str(path), useCompression=False)
    whole = path.read_bytes()
    assert old.encode() in whole
    path.write_bytes(whole.replace(old.encode(), new.encode()))
    with pytest.raises(ImageError, match=words):
        read_image(path)


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_a_packed_nrrd_with_more_voxels_than_its_header_promises_is_refused(tmp_path, encoding):
    more = {"gzip": gzip.compress, "bzip2": bz2.compress}[encoding](RAW + b"\0\0")
    path = write_nrrd(tmp_path / "a.nrrd", more, more=f"encoding: {encoding}\n")
    with pytest.raises(ImageError, match="promises 120 bytes and the file holds more; export it again"):
        read_image(path)


@pytest.mark.parametrize("more", [b"\0", RAW])
def test_a_packed_metaimage_with_more_voxels_than_its_header_promises_is_refused(tmp_path, more):
    path = tmp_path / "a.mha"
    sitk.WriteImage(itk_image(), str(path), useCompression=False)
    header = path.read_bytes()[: -len(RAW)].replace(b"CompressedData = False", b"CompressedData = True")
    path.write_bytes(header + zlib.compress(RAW))
    np.testing.assert_array_equal(read_image(path).image.array[0], ARRAY)
    path.write_bytes(header + zlib.compress(RAW + more))
    with pytest.raises(ImageError, match="promises 120 bytes and the file holds more; export it again"):
        read_image(path)


def test_directions_without_a_named_space_are_taken_as_lps_and_this_is_said(tmp_path):
    grid = GRID.replace("space: left-posterior-superior", "space dimension: 3")
    reading = read_image(write_nrrd(tmp_path / "a.nrrd", RAW, grid=grid, more="encoding: raw\n"))
    np.testing.assert_array_equal(reading.image.affine, AFFINE)
    assert [sentence.partition(": ")[2] for sentence in reading.warnings] == [
        "the space of its directions is not named, LPS is assumed; check left and right"
    ]


@pytest.mark.parametrize(
    ("grid", "spacing", "unknown"),
    [("", (1, 1, 1), "i, j, k"), ("spacings: 2 nan 3\n", (2, 1, 3), "j"), ("spacings: 2 3 4\n", (2, 3, 4), None)],
)
def test_a_spacing_of_nrrd_that_is_assumed_is_said(tmp_path, grid, spacing, unknown):
    reading = read_image(write_nrrd(tmp_path / "a.nrrd", RAW, grid=grid, more="encoding: raw\n"))
    assert reading.image.spacing == spacing
    said = [sentence for sentence in reading.warnings if "1 mm is assumed" in sentence]
    assert said == ([f"{tmp_path / 'a.nrrd'}: the voxel spacing along {unknown} is not given, 1 mm is assumed; "
                     "check the volumes"] if unknown else [])  # fmt: skip


def test_the_spacing_of_a_list_axis_is_not_taken_for_one_in_space(tmp_path):
    voxels = np.stack([ARRAY, ARRAY + 1]).tobytes(order="F")
    path = write_nrrd(
        tmp_path / "a.nrrd",
        voxels,
        grid="spacings: 9 2 3 4\n",
        sizes="2 3 4 5",
        kinds="list domain domain domain",
        more="encoding: raw\n",
    )
    assert read_image(path, frame=0).image.spacing == (2, 3, 4)


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1), ("um", 1e-3), ("µm", 1e-3), ("μm", 1e-3), ("cm", 10), ("m", 1e3)]
)
def test_space_units_become_mm_and_this_is_said(tmp_path, unit, factor):
    directions = " ".join(f"({','.join(f'{value / factor:.17g}' for value in row)})" for row in np.diag([1, 2, 3]))
    origin = ",".join(f"{value / factor:.17g}" for value in (5, 6, 7))
    units = " ".join([f'"{unit}"'] * 3)
    grid = f"space: LPS\nspace directions: {directions}\nspace origin: ({origin})\nspace units: {units}\n"
    reading = read_image(write_nrrd(tmp_path / "a.nrrd", RAW, grid=grid, more="encoding: raw\n"))
    np.testing.assert_allclose(reading.image.affine, AFFINE, rtol=1e-14)
    assert len(reading.warnings) == (factor != 1)
    assert all("converted to mm" in sentence for sentence in reading.warnings)


def test_units_of_bare_spacings_become_mm_and_an_unknown_unit_is_refused(tmp_path):
    grid = 'spacings: 100 200 300\nunits: "um" "um" "um"\n'
    image = read_image(write_nrrd(tmp_path / "a.nrrd", RAW, grid=grid, more="encoding: raw\n")).image
    np.testing.assert_allclose(image.spacing, (0.1, 0.2, 0.3))
    path = write_nrrd(tmp_path / "b.nrrd", RAW, grid=GRID + 'space units: "mm" "mm" "ell"\n', more="encoding: raw\n")
    with pytest.raises(ImageError, match="mm, um, cm or m, got 'ell'"):
        read_image(path)


def test_a_unit_left_empty_is_said(tmp_path):
    path = write_nrrd(tmp_path / "a.nrrd", RAW, grid=GRID + 'space units: "mm" "mm" ""\n', more="encoding: raw\n")
    reading = read_image(path)
    np.testing.assert_array_equal(reading.image.affine, AFFINE)
    assert "not given for every axis, mm is assumed" in reading.warnings[0]


def test_a_spacing_of_metaimage_that_is_assumed_is_said(tmp_path):
    path = tmp_path / "a.mha"
    sitk.WriteImage(itk_image(), str(path), useCompression=False)
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 1 2 3\n", b""))
    reading = read_image(path)
    assert reading.image.spacing == (1, 1, 1)
    assert [("TransformMatrix" in text, "1 mm is assumed" in text) for text in reading.warnings] == [(False, True)]


@pytest.mark.parametrize("size", ["abc", "nan", "inf", "1e999"])
def test_a_header_size_of_metaimage_that_is_no_number_is_refused(tmp_path, size):
    sitk.WriteImage(itk_image(), str(tmp_path / "a.mhd"), useCompression=False)
    text = (tmp_path / "a.mhd").read_text().replace("ElementDataFile", f"HeaderSize = {size}\nElementDataFile")
    (tmp_path / "a.mhd").write_text(text)
    with pytest.raises(ImageError, match=f"HeaderSize must be finite numbers, got '{size}'"):
        read_image(tmp_path / "a.mhd")


def test_more_lines_to_skip_than_there_are_end_with_the_file(tmp_path):
    with pytest.raises(ImageError, match="holds 0; it is cut off"):
        read_image(write_nrrd(tmp_path / "a.nrrd", RAW, more="encoding: raw\nline skip: 99999999999\n"))
