"""Strokes replayed on results, from Python and from files: names, codes, what is missed, what is kept."""

import json
import re

import numpy as np
import pytest
from SimpleITK import ReadImage

import medseg
from medseg.bundles.label_specs import label_specs
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.segments import read_stored_segments
from medseg.io.strokes import decode_strokes, encode_strokes, read_strokes
from medseg.io.write import write_image, write_segmentation
from medseg.jobs.correct import segment_of
from medseg.spec.labels import Code
from medseg.spec.stroke import BACKGROUND, Stroke

SPECS = label_specs(["liver", "spleen"])
AFFINE = np.diag([1.5, 1.0, 2.0, 1.0])
HIT = (12.0, 10.0, 20.0)  # RAS mm of voxel 8, 10, 10: where the cut piece of the liver was


@pytest.fixture
def scan():
    """A bright block: what the liver should be."""
    values = np.random.default_rng(0).normal(0, 5, (20, 20, 20)).astype(np.float32)
    values[4:14, 5:15, 5:15] += 100
    return Image(values[None], AFFINE)


@pytest.fixture
def labels():
    """A liver from which a piece is cut, and a spleen."""
    array = np.zeros((1, 20, 20, 20), np.uint8)
    array[0, 4:14, 5:15, 5:15] = 1
    array[0, 7:11, 8:13, 8:13] = 0
    array[0, 16:19, 16:19, 16:19] = 2
    return Image(array, AFFINE)


@pytest.fixture
def result(tmp_path, labels):
    path = tmp_path / "result.seg.nrrd"
    write_segmentation(path, labels, SPECS)
    return path


def test_a_stroke_into_a_hole_fills_it_and_leaves_what_was_given(labels, scan):
    before = labels.array.copy()
    found = medseg.correct(labels, [medseg.Stroke(label="label 1", points=(HIT,), radius_mm=2)], image=scan)
    assert (labels.array == before).all()
    assert (found.labels.array[0, 7:11, 8:13, 8:13] == 1).mean() > 0.9
    (changed,) = found.changed
    assert changed == (found.labels.array != before).sum()


def test_the_shell_replays_strokes_and_lists_what_it_could_not(tmp_path, result, scan, capsys):
    write_image(tmp_path / "scan.nii.gz", scan)
    records = [
        {"label": "liver", "points": [HIT], "radius_mm": 2},
        {"label": "gallbladder", "points": [HIT]},
        {"label": "spleen", "points": [[900, 0, 0]]},
        {"label": "spleen", "points": [[25.5, 17, 34]], "remove": True},
    ]
    (tmp_path / "strokes.json").write_text(json.dumps({"version": 1, "strokes": records}))
    target = tmp_path / "better.seg.nrrd"
    command = ["correct", result, "--strokes", tmp_path / "strokes.json", "--image", tmp_path / "scan.nii.gz", "-o"]
    assert run([*map(str, command), str(target)]) == 0
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert lines[0] == "warning: not replayed: there is no segment 'gallbladder' here; there are: liver, spleen"
    assert lines[1] == "warning: not replayed: it lies outside the image"
    assert "removed" in said.out
    after = read_stored_segments(target)
    assert after.labels.array[0, 8, 10, 10] == 1
    assert after.labels.array[0, 17, 17, 17] == 0
    assert after.specs == SPECS
    assert [stroke.label for stroke in after.strokes] == ["liver", "spleen"]
    assert read_strokes(target) == after.strokes  # a file of results is a file of strokes
    assert ReadImage(str(target)).GetSize() == (20, 20, 20)  # another reader is not disturbed


def test_strokes_of_one_result_replay_on_another_and_give_the_same(tmp_path, result, scan):
    stroke = Stroke(label="liver", points=(HIT,))
    first = medseg.correct(result, [stroke], image=scan)
    first.save(tmp_path / "first.seg.nrrd")
    second = medseg.correct(result, tmp_path / "first.seg.nrrd", image=scan)
    assert (second.labels.array == first.labels.array).all()
    assert second.strokes == first.strokes == (stroke,)


def test_what_an_earlier_stroke_gave_is_kept_when_the_result_is_corrected_again(tmp_path, result, scan):
    medseg.correct(result, [Stroke(label="liver", points=(HIT,))], image=scan).save(tmp_path / "first.seg.nrrd")
    beside = (HIT[0] + AFFINE[0, 0], *HIT[1:])
    found = medseg.correct(tmp_path / "first.seg.nrrd", [Stroke(label=BACKGROUND, points=(beside,))], image=scan)
    assert found.labels.array[0, 8, 10, 10] == 1
    assert found.labels.array[0, 9, 10, 10] == 0
    assert [stroke.label for stroke in found.strokes] == ["liver", BACKGROUND]


def test_probabilities_follow_too_and_stay_a_distribution(labels, scan):
    soft = np.stack([np.where(labels.array[0] == value, 0.8, 0.1) for value in range(3)]).astype(np.float32)
    found = medseg.correct(
        labels, [Stroke(label="label 1", points=(HIT,))], image=scan, probabilities=Image(soft, AFFINE)
    )
    assert found.probabilities.array[1, 8, 10, 10] > 0.9
    np.testing.assert_allclose(found.probabilities.array.sum(axis=0), 1, atol=1e-5)


def test_a_segment_is_found_by_its_name_else_by_its_code_where_one_alone_has_it():
    liver = SPECS[0]
    by_code = Stroke(label="Leber", points=(HIT,), code=liver.type)
    assert segment_of(by_code, SPECS) == 1
    assert segment_of(Stroke(label="spleen", points=(HIT,), code=liver.type), SPECS) == 2
    assert segment_of(Stroke(label=BACKGROUND, points=(HIT,)), SPECS) == 0
    assert segment_of(Stroke(label="Leber", points=(HIT,)), SPECS) is None
    kidneys = label_specs(["kidney_left", "kidney_right"])
    assert kidneys[0].type == kidneys[1].type
    assert segment_of(Stroke(label="a kidney", points=(HIT,), code=kidneys[0].type), kidneys) is None


def test_strokes_come_back_from_json_as_they_were():
    strokes = (
        Stroke(label="Leber", points=(HIT, (0.1, -2.0, 3.0)), code=Code("SCT", "10200004", "Liver"), radius_mm=1.5),
        Stroke(label="spleen", points=(HIT,), remove=True, reach_mm=25.0),
    )
    assert decode_strokes(encode_strokes(strokes)) == strokes


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("strokes", "strokes are a JSON document"),
        ('{"strokes": [{"label": "a"}]}', "strokes[0].points: this field is missing"),
        ('{"strokes": [{"label": "a", "points": [[1, 2]]}]}', "strokes[0].points[0]: expected three numbers"),
        (
            '{"strokes": [{"label": "a", "points": [[1, 2, 3]], "reach_mm": 0}]}',
            "strokes[0].reach_mm: expected 1 to 100",
        ),
        ('{"strokes": [{"label": "a", "points": []}]}', "strokes[0].points: expected 1 to 100,000 places"),
        ('{"version": 2, "strokes": []}', "version: expected 1"),
    ],
)
def test_a_document_that_is_no_strokes_is_refused_with_its_place(tmp_path, result, document, sentence, capsys):
    path = tmp_path / "strokes.json"
    path.write_text(document)
    assert run(["correct", str(result), "--strokes", str(path), "-o", str(tmp_path / "new.seg.nrrd")]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert sentence in said
    assert not (tmp_path / "new.seg.nrrd").exists()


def test_inputs_and_files_that_are_there_are_never_replaced(tmp_path, result, capsys):
    strokes = tmp_path / "strokes.json"
    strokes.write_text('{"strokes": []}')
    before = result.read_bytes()
    assert run(["correct", str(result), "--strokes", str(strokes), "-o", str(result), "--overwrite"]) == 2
    assert "an input" in capsys.readouterr().err
    (tmp_path / "there.nii.gz").write_bytes(b"kept")
    assert run(["correct", str(result), "--strokes", str(strokes), "-o", str(tmp_path / "there.nii.gz")]) == 2
    assert (tmp_path / "there.nii.gz").read_bytes() == b"kept"
    assert result.read_bytes() == before


def test_arrays_that_do_not_fit_are_refused(labels, scan):
    stroke = Stroke(label="label 1", points=(HIT,))
    with pytest.raises(medseg.MedSegError, match="one channel for the background and each label"):
        medseg.correct(labels, [stroke], probabilities=scan)
    with pytest.raises(medseg.MedSegError, match="locked voxels lie on the grid"):
        medseg.correct(labels, [stroke], locked=np.zeros((2, 2, 2), bool))
    with pytest.raises(medseg.MedSegError, match="one label a voxel"):
        medseg.correct(Image(np.zeros((2, 4, 4, 4), np.uint8)), [stroke])


def test_the_strokes_of_the_how_to_are_strokes(checkout):
    page = (checkout / "docs" / "how-to" / "correct.md").read_text(encoding="utf-8")
    (document,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    first, second, third = decode_strokes(document)
    assert first.radius_mm == 1
    assert second.remove
    assert third.label == BACKGROUND
