"""From a folder of phantoms to a bundle that segments them."""

import math
import time
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medseg.bundles.catalogue import Bundle
from medseg.bundles.weights import load_network
from medseg.imaging.image import Image
from medseg.io.dataset import choose_cases, read_dataset, read_fold
from medseg.jobs.scoring.evaluate import CaseScores, Evaluation, LabelScores
from medseg.jobs.scoring.validate import Validation, exchange_sides, validate, write_scores
from medseg.spec.errors import ImageError, JobError, OutputExists
from medseg.spec.measured import Estimate, Timing
from medseg.training.data.cases import IGNORE, load_case, load_cases
from medseg.training.loop import watch
from medseg.training.loop.run_log import read_log
from medseg.training.planning.plan import read_plan
from medseg.training.train import alone_in, run_folder, train
from Unit.training.phantoms import SIZE, a_config, a_manifest, a_plan, a_slice_manifest


def fold_of(folder: Path):
    names = read_fold(folder / "folds.json", 0)
    cases = read_dataset(folder)
    return tuple(choose_cases(cases, part) for part in names)


@pytest.fixture(scope="module")
def trained(phantoms: Path, tmp_path_factory) -> Bundle:
    """The bundle after a few seconds of training."""
    files, held_out = fold_of(phantoms)
    return train(a_config(tmp_path_factory.mktemp("models") / "phantom"), a_plan(steps=100), files, held_out)


def test_a_trained_bundle_finds_what_it_was_shown_on_both_sides(trained: Bundle, phantoms: Path):
    validation = validate(trained, fold_of(phantoms)[1])
    assert validation.plain.mean_dice() > 0.8
    assert validation.mirrored.mean_dice() > 0.8
    assert len(validation.plain.rows) == 2


def test_a_bundle_is_stored_without_side_heads_and_keeps_the_story_of_its_training(trained: Bundle):
    names = load_network(trained).state_dict()
    assert not [name for name in names if "side_heads" in name]
    kept = trained.folder / "docs" / "training"
    assert sorted(path.name for path in kept.iterdir()) == ["curves.png", "folds.json", "log.csv", "plan.json"]
    assert read_plan(kept / "plan.json").training.steps == 100
    rows = read_log(kept / "log.csv")
    assert [row.step for row in rows] == list(range(1, 101))
    assert [row.step for row in rows if row.dice is not None] == [50, 100]
    assert rows[-1].learning_rate < rows[40].learning_rate


def test_scores_reach_the_metadata_and_the_model_card(trained: Bundle, phantoms: Path):
    validation = validate(trained, fold_of(phantoms)[1])
    weights = (trained.folder / "models" / "model.safetensors").read_bytes()
    scored = write_scores(trained, validation, dataset="two phantoms")
    (scores,) = scored.manifest.scores
    assert scores.dataset == "two phantoms"
    assert scores.plain.mean_dice.mean == pytest.approx(validation.plain.mean_dice(), abs=1e-4)
    assert f"| mean | {scores.plain.mean_dice.mean:.4g} |" in (trained.folder / "docs" / "README.md").read_text()
    assert (trained.folder / "models" / "model.safetensors").read_bytes() == weights


def test_a_score_that_does_not_exist_leaves_the_bundle_readable(trained: Bundle):
    nothing = LabelScores(1, 0.0, 0.0, math.nan, 0.0, -1.0, -100.0)
    evaluation = Evaluation((CaseScores("a", nothing),), (nothing,))
    timing = Timing(device="P", device_kind="cpu", seconds_per_case=1.0, seconds_per_window=0.25)
    scored = write_scores(trained, Validation(evaluation, evaluation, timing), dataset="found nothing")
    (ball,) = next(each for each in scored.manifest.scores if each.dataset == "found nothing").plain.segments
    assert ball.dice.mean == 0
    assert ball.hd95_mm == Estimate()  # there is no such distance


def test_training_never_replaces_a_bundle(trained: Bundle):
    with pytest.raises(OutputExists, match="is kept"):
        train(a_config(trained.folder), a_plan(), [])


@pytest.mark.parametrize("axis", [0, 2])
def test_a_2d_network_trains_on_slices_with_their_neighbours(phantoms: Path, tmp_path: Path, axis):
    files, held_out = fold_of(phantoms)
    plan = a_plan(a_slice_manifest(axis), steps=40, batch=6)
    bundle = train(a_config(tmp_path / "flat"), plan, files, held_out)
    dice = [row.dice for row in read_log(bundle.folder / "docs" / "training" / "log.csv") if row.dice is not None]
    assert dice[-1] > 0.5
    assert bundle.manifest.slices.context == 1


def test_a_time_limit_ends_with_a_finished_schedule_and_a_bundle(phantoms: Path, tmp_path: Path):
    files, _ = fold_of(phantoms)
    bundle = train(a_config(tmp_path / "short", seconds=4.0), a_plan(steps=100_000), files)
    rows = read_log(bundle.folder / "docs" / "training" / "log.csv")
    assert 1 < len(rows) < 10_000
    assert rows[-1].learning_rate < 0.2 * max(row.learning_rate for row in rows)


def test_a_device_that_is_not_there_is_refused_before_anything_is_made(phantoms: Path, tmp_path: Path):
    files, _ = fold_of(phantoms)
    with pytest.raises(JobError, match="cuda:77"):
        train(a_config(tmp_path / "one", device="cuda:77"), a_plan(steps=2), files)
    assert not run_folder(tmp_path / "one").exists()


def test_a_second_training_of_the_same_output_is_refused_while_the_first_runs(phantoms: Path, tmp_path: Path):
    files, _ = fold_of(phantoms)
    with alone_in(run_folder(tmp_path / "one")), pytest.raises(JobError, match="another training is writing"):
        train(a_config(tmp_path / "one", restart=True), a_plan(steps=2), files)
    assert train(a_config(tmp_path / "one"), a_plan(steps=2), files) is not None


def test_scores_on_the_way_take_a_small_part_of_a_time_limit(phantoms: Path, tmp_path: Path, monkeypatch):
    def slowly(*_):
        time.sleep(0.5)
        return 0.5

    monkeypatch.setattr(watch, "score_cases", slowly)
    files, held_out = fold_of(phantoms)
    plan = a_plan(steps=100_000, validations=50)
    bundle = train(a_config(tmp_path / "m", seconds=3), plan, files, held_out)
    rows = read_log(bundle.folder / "docs" / "training" / "log.csv")
    assert 1 <= sum(row.dice is not None for row in rows) <= 3
    assert rows[-1].dice == 0.5


def test_a_corrupt_case_is_left_out_by_name_and_the_run_goes_on(phantoms: Path, tmp_path: Path):
    files, _ = fold_of(phantoms)
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image at all")
    notes: list[str] = []
    cases = load_cases([*files[:1], replace(files[1], image=broken)], a_manifest(), on_problem=notes.append)
    assert [case.name for case in cases] == ["image_0"]
    assert len(notes) == 1
    assert "image_1" in notes[0]
    assert "broken.nii.gz" in notes[0]
    with pytest.raises(JobError, match=r"no case can be trained on: image_1: .*broken\.nii\.gz"):
        load_cases([replace(files[1], image=broken)], a_manifest())


def test_cases_kept_on_disk_are_the_ones_in_memory(phantoms: Path, tmp_path: Path):
    files, _ = fold_of(phantoms)
    plain, kept = load_case(files[0], a_manifest()), load_case(files[0], a_manifest(), tmp_path / "cases")
    np.testing.assert_array_equal(plain.image, kept.image)
    np.testing.assert_array_equal(plain.labels, kept.labels)
    assert isinstance(kept.image, np.memmap)


def test_a_label_the_manifest_does_not_list_is_named(phantoms: Path, tmp_path: Path):
    files = next(iter(read_dataset(phantoms).values()))
    labels = nibabel.Nifti1Image(np.full((SIZE,) * 3, 7, dtype=np.uint8), np.eye(4))
    nibabel.save(labels, tmp_path / "seven.nii.gz")
    wrong = replace(files, labels=tmp_path / "seven.nii.gz")
    with pytest.raises(ImageError, match=r"seven\.nii\.gz holds label 7"):
        load_case(wrong, a_manifest())
    assert (load_case(replace(wrong, ignore=7), a_manifest()).labels == IGNORE).all()


def test_labels_on_another_grid_are_refused(phantoms: Path, tmp_path: Path):
    files = next(iter(read_dataset(phantoms).values()))
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8), dtype=np.uint8), np.eye(4)), tmp_path / "small.nii.gz")
    with pytest.raises(ImageError, match="another grid"):
        load_case(replace(files, labels=tmp_path / "small.nii.gz"), a_manifest())


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


def test_another_plan_does_not_continue_an_unfinished_run(phantoms: Path, tmp_path: Path):
    files, _ = fold_of(phantoms)
    train(a_config(tmp_path / "one"), a_plan(steps=2), files)
    (tmp_path / "one").rename(tmp_path / "elsewhere")
    with pytest.raises(JobError, match=r"differs in training\.steps, training\.batch.*--restart"):
        train(a_config(tmp_path / "one"), a_plan(steps=3, batch=1), files)
    bundle = train(a_config(tmp_path / "one", restart=True), a_plan(steps=3), files)
    assert len(read_log(run_folder(bundle.folder) / "log.csv")) == 3


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on one core
def test_weights_do_not_depend_on_how_many_processes_prepare_patches(phantoms: Path, tmp_path: Path):
    files, _ = fold_of(phantoms)
    found = [
        load_network(train(a_config(tmp_path / str(count), workers=count), a_plan(steps=3), files)) for count in (0, 2)
    ]
    for (name, one), other in zip(found[0].state_dict().items(), found[1].state_dict().values(), strict=True):
        assert torch.equal(one, other), name
