"""What a model card says about scores: intervals, bias, the worst cases and their pictures."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture

from Integration.tiny import write_tiny_bundle
from medseg.bundles.metadata import read_manifest
from medseg.cli.main import run
from medseg.imaging.image import Image
from medseg.io.dataset import CaseFiles
from medseg.io.read import read_image, read_labels
from medseg.io.write import write_image
from medseg.jobs.scoring.evaluate import CaseScores, Evaluation, LabelScores, summarise
from medseg.jobs.scoring.score_tables import bias_table, mean_interval, score_table
from medseg.jobs.scoring.validate import exchange_sides, validate, write_evaluation, write_scores
from medseg.jobs.scoring.worst_cases import WorstCase, draw_worst, keep_worst
from medseg.spec.errors import JobError
from medseg.spec.job import Options
from medseg.spec.manifest import OverlapRule
from medseg.spec.measured import Estimate


def evaluation(dice, ml=None):
    ml = ml or [0.0] * len(dice)
    rows = tuple(
        CaseScores(f"c{n}", LabelScores(1, d, d, 1.0, 2.0, m, 5.0))
        for n, (d, m) in enumerate(zip(dice, ml, strict=True))
    )
    return Evaluation(rows, summarise(row.scores for row in rows))


def test_the_interval_of_many_normal_values_is_that_of_the_central_limit():
    values = np.random.default_rng(0).normal(0.9, 0.03, size=400)
    found = mean_interval(values.tolist())
    reach = 1.96 * values.std() / len(values) ** 0.5
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.mean - reach, found.mean + reach), abs=0.1 * reach)
    assert mean_interval(values.tolist()) == found != mean_interval(values.tolist(), seed=1)


def test_equal_values_have_no_spread_and_no_values_no_interval():
    for values in ([0.5] * 4, [0.5, np.nan, 0.5], [0.5]):
        assert mean_interval(values) == Estimate(0.5, 0.5, 0.5)
    assert mean_interval([np.nan]) == Estimate()


def test_a_row_holds_the_mean_and_its_interval_and_every_label_counts():
    table = score_table(evaluation([0.8, 0.9, 1.0]), {1: "ball"})
    (ball,) = table.segments
    assert (ball.segment, ball.dice) == ("ball", Estimate(0.9, 0.8, 1.0))
    assert (table.mean_dice, table.mean_hd95_mm) == (Estimate(0.9, 0.8, 1.0), 1.0)


def test_bias_and_limits_of_agreement_are_those_of_bland_and_altman():
    (row,) = bias_table(evaluation([1, 1, 1], ml=[0.1, 0.2, 0.3]), {1: "ball"})
    assert row.difference_ml.mean == 0.2
    assert row.limits_of_agreement_ml == pytest.approx((0.2 - 0.196, 0.2 + 0.196))


def test_slices_have_a_bias_of_areas_in_metadata_and_card_and_none_of_volumes(tmp_path):
    bundle = write_tiny_bundle(tmp_path)
    areas = (0.1, 0.2, 0.3)
    rows = tuple(
        CaseScores(f"c{n}", LabelScores(1, 1.0, 1.0, 0.0, math.nan, math.nan, 5.0, 2.0, area))
        for n, area in enumerate(areas)
    )
    found = Evaluation(rows, summarise(row.scores for row in rows))
    assert bias_table(found, {1: "front"}) == ()
    write_evaluation(bundle, found, dataset="3 films")
    (scores,) = read_manifest(bundle.folder / "configs" / "metadata.json").scores
    (row,) = scores.area_bias
    assert row.difference_cm2.mean == 0.2
    assert row.limits_of_agreement_cm2 == pytest.approx((0.2 - 0.196, 0.2 + 0.196))
    card = (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "3 films, area bias" in card
    assert "mean difference cm2" in card
    assert "volume bias" not in card


def case(name, dice):
    image = Image(np.random.default_rng(0).normal(size=(1, 12, 14, 10)).astype(np.float32))
    truth = np.zeros((1, 12, 14, 10), dtype=np.uint8)
    truth[0, 3:8, 3:8, 3:8] = 1
    return WorstCase(name, dice, image, Image(truth), Image(np.roll(truth, 2, axis=2)))


def test_the_worst_are_kept_worst_first():
    kept = ()
    for name, dice in (("a", 0.9), ("b", 0.2), ("c", 0.5), ("d", 0.8)):
        kept = keep_worst(kept, case(name, dice), 2)
    assert [each.name for each in kept] == ["b", "c"]


def test_expert_and_model_are_drawn_apart(tmp_path):
    specs = write_tiny_bundle(tmp_path).manifest.labels
    picture = np.asarray(draw_worst(case("a", 0.4), specs)).astype(int)
    left, right = picture[24:, 6:246], picture[24:, 252:492]
    assert left.shape == right.shape
    assert (left != right).any()
    assert (left[..., 0] - left[..., 2] > 60).any()  # the first label is red


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path)


def cases_on_disk(folder, count=2):
    rng = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    made = []
    for n in range(count):
        files = CaseFiles(f"c{n}", folder / "images" / f"c{n}.nii.gz", folder / "labels" / f"c{n}.nii.gz")
        write_image(files.image, Image(rng.normal(size=(1, 16, 16, 16)).astype(np.float32)))
        labels = np.zeros((1, 16, 16, 16), dtype=np.uint8)
        labels[0, 4:9, 4:9, 4:9], labels[0, 9:12, 4:9, 4:9] = 1, 2
        write_image(files.labels, Image(labels))
        made.append(files)
    return made


def test_segments_that_overlap_are_not_scored_against_a_labelmap(bundle, tmp_path):
    labels = bundle.manifest.labels
    overlapping = OverlapRule(order=tuple(label.value for label in labels))
    with pytest.raises(JobError, match="has segments that overlap, which one labelmap of an expert cannot hold"):
        validate(replace(bundle, manifest=replace(bundle.manifest, overlapping=overlapping)), cases_on_disk(tmp_path))


def test_a_card_shows_intervals_bias_memory_and_pictures_of_the_worst_cases(bundle, tmp_path):
    validation = validate(bundle, cases_on_disk(tmp_path), Options(device="cpu"), worst_count=1)
    scored = write_scores(bundle, validation, dataset="noise")
    card = (bundle.folder / "docs" / "README.md").read_text()
    assert "Dice, 95 %" in card
    assert "limits of agreement ml" in card
    assert "most memory, MiB" in card
    (scores,) = (each for each in scored.manifest.scores if each.dataset == "noise")
    (shown,) = scores.worst_cases
    assert f"![{shown.case}](worst/1.png)" in card
    with Picture.open(bundle.folder / "docs" / "worst" / "1.png") as picture:
        assert picture.size == (498, 768)
    again = write_scores(write_scores(scored, validation, dataset="noise", window_mb=33), validation, dataset="noise")
    assert [each.dataset for each in again.manifest.scores].count("noise") == 1
    assert [timing.window_memory_mib for timing in again.manifest.timings] == [33]  # what was measured before stays
    assert validation.timing.peak_memory_mib > 50


@pytest.mark.parametrize(
    ("region", "exchanged"),
    [
        (Options(roi_voxels=(0, 7, 2, 9, 3, 12)), Options(roi_voxels=(9, 16, 2, 9, 3, 12))),
        (Options(roi_ras_mm=(0, 6.2, 2, 9, 3, 12)), Options(roi_ras_mm=(15 - 6.2, 15, 2, 9, 3, 12))),
    ],
)
def test_the_region_of_a_mirrored_case_is_mirrored_with_it(bundle, tmp_path, region, exchanged):
    (case,) = cases_on_disk(tmp_path, 1)
    (tmp_path / "other").mkdir()
    other = CaseFiles(case.name, tmp_path / "other" / "image.nii.gz", tmp_path / "other" / "labels.nii.gz")
    write_image(other.image, exchange_sides(read_image(case.image).image))
    write_image(other.labels, exchange_sides(read_labels(case.labels)))
    mirrored = validate(bundle, [case], replace(region, device="cpu")).mirrored
    same, elsewhere = (validate(bundle, [other], replace(box, device="cpu")).plain.rows for box in (exchanged, region))
    assert repr(mirrored.rows) == repr(same)  # where a segment is empty some of its scores are NaN
    assert repr(mirrored.rows) != repr(elsewhere)


def test_predictions_made_elsewhere_reach_the_card_by_the_command(bundle, tmp_path, capsys):
    cases_on_disk(tmp_path)
    labels = str(tmp_path / "labels")
    assert run(["evaluate", labels, labels, "--card", str(bundle.folder), "--dataset", "itself"]) == 0
    assert "now says so" in capsys.readouterr().out
    (scores,) = read_manifest(bundle.folder / "configs" / "metadata.json").scores
    assert scores.dataset == "itself"
    assert scores.plain.segments[0].segment == "front"
    assert scores.plain.segments[0].dice.mean == 1
    assert "itself, volume bias" in (bundle.folder / "docs" / "README.md").read_text()


def test_a_fold_of_no_folds_is_refused(bundle, tmp_path, capsys):
    cases_on_disk(tmp_path, 1)
    assert run(["validate", str(bundle.folder), str(tmp_path), "--fold", "3"]) == 2
    assert "--fold chooses one of --folds, got --fold 3 alone" in capsys.readouterr().err


def test_labels_the_model_does_not_have_are_refused(bundle):
    from medseg.jobs.scoring.validate import write_evaluation

    row = LabelScores(7, 1, 1, 1, 1, 1, 1)
    with pytest.raises(JobError, match="has no label 7"):
        write_evaluation(bundle, Evaluation((CaseScores("a", row),), (row,)), dataset="x")
