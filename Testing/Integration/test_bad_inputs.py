"""Every broken or odd input through ``medseg segment``: accepted, warned about or refused, as the table beside it says.

Some entries are no plain case of "segment this file". ``label_wrong_shape`` is a sound image by itself; its fault
shows beside ``label_ok``, so it goes through ``evaluate``. So does ``label_shifted``, where a refusal is one of the
two allowed outcomes. ``label_empty`` is sound as labels; as an image it is constant, which the table wants warned
about elsewhere (``constant_zero``), so it goes through ``evaluate`` too. ``mhd_short.raw`` is voxels
without a header, which no one can read: an ordinary refusal.
"""

from pathlib import Path

import pytest

from Integration.tiny import MODEL
from medseg.cli.main import run
from medseg.imaging.geometry import same_grid
from medseg.io.read import read_image, read_labels
from medseg.jobs.scoring.evaluate import evaluate
from medseg.spec.errors import ImageError

OTHER_GRID = ("label_wrong_shape.nii.gz", "label_shifted.nii.gz")
THROUGH_EVALUATE = (*OTHER_GRID, "label_empty.nii.gz")


def outcome(source, output, capsys):
    """Run the command; return what happened by its exit code, and the words it said."""
    chosen = ["--model", MODEL, "--output", str(output), "--device", "cpu", "--overlap", "0"]
    code = run(["segment", str(source), *chosen, "--engine", "torch"])  # another would be made for every single input
    said = capsys.readouterr().err.splitlines()
    refusals = [line for line in said if line.startswith("error: ")]
    # of the random model for volumes of MR, not of the file: most files are made of CT numbers
    models_own = ("nothing was segmented", "this looks like a CT", "the image is CT", "there is only 1 voxel along")
    warnings = [line for line in said if line.startswith("warning: ") and not any(own in line for own in models_own)]
    if code == 2 and len(refusals) == 1:
        return "reject", refusals[0]
    if code == 0 and not refusals:
        return ("warn" if warnings else "accept"), " ".join(warnings)
    return f"exit code {code}", " ".join(said)


def test_every_input_has_the_outcome_its_table_says(bad_inputs, tmp_path, capsys):
    folder, table = bad_inputs
    wrong = []
    for name, expect in table.items():
        if name in THROUGH_EVALUATE:
            continue
        output = tmp_path / "labels.nrrd"
        kind, words = outcome(folder / name, output, capsys)
        allowed = {"accept": {"accept"}, "warn": {"warn"}, "reject": {"reject"}, "either": {"accept", "warn", "reject"}}
        if kind not in allowed[expect]:
            wrong.append(f"{name}: {expect}, got {kind}: {words}")
        if kind != "accept" and Path(name).name not in words:
            wrong.append(f"{name}: the message does not name the file: {words}")
        if kind == "reject" and list(tmp_path.iterdir()):
            wrong.append(f"{name}: refused, and left {[path.name for path in tmp_path.iterdir()]}")
        if kind in ("accept", "warn") and not same_grid(
            read_labels(output), read_image(folder / name, frame=None).image
        ):
            wrong.append(f"{name}: the result lies on another grid")
        output.unlink(missing_ok=True)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", OTHER_GRID)
def test_labels_on_another_grid_are_not_compared(bad_inputs, name):
    folder, _ = bad_inputs
    with pytest.raises(ImageError, match=name) as refusal:
        evaluate(folder / name, folder / "label_ok.nii.gz")
    assert "label_ok.nii.gz" in str(refusal.value)


def test_labels_without_foreground_are_evaluated(bad_inputs):
    folder, _ = bad_inputs
    (row,) = evaluate(folder / "label_empty.nii.gz", folder / "label_ok.nii.gz").rows
    assert row.scores.dice == 0
    assert row.scores.volume_difference_percent == -100
