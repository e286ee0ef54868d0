"""Every broken or odd input through the whole job: accepted, warned about or refused, as the table beside it says.

Some entries are no plain case of "segment this file". ``label_wrong_shape`` is a sound image by itself; its fault
shows beside ``label_ok``, so it goes through ``evaluate``. So does ``label_shifted``, where a refusal is one of the
two allowed outcomes. ``label_empty`` is sound as labels; as an image it is constant, which the table wants warned
about elsewhere (``constant_zero``), so it goes through ``evaluate`` too. ``mhd_short.raw`` is voxels
without a header, which no one can read: an ordinary refusal.
"""

import json
from pathlib import Path

import pytest

from Integration.tiny import MODEL
from medseg.imaging.geometry import same_grid
from medseg.io.read import read_image, read_labels
from medseg.jobs.evaluate import evaluate
from medseg.jobs.run_job import run_job
from medseg.spec.errors import ImageError, MedSegError
from medseg.spec.job import Job, Options

OTHER_GRID = ("label_wrong_shape.nii.gz", "label_shifted.nii.gz")
THROUGH_EVALUATE = (*OTHER_GRID, "label_empty.nii.gz")


def outcome(source, output):
    """Run the job; return what happened, the words, and the result."""
    job = Job(inputs=(str(source),), model=MODEL, output=str(output), options=Options(device="cpu", overlap=0.0))
    try:
        result = run_job(job)
    except MedSegError as error:
        return "reject", str(error), None
    return ("warn" if result.warnings else "accept"), " ".join(result.warnings), result


def test_every_input_has_the_outcome_its_table_says(shared, tmp_path):
    folder = shared / "data" / "badinputs" / "files"
    table = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["inputs"]
    # nothing segmented is a warning of the model's, not of the file's
    own = "nothing was segmented"
    wrong = []
    for name, entry in table.items():
        if name in THROUGH_EVALUATE:
            continue
        output = tmp_path / "labels.nrrd"
        kind, words, result = outcome(folder / name, output)
        if kind == "warn" and words.startswith(own):
            kind = "accept"
        allowed = {"accept": {"accept"}, "warn": {"warn"}, "reject": {"reject"}, "either": {"accept", "warn", "reject"}}
        if kind not in allowed[entry["expect"]]:
            wrong.append(f"{name}: {entry['expect']} ({entry['why']}), got {kind}: {words}")
        if kind != "accept" and Path(name).name not in words:
            wrong.append(f"{name}: the message does not name the file: {words}")
        if result is None and list(tmp_path.iterdir()):
            wrong.append(f"{name}: refused, and left {[path.name for path in tmp_path.iterdir()]}")
        if result is not None and not same_grid(read_labels(output), read_image(folder / name, frame=None).image):
            wrong.append(f"{name}: the result lies on another grid")
        output.unlink(missing_ok=True)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", OTHER_GRID)
def test_labels_on_another_grid_are_not_compared(shared, name):
    folder = shared / "data" / "badinputs" / "files"
    with pytest.raises(ImageError, match=name) as refusal:
        evaluate(folder / name, folder / "label_ok.nii.gz")
    assert "label_ok.nii.gz" in str(refusal.value)


def test_labels_without_foreground_are_evaluated(shared):
    folder = shared / "data" / "badinputs" / "files"
    (row,) = evaluate(folder / "label_empty.nii.gz", folder / "label_ok.nii.gz").rows
    assert row.scores.dice == 0
    assert row.scores.volume_difference_percent == -100
