"""Label maps alone become a model."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg.bundles.metadata import read_manifest
from medseg.cli.main import run
from medseg.training.planning.plan import read_plan
from Unit.training.phantoms import SIZE

QUICK = ["--set", "model.arguments.widths=T", "--window", "16,16,16", "--workers", "0", "--device", "cpu"]


@pytest.fixture(scope="module")
def maps(tmp_path_factory) -> Path:
    """Three heads: an organ of two halves (7 and 9) in a skull (5), and what its values mean."""
    folder = tmp_path_factory.mktemp("maps")
    rng = np.random.default_rng(0)
    places = np.indices((SIZE,) * 3)
    for number in range(3):
        distance = np.linalg.norm(places - rng.uniform(6.5, 8.5, 3)[:, None, None, None], axis=0)
        array = np.where(distance < 4, 7, np.where(distance < 6, 5, 0)).astype(np.uint8)
        array[SIZE // 2 :][array[SIZE // 2 :] == 7] = 9
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"head_{number}.nii.gz")
    tissues = [
        {"value": 7, "label": 1, "group": "half", "mirror": 9, "central": True},
        {"value": 9, "label": 2, "group": "half", "mirror": 7, "central": True},
        {"value": 5, "inside": False},
    ]
    document = {"labels": ["left half", "right half"], "tissues": tissues, "ranges": {"shift_mm": 1, "bend_mm": 0.5}}
    (folder / "tissues.json").write_text(json.dumps(document))
    return folder


def test_label_maps_alone_become_a_model_and_a_killed_run_would_see_the_same_images(maps, tmp_path, capsys):
    command = ["train", str(maps), "--synthetic", "-o", str(tmp_path / "one"), "--steps", "3", *QUICK]
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert "2 cases train, 1 are held out" in printed
    manifest = read_manifest(tmp_path / "one" / "configs" / "metadata.json")
    assert [label.name for label in manifest.labels] == ["left half", "right half"]
    assert manifest.mirror_axes == ()
    assert manifest.arguments["norm"] == "instance"
    plan = tmp_path / "one" / "docs" / "training" / "plan.json"
    synthesis = read_plan(plan).training.synthesis
    assert synthesis is not None
    assert synthesis.ranges.shift_mm == 1
    again = ["train", str(maps), "--synthetic", "-o", str(tmp_path / "two"), "--plan", str(plan)]
    assert run([*again, "--workers", "1", "--device", "cpu"]) == 0
    weights = [tmp_path / name / "models" / "model.safetensors" for name in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_model_goes_on_from_another_on_new_images(maps, tmp_path):
    first = ["train", str(maps), "--synthetic", "-o", str(tmp_path / "one"), "--steps", "1", "--fold", "all", *QUICK]
    assert run(first) == 0
    second = ["train", str(maps), "--synthetic", "-o", str(tmp_path / "two"), "--from", str(tmp_path / "one")]
    assert run([*second, "--steps", "1", "--fold", "all", "--workers", "0", "--device", "cpu"]) == 0
    one, two = (read_manifest(tmp_path / name / "configs" / "metadata.json") for name in ("one", "two"))
    assert two.model_id == "two"
    assert (two.window_shape, two.arguments, two.labels) == (one.window_shape, one.arguments, one.labels)


def test_label_maps_without_tissues_have_a_label_for_each_value(maps, tmp_path, capsys):
    for path in maps.glob("*.nii.gz"):
        (tmp_path / path.name).symlink_to(path)
    command = ["train", str(tmp_path), "--synthetic", "-o", str(tmp_path / "model"), "--dry-run", *QUICK]
    assert run(command) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "every value of the label maps is a label with a brightness of its own" in shown
    plan = read_plan(tmp_path / "model-training" / "plan.json")
    assert [label.name for label in plan.model.labels] == ["label 5", "label 7", "label 9"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tissues", "t.json"], "without --synthetic"),
        (["--synthetic", "--slices", "k"], "exclude each other"),
        (["--synthetic", "--network", "dlka_net_2d"], "reads slices"),
        (["--synthetic", "--tissues", "nowhere.json"], "does not say what label maps mean"),
    ],
)
def test_what_cannot_be_drawn_is_refused(maps, tmp_path, capsys, arguments, sentence):
    assert run(["train", str(maps), "-o", str(tmp_path / "model"), *arguments]) != 0
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "model").exists()


def test_values_that_no_tissue_names_are_refused_before_training(maps, tmp_path, capsys):
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"labels": ["left"], "tissues": [{"value": 7, "label": 1, "central": True}]}))
    assert run(["train", str(maps), "--synthetic", "-o", str(tmp_path / "model"), "--tissues", str(path)]) != 0
    assert "but not [5, 9]" in " ".join(capsys.readouterr().err.split())


def test_labels_that_only_help_are_background_in_the_model_and_labels_again_when_it_goes_on(maps, tmp_path, capsys):
    document = json.loads((maps / "tissues.json").read_text())
    document["labels"].append("skull")
    document["tissues"][2]["label"] = 3
    path = tmp_path / "helped.json"
    path.write_text(json.dumps(document | {"helpers": ["skull"]}))
    command = ["train", str(maps), "--synthetic", "--tissues", str(path), "--steps", "1", "--fold", "all", "--workers"]
    assert run([*command, "0", "-o", str(tmp_path / "one"), *QUICK]) == 0
    manifest = read_manifest(tmp_path / "one" / "configs" / "metadata.json")
    assert [label.name for label in manifest.labels] == ["left half", "right half"]
    assert manifest.arguments["background_outputs"] == 1
    capsys.readouterr()
    again = [*command, "0", "-o", str(tmp_path / "two"), "--from", str(tmp_path / "one"), "--device", "cpu"]
    assert run(again) == 0
    printed = capsys.readouterr()
    assert "begin at random (side heads)" in printed.out + printed.err
    second = read_manifest(tmp_path / "two" / "configs" / "metadata.json")
    assert (second.labels, second.arguments) == (manifest.labels, manifest.arguments)


@pytest.mark.parametrize("helpers", [["left half"], ["left half", "right half"], ["bone"]])
def test_helpers_are_the_last_labels_and_not_all_of_them(maps, tmp_path, capsys, helpers):
    document = json.loads((maps / "tissues.json").read_text())
    path = tmp_path / "helped.json"
    path.write_text(json.dumps(document | {"helpers": helpers}))
    command = ["train", str(maps), "--synthetic", "--tissues", str(path), "-o", str(tmp_path / "one"), *QUICK]
    assert run(command) == 2
    assert "the last of the labels, and not all of them" in capsys.readouterr().err
