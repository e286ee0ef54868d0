"""From a folder of phantoms to a bundle that segments them."""

import json
import math
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg.bundles.catalogue import Bundle
from medseg.imaging.image import Image
from medseg.io.dataset import choose_cases, read_dataset, read_fold
from medseg.jobs.evaluate import CaseScores, Evaluation, LabelScores
from medseg.jobs.validate import Validation, exchange_sides, validate, write_scores
from medseg.spec.errors import ImageError, JobError, OutputExists
from medseg.spec.manifest import ChannelSpec, Code, IntensityRule, LabelSpec, ModelManifest
from medseg.training.cases import load_case
from medseg.training.recipe import Recipe
from medseg.training.train import train

CATEGORY = Code("SCT", "123037004", "Anatomical Structure")


def a_manifest() -> ModelManifest:
    return ModelManifest(
        model_id="phantom",
        title="Phantom",
        version="0.0.1",
        description="A bright ball.",
        network="ultralight_unet",
        arguments={"label_count": 2, "widths": "T", "pooling": [1, 2, 2, 1, 1]},
        labels=(
            LabelSpec(
                value=1, name="ball", color=(200, 30, 30), category=CATEGORY, type=Code("SCT", "10200004", "Liver")
            ),
        ),
        channels=(ChannelSpec(name="T1", modality="MR"),),
        intensity=IntensityRule(kind="zscore"),
        window_shape=(16, 16, 16),
        anatomy="none",
        intended_use="A test.",
        licence="CC0-1.0",
        authors="The tests",
        training_data="Phantoms made here",
    )


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Decathlon folder of six bright balls in noise."""
    folder = tmp_path_factory.mktemp("phantoms")
    rng = np.random.default_rng(0)
    entries = []
    for number in range(6):
        centre = rng.uniform(6, 10, size=3)
        distance = np.linalg.norm(np.indices((16, 16, 16)) - centre[:, None, None, None], axis=0)
        labels = (distance < 4.5).astype(np.uint8)
        image = (labels * 3 + rng.normal(scale=0.3, size=labels.shape)).astype(np.float32)
        for kind, array in (("image", image), ("label", labels)):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{kind}_{number}.nii.gz")
        entries.append({"image": f"./image_{number}.nii.gz", "label": f"./label_{number}.nii.gz"})
    (folder / "dataset.json").write_text(json.dumps({"training": entries}))
    folds = [{"train": [f"image_{n}" for n in range(4)], "val": ["image_4", "image_5"]}]
    (folder / "folds.json").write_text(json.dumps(folds))
    return folder


@pytest.fixture(scope="module")
def trained(phantoms: Path) -> Bundle:
    """The bundle after a few seconds of training."""
    names, _ = read_fold(phantoms / "folds.json", 0)
    files = choose_cases(read_dataset(phantoms), names)
    recipe = Recipe(ema_decay=0.9, learning_rate=2e-2)
    return train(
        files, a_manifest(), phantoms / "phantom", recipe, seconds=120, steps=240, licence_text="CC0\n", workers=0
    )


def test_a_trained_bundle_finds_what_it_was_shown_on_both_sides(trained: Bundle, phantoms: Path):
    _, names = read_fold(phantoms / "folds.json", 0)
    validation = validate(trained, choose_cases(read_dataset(phantoms), names))
    assert validation.plain.mean_dice() > 0.8
    assert validation.mirrored.mean_dice() > 0.8
    assert len(validation.plain.rows) == 2


def test_scores_reach_the_metadata_and_the_model_card(trained: Bundle, phantoms: Path):
    _, names = read_fold(phantoms / "folds.json", 0)
    validation = validate(trained, choose_cases(read_dataset(phantoms), names))
    weights = (trained.folder / "models" / "model.safetensors").read_bytes()
    scored = write_scores(trained, validation, dataset="two phantoms")
    table = scored.manifest.scores["two phantoms"]["as they are"]["mean"]
    assert table["Dice"] == pytest.approx(validation.plain.mean_dice(), abs=1e-4)
    assert str(table["Dice"]) in (trained.folder / "docs" / "README.md").read_text()
    assert (trained.folder / "models" / "model.safetensors").read_bytes() == weights


def test_a_score_that_does_not_exist_leaves_the_bundle_readable(trained: Bundle):
    nothing = LabelScores(1, 0.0, 0.0, math.nan, 0.0, -1.0, -100.0)
    evaluation = Evaluation((CaseScores("a", nothing),), (nothing,))
    scored = write_scores(trained, Validation(evaluation, evaluation, 1.0, "cpu", 0.25), dataset="found nothing")
    table = scored.manifest.scores["found nothing"]["as they are"]["ball"]
    assert table["Dice"] == 0
    assert "HD95 mm" not in table  # JSON has no word for a distance that does not exist


def test_the_weights_so_far_are_kept_during_the_run(trained: Bundle):
    assert (trained.folder.parent / "phantom-training" / "averaged.safetensors").is_file()


def test_training_never_replaces_a_bundle(trained: Bundle):
    with pytest.raises(OutputExists, match="is kept"):
        train([], a_manifest(), trained.folder, Recipe(), seconds=1, steps=1, licence_text="")


def test_a_label_the_manifest_does_not_list_is_named(phantoms: Path, tmp_path: Path):
    files = next(iter(read_dataset(phantoms).values()))
    labels = nibabel.Nifti1Image(np.full((16, 16, 16), 7, dtype=np.uint8), np.eye(4))
    nibabel.save(labels, tmp_path / "seven.nii.gz")
    wrong = type(files)(files.name, files.image, tmp_path / "seven.nii.gz")
    with pytest.raises(ImageError, match=r"seven\.nii\.gz holds label 7"):
        load_case(wrong, a_manifest())


def test_labels_on_another_grid_are_refused(phantoms: Path, tmp_path: Path):
    files = next(iter(read_dataset(phantoms).values()))
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), dtype=np.uint8), np.eye(4)), tmp_path / "small.nii.gz")
    with pytest.raises(ImageError, match="another grid"):
        load_case(type(files)(files.name, files.image, tmp_path / "small.nii.gz"), a_manifest())


def test_a_folder_without_description_says_what_is_missing(tmp_path: Path):
    with pytest.raises(JobError, match=r"dataset\.json is not a Decathlon description"):
        read_dataset(tmp_path)


def test_a_fold_that_does_not_exist_is_refused_with_the_range(phantoms: Path):
    with pytest.raises(JobError, match="folds 0 to 0, got 3"):
        read_fold(phantoms / "folds.json", 3)


def test_exchanging_the_sides_twice_gives_the_image_back_and_once_moves_left_to_right():
    array = np.zeros((1, 4, 5, 6), dtype=np.uint8)
    array[0, 0, 2, 3] = 1
    image = Image(array, np.diag([-1.0, 1.0, 1.0, 1.0]))
    assert exchange_sides(image).array[0, 3, 2, 3] == 1
    np.testing.assert_array_equal(exchange_sides(exchange_sides(image)).array, array)
    turned = Image(np.moveaxis(array, 1, 3).copy(), image.affine[:, [1, 2, 0, 3]])
    assert exchange_sides(turned).array[0, 2, 3, 3] == 1
