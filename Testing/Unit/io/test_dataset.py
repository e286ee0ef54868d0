"""Which cases a folder has."""

import json

import pytest

from medseg.io.dataset import describe_dataset, read_dataset
from medseg.spec.errors import JobError


def describe(folder, images):
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).touch()
    entries = [{"image": image, "label": image} for image in images]
    (folder / "dataset.json").write_text(json.dumps({"training": entries}), encoding="utf-8")


def test_cases_are_listed_by_the_name_of_their_image(tmp_path):
    describe(tmp_path, ["a/one.nii.gz", "b/two.nii"])
    cases = read_dataset(tmp_path)
    assert list(cases) == ["one", "two"]
    assert cases["two"].image == tmp_path / "b" / "two.nii"


@pytest.mark.parametrize("second", ["b/one.nii.gz", "a/one.nii", "a/one.nii.gz"])
def test_two_cases_of_one_name_are_refused_by_their_files(tmp_path, second):
    describe(tmp_path, ["a/one.nii.gz", "a/two.nii.gz", second])
    with pytest.raises(JobError, match="both called 'one'; rename one of them") as caught:
        read_dataset(tmp_path)
    assert f"{tmp_path / 'a' / 'one.nii.gz'} and {tmp_path / second} are" in str(caught.value)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_every_missing_file_is_listed_at_once(tmp_path):
    describe(tmp_path, ["a/one.nii.gz", "a/two.nii.gz", "a/three.nii.gz"])
    (tmp_path / "a" / "one.nii.gz").unlink()
    (tmp_path / "a" / "three.nii.gz").unlink()
    with pytest.raises(JobError, match=r"file\(s\) that do not exist: .*one\.nii\.gz.*three\.nii\.gz"):
        read_dataset(tmp_path)


def test_nnunets_raw_folder_gives_its_channels_in_order_and_knows_what_is_ignored(tmp_path):
    for case in ("p1", "p2"):
        touch(tmp_path / "labelsTr" / f"{case}.nii.gz")
        for number in (0, 1):
            touch(tmp_path / "imagesTr" / f"{case}_{number:04d}.nii.gz")
    document = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "organ": 1, "ignore": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    dataset = describe_dataset(tmp_path)
    assert dataset.channel_names == ("T1", "T2")
    assert dataset.label_names == {1: "organ"}
    assert [path.name for path in dataset.cases["p2"].images] == ["p2_0000.nii.gz", "p2_0001.nii.gz"]
    assert dataset.cases["p1"].ignore == 2


def test_nnunets_regions_are_refused_by_name(tmp_path):
    touch(tmp_path / "imagesTr" / "a_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "whole": [1, 2]}}), encoding="utf-8")
    with pytest.raises(JobError, match="label 'whole' is"):
        describe_dataset(tmp_path)


@pytest.mark.parametrize("inside", [True, False])
def test_two_folders_are_matched_by_name_and_the_rest_is_said(tmp_path, inside):
    touch(tmp_path / "images" / "a.nii.gz")
    touch(tmp_path / "images" / "b_0000.nrrd")
    touch(tmp_path / "images" / "b_0001.nrrd")
    touch(tmp_path / "images" / "c.mha")
    touch(tmp_path / "labels" / "a.nrrd")
    touch(tmp_path / "labels" / "b.seg.nrrd")
    dataset = describe_dataset(tmp_path) if inside else describe_dataset(tmp_path / "images", tmp_path / "labels")
    assert {name: len(case.images) for name, case in dataset.cases.items()} == {"a": 1, "b": 2}
    assert "c.mha" in dataset.notes[0]


def test_labels_without_an_image_are_refused_by_name(tmp_path):
    touch(tmp_path / "images" / "a.nii.gz")
    touch(tmp_path / "labels" / "a.nrrd")
    touch(tmp_path / "labels" / "z.nrrd")
    with pytest.raises(JobError, match=r"1 labels have no image: .*z\.nrrd"):
        describe_dataset(tmp_path)


def test_a_case_may_say_which_labels_its_expert_looked_for(tmp_path):
    touch(tmp_path / "a.nii")
    entries = [{"image": "a.nii", "label": "a.nii", "labelled": ["liver"]}]
    document = {"labels": {"0": "background", "1": "spleen", "2": "liver"}, "training": entries}
    (tmp_path / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    assert describe_dataset(tmp_path).cases["a"].labelled == (2,)
