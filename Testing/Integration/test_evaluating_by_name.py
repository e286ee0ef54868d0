"""``medseg evaluate`` of files that name their segments: what scores is the name, not the number."""

import csv

import nibabel
import numpy as np
import pytest

pytest.importorskip("torch", reason="the command needs torch")

from medseg.cli.main import run
from written_segments import AFFINE, two_balls, write_segments

KIDNEY = ("SCT^123037004^Anatomical Structure", "SCT^64033007^Kidney")
SPLEEN = ("SCT^123037004^Anatomical Structure", "SCT^78961009^Spleen")
SWAPPED = np.array([0, 2, 1], np.uint8)


def scores(tmp_path, *more):
    """Dice by segment and case, from the table the command writes."""
    target = tmp_path / "scores.csv"
    command = ["evaluate", tmp_path / "prediction", tmp_path / "reference", "--csv", target, "--overwrite", *more]
    assert run([str(each) for each in command]) == 0
    with target.open(encoding="utf-8") as file:
        return {(row["case"], row["segment"]): float(row["dice"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ([("large", 1, 0), ("small", 2, 0)], [("small", 1, 0), ("large", 2, 0)]),
        ([("Left kidney", 1, 0), ("Right kidney", 2, 0)], [("kidney_right", 1, 0), ("Kidney_L", 2, 0)]),
        ([("Segment_1", 1, 0, KIDNEY), ("Segment_2", 2, 0, SPLEEN)], [("Milz", 1, 0, SPLEEN), ("Niere", 2, 0, KIDNEY)]),
    ],
)
def test_segments_in_another_order_score_as_they_should(tmp_path, capsys, prediction, reference):
    _, labels = two_balls()
    write_segments(tmp_path / "prediction" / "p.seg.nrrd", labels, prediction)
    write_segments(tmp_path / "reference" / "p.seg.nrrd", SWAPPED[labels], reference)
    found = scores(tmp_path)
    assert set(found.values()) == {1.0}
    assert {name for _, name in found} == {name for name, *_ in reference}
    assert capsys.readouterr().err == ""


def test_layers_are_matched_by_name_too(tmp_path):
    _, labels = two_balls()
    layers = np.stack([labels == 2, labels == 1]).astype(np.uint8)
    write_segments(tmp_path / "prediction" / "p.seg.nrrd", layers, [("small", 1, 0), ("large", 1, 1)])
    write_segments(tmp_path / "reference" / "p.seg.nrrd", labels, [("large", 1, 0), ("small", 2, 0)])
    assert scores(tmp_path) == {(case, name): 1.0 for case in ("p", "mean") for name in ("large", "small")}


def test_every_case_may_have_its_own_order_and_a_part_of_the_segments(tmp_path, capsys):
    for number, names in enumerate((["large", "small"], ["small", "large"], ["large"])):
        _, labels = two_balls(number)
        shown = np.array([0, names.index("large") + 1, names.index("small") + 1 if "small" in names else 0], np.uint8)
        segments = [(name, value, 0) for value, name in enumerate(names, start=1)]
        write_segments(tmp_path / "prediction" / f"{number}.seg.nrrd", shown[labels], segments)
        write_segments(tmp_path / "reference" / f"{number}.seg.nrrd", labels, [("large", 1, 0), ("small", 2, 0)])
    found = scores(tmp_path)
    assert {case: (found[case, "large"], found[case, "small"]) for case in "012"} == {
        "0": (1, 1),
        "1": (1, 1),
        "2": (1, 0),
    }
    (sentence,) = capsys.readouterr().err.splitlines()
    assert f"{tmp_path / 'reference' / '2.seg.nrrd'} has segments that" in sentence
    assert sentence.endswith("has not: small")


def test_names_that_have_nothing_in_common_are_refused_with_both_lists(tmp_path, capsys):
    _, labels = two_balls()
    write_segments(tmp_path / "prediction" / "p.seg.nrrd", labels, [("liver", 1, 0), ("spleen", 2, 0)])
    write_segments(tmp_path / "reference" / "p.seg.nrrd", labels, [("large", 1, 0), ("small", 2, 0)])
    assert run(["evaluate", str(tmp_path / "prediction"), str(tmp_path / "reference")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "1 liver, 2 spleen" in line
    assert "1 large, 2 small" in line


def test_a_file_without_names_is_compared_by_number_and_that_is_said(tmp_path, capsys):
    _, labels = two_balls()
    write_segments(tmp_path / "prediction" / "p.seg.nrrd", SWAPPED[labels], [("large", 2, 0), ("small", 1, 0)])
    (tmp_path / "reference").mkdir()
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), tmp_path / "reference" / "p.nii.gz")
    assert scores(tmp_path)["p", "large"] < 0.1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.endswith("p.nii.gz names no segments: its values are taken for 2 large, 1 small")


def test_two_files_of_one_name_are_refused_by_name(tmp_path, capsys):
    _, labels = two_balls()
    for place, name in (("prediction", "a.nrrd"), ("prediction", "a.seg.nrrd"), ("reference", "a.seg.nrrd")):
        write_segments(tmp_path / place / name, labels, [("large", 1, 0), ("small", 2, 0)])
    assert run(["evaluate", str(tmp_path / "prediction"), str(tmp_path / "reference")]) == 2
    assert "a.nrrd and a.seg.nrrd are both called 'a'" in capsys.readouterr().err


def test_grids_that_differ_by_rounding_are_one_and_by_a_millimetre_are_two(tmp_path, capsys):
    _, labels = two_balls()
    (tmp_path / "reference").mkdir(parents=True)
    for shift, code in ((0.03, 0), (1.0, 2)):
        moved = AFFINE.copy()
        moved[:3, 3] += shift
        for place, affine in (("prediction", moved), ("reference", AFFINE)):
            (tmp_path / place).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / place / "p.nii.gz")
        assert run(["evaluate", str(tmp_path / "prediction"), str(tmp_path / "reference")]) == code
    assert "lie in different places" in capsys.readouterr().err
