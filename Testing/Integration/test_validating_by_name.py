"""``medseg validate`` compares what a model and a data set call their labels, and says what it cannot compare."""

import csv
import json

import nibabel
import numpy as np
import pytest

pytest.importorskip("torch", reason="the command needs torch")

from PIL import Image as Picture

from medseg.cli.main import run
from medseg.io.read import read_labels

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture
def answered(tmp_path):
    """Two images, and what the model itself says of them as the expert's labels, with the numbers exchanged."""
    folder = tmp_path / "set"
    for number in range(2):
        array = np.random.default_rng(number).normal(100, 30, (14, 12, 10)).astype(np.float32)
        for place in ("images", "labels"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), folder / "images" / f"c{number}.nii.gz")
        output = tmp_path / f"{number}.nii.gz"
        image = str(folder / "images" / f"c{number}.nii.gz")
        assert run(["segment", image, "-m", "tiny", "-o", str(output), "--device", "cpu"]) == 0
        said = read_labels(output)
        assert said.array.any()
        swapped = np.array([0, 2, 1], np.uint8)[said.array[0]]
        nibabel.save(nibabel.Nifti1Image(swapped, AFFINE), folder / "labels" / f"c{number}.nii.gz")
    return folder


def validate(folder, target, **labels):
    entries = [{"image": f"images/c{n}.nii.gz", "label": f"labels/c{n}.nii.gz"} for n in range(2)]
    document = {"labels": {"0": "background", **labels}, "modality": {"0": "MRI"}, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(document))
    assert run(["validate", "tiny", str(folder), "--csv", str(target), "--device", "cpu", "--engine", "torch"]) == 0
    with target.open(encoding="utf-8") as file:
        return {(row["case"], row["label"]): float(row["dice"]) for row in csv.DictReader(file)}


def test_labels_in_another_order_are_scored_by_name(answered, tmp_path, capsys):
    found = validate(answered, tmp_path / "a.csv", **{"1": "Back", "2": "FRONT"})
    assert set(found.values()) == {1.0}
    assert capsys.readouterr().err.count("warning") == 0


def test_labels_that_only_one_side_has_are_said_and_not_scored(answered, tmp_path, capsys):
    found = validate(answered, tmp_path / "a.csv", **{"1": "back", "2": "tail"})
    assert {label for _, label in found} == {"2"}
    assert set(found.values()) == {1.0}
    said = capsys.readouterr().err
    assert "the model has no tail, which the data set labels" in said
    assert "the data set labels no front, which the model finds" in said


def test_names_without_a_likeness_are_compared_by_number_and_that_is_said(answered, tmp_path, capsys):
    assert validate(answered, tmp_path / "a.csv", **{"1": "liver", "2": "spleen"})["mean", "2"] < 0.5
    assert "(1 liver, 2 spleen), none of which is one of the model's (1 front, 2 back)" in capsys.readouterr().err


def test_scores_that_nobody_can_know_are_a_dash(tmp_path, capsys):
    """Pictures do not say how large a pixel is, so that nothing has a distance in millimetres."""
    for place, top in (("images", 255), ("labels", 2)):
        (tmp_path / place).mkdir()
        array = np.random.default_rng(0).integers(0, top + 1, (24, 20)).astype(np.uint8)
        Picture.fromarray(array).save(tmp_path / place / "a.png")
    assert run(["validate", "tiny", str(tmp_path), "--device", "cpu", "--engine", "torch"]) == 0
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert " - " in printed
