"""Which cases a folder or a list has."""

from pathlib import PurePath

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medseg.jobs.batch.cases import find_cases
from medseg.spec.errors import JobError
from medseg.spec.manifest import ChannelSpec, Code, LabelSpec
from small_manifest import small_manifest


def model(*channels):
    code = Code("SCT", "123037004", "Anatomical Structure")
    return small_manifest(
        model_id="m",
        title="M",
        labels=(LabelSpec(value=1, name="Liver", color=(1, 2, 3), category=code, type=code),),
        channels=tuple(ChannelSpec(name=name, modality="MR") for name in channels),
    )


ONE, TWO = model("CT"), model("T1", "FLAIR")


def write_series(folder, uid, description="", count=3):
    """A few DICOM slices of 4 x 4 voxels."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(count):
        piece = sitk.GetImageFromArray(np.full((1, 4, 4), number, np.int16))
        piece.SetOrigin([0.0, 0.0, float(number)])
        for tag, value in {
            "0008|0060": "CT",
            "0008|103e": description,
            "0020|000e": uid,
            "0020|0013": str(number + 1),
            "0008|0018": f"{uid}.{number}",
        }.items():
            piece.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{uid.rpartition('.')[2]}_{number}.dcm"))
        writer.Execute(piece)


def names(source, manifest, tmp_path, suffix=".nrrd"):
    return {case.name: case for case in find_cases(source, manifest, tmp_path / "out", suffix)}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "scans"
    path.mkdir()
    return path


def touch(folder, *files):
    for name in files:
        (folder / name).write_bytes(b"voxels")


def test_a_folder_has_a_case_for_each_image_and_none_for_anything_else(folder, tmp_path):
    touch(folder, "b.nii.gz", "A.v2.nrrd", "notes.txt", ".hidden.nii", "b.seg.nrrd", "c.mha")
    cases = names(folder, ONE, tmp_path, ".seg.nrrd")
    assert list(cases) == ["A.v2", "b", "c"]
    assert cases["A.v2"].inputs == (str(folder / "A.v2.nrrd"),)
    assert cases["b"].output == PurePath("b.seg.nrrd")


def test_numbered_channels_are_one_case_and_a_missing_one_is_a_problem_of_that_case_alone(folder, tmp_path):
    touch(folder, "x_0001.nii.gz", "x_0000.nii.gz", "y_0001.nii.gz", "y_0002.nii.gz", "both.nii.gz")
    cases = names(folder, TWO, tmp_path)
    assert list(cases) == ["both", "x", "y"]
    assert cases["x"].inputs == (str(folder / "x_0000.nii.gz"), str(folder / "x_0001.nii.gz"))
    assert cases["x"].problem == ""
    assert "0000 (T1), 0001 (FLAIR), got 0001, 0002" in cases["y"].problem


def test_a_single_numbered_channel_loses_its_number_only_where_all_have_it(folder, tmp_path):
    touch(folder, "x_0000.nii.gz", "y_0000.nii.gz")
    assert list(names(folder, ONE, tmp_path)) == ["x", "y"]
    touch(folder, "x_0001.nii.gz")
    assert list(names(folder, ONE, tmp_path)) == ["x_0000", "x_0001", "y_0000"]


def test_every_dicom_series_below_is_a_case(folder, tmp_path):
    write_series(folder, "1.2.3.10")
    write_series(folder / "ann" / "CT", "1.2.3.20")
    write_series(folder / "ben", "1.2.3.30", "thin slices/B30")
    write_series(folder / "ben", "1.2.3.31")
    write_series(tmp_path / "scans" / "out", "1.2.3.40")
    cases = {case.name: case for case in find_cases(folder, ONE, folder / "out", ".nrrd")}
    assert list(cases) == ["ann_CT", "ben_31", "ben_thin-slices-B30-30", "scans"]
    assert cases["ann_CT"].inputs == (str(folder / "ann" / "CT"),)
    assert cases["scans"].inputs == (str(folder),)
    (one,) = cases["ben_31"].inputs
    assert one == str(folder / "ben" / "31_0.dcm")


def test_two_images_of_one_name_are_refused_before_anything_starts(folder, tmp_path):
    touch(folder, "Scan.nii.gz", "scan.nrrd")
    with pytest.raises(JobError, match=r"Scan.*scan.*both have 'scan'; rename one"):
        names(folder, ONE, tmp_path)


@pytest.mark.parametrize("place", ["absent", "empty"])
def test_a_source_without_cases_is_refused(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(JobError, match=place):
        names(tmp_path / place, ONE, tmp_path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_names_cases_files_and_outputs(tmp_path, delimiter):
    lines = [["Case", "image", "output"], ["ä", "scans/a.nii.gz", "day 1/a.nii.gz"], [], ["b", "/abs/b.nrrd", ""]]
    path = tmp_path / "list.csv"
    path.write_text("\n".join(delimiter.join(line) for line in lines), encoding="utf-8-sig")
    cases = names(path, ONE, tmp_path)
    assert list(cases) == ["ä", "b"]
    assert cases["ä"].inputs == (str(tmp_path / "scans" / "a.nii.gz"),)
    assert cases["ä"].output == PurePath("day 1/a.nii.gz")
    assert cases["b"].inputs == ("/abs/b.nrrd",)
    assert cases["b"].output == PurePath("b.nrrd")


def test_a_list_for_several_channels_has_a_column_each_in_any_order(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('flair,case,t1\nf.nii,"quoted, with comma",t.nii\n', encoding="utf-8")
    (case,) = find_cases(path, TWO, tmp_path / "out", ".nrrd")
    assert case.name == "quoted, with comma"
    assert case.inputs == (str(tmp_path / "t.nii"), str(tmp_path / "f.nii"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,image\na,b", "columns 'case' and 'image'"),
        ("", "got nothing"),
        ("case,image\n,b.nii", "line 2: a case's name"),
        ("case,image\n../../a,b.nii", "line 2: a case's name"),
        ("case,image\n.a,b.nii", "line 2: a case's name"),
        ("case,image\na,b.nii\nc,", "line 3: 'c' names no file for image"),
        ("case,image,output\na,b.nii,../b.nrrd", "line 2: an output lies in the output folder"),
        ("case,image,output\na,b.nii,/tmp/b.nrrd", "line 2: an output lies in the output folder"),
        ("case,image,output\na,b.nii,b.txt", "got 'b.txt'"),
        ("case,image\na,b.nii\nA,c.nii", "both have 'A'"),
        ("case,image,output\na,b.nii,x.nrrd\nc,d.nii,x.nrrd", "output of its own"),
        ('case,image\na,"b', "CSV file in UTF-8"),
        ("case,image\n", "none was found"),
    ],
)
def test_a_list_that_means_nothing_is_refused_with_its_line(tmp_path, text, words):
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JobError) as caught:
        names(path, ONE, tmp_path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value) or "b.txt" in words


def test_a_list_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"\xff\xfe\x00case")
    with pytest.raises(JobError, match="CSV file in UTF-8"):
        names(path, ONE, tmp_path)
