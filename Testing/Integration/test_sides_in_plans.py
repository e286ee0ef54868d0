"""``medseg train --dry-run``: no plan exchanges left and right where labels have a side, in name, code or data."""

import json

import nibabel
import numpy as np
import pytest

pytest.importorskip("lightning_fabric", reason="planning a training needs it")

from medseg.cli.main import run
from medseg.training.planning.plan import read_plan
from written_segments import AFFINE, two_balls

CASES = 4
QUICK = ["--set", "model.arguments.widths=T", "--steps", "1", "--workers", "0", "--device", "cpu"]


def plan_of(folder, *more):
    output = folder.parent / f"{folder.name}-model"
    assert run(["train", str(folder), "-o", str(output), "--dry-run", *QUICK, *more]) == 0
    return read_plan(output.with_name(f"{output.name}-training") / "plan.json")


def write(folder, names, change=None):
    """nnU-Net's raw folder where there are names, else two folders."""
    for number in range(CASES):
        image, labels = two_balls(number)
        inside, ending = ("imagesTr", "_0000") if names else ("images", "")
        for place, name, array in (
            (inside, f"c{number}{ending}", image),
            ("labelsTr" if names else "labels", f"c{number}", labels if change is None else change(labels, number)),
        ):
            (folder / place).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, AFFINE), folder / place / f"{name}.nii.gz")
    if names:
        values = {"background": 0, **{name: value for value, name in enumerate(names, start=1)}}
        document = {"channel_names": {"0": "MRI"}, "labels": values, "file_ending": ".nii.gz", "numTraining": CASES}
        (folder / "dataset.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("kidney_right", "kidney_left"),
        ("Kidney_R", "Kidney_L"),
        ("R_kidney", "L_kidney"),
        ("rh", "lh"),
        ("kidneyRight", "kidneyLeft"),
        ("kidney rt", "kidney lt"),
    ],
)
def test_labels_with_a_side_in_their_names_are_not_mirrored(tmp_path, names):
    plan = plan_of(write(tmp_path / "set", names))
    assert plan.model.mirror_axes == ()
    assert "labels have a side" in plan.reasons["model.mirror_axes"]


@pytest.mark.parametrize("names", [(), ("organ A", "organ B")])
def test_labels_that_mirror_each_other_in_the_data_are_not_mirrored_and_the_plan_says_which(tmp_path, names, capsys):
    plan = plan_of(write(tmp_path / "set", names))
    assert plan.model.mirror_axes == ()
    right, left = names or ("label 1", "label 2")
    assert f"{right} lies right of {left} in {CASES} of {CASES} cases" in plan.reasons["model.mirror_axes"]
    assert "lies right of" in " ".join(capsys.readouterr().out.split())
    assert plan_of(tmp_path / "set", "--set", "model.mirror_axes=[0]").model.mirror_axes == (0,)


def over_each_other(labels, number):
    del number
    return np.ascontiguousarray(labels.transpose(1, 0, 2))


def now_here_now_there(labels, number):
    return np.array([0, 2, 1], np.uint8)[labels] if number % 2 else labels


def one_in_the_other(labels, number):
    del number
    inner = (labels == 1) & np.roll(labels == 1, 2, axis=1) & np.roll(labels == 1, -2, axis=1)
    return ((labels == 1) + inner).astype(np.uint8)


@pytest.mark.parametrize("change", [over_each_other, now_here_now_there, one_in_the_other])
def test_labels_that_are_no_sides_are_mirrored(tmp_path, change):
    if change is over_each_other:  # the two balls lie one before the other
        folder = write(tmp_path / "set", ("front", "back"))
        for place in ("imagesTr", "labelsTr"):
            for path in (folder / place).iterdir():
                array = over_each_other(np.asarray(nibabel.load(path).dataobj), 0)
                nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
    else:
        folder = write(tmp_path / "set", ("front", "back"), change)
    plan = plan_of(folder)
    assert plan.model.mirror_axes == (0,)
    assert "no label has a side" in plan.reasons["model.mirror_axes"]
