"""Which cases a folder has."""

import json

import pytest

from medseg.io.dataset import read_dataset
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
