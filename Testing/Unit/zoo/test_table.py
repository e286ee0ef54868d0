"""The accuracy page: what it makes of results whose scores are known, and that it is what the results say."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from Zoo.curves import draw_dice
from Zoo.results import RESULTS, Result, Training, collect, keep, read_results
from Zoo.rows import Row, read_rows, read_shipped
from Zoo.table import PAGE, difference, in_order, mean_by_case, mean_hd95, mean_iou, minutes_to, render

TRAINING = Training(
    budget_minutes=5.5,
    cpu_minutes=5.6,
    wall_minutes=5.7,
    steps=300,
    learning_rate=1e-3,
    precision="float32",
    patch=[32, 48, 32],
    batch=2,
    dice=[[1.0, 0.5], [2.0, 0.86], [3.0, 0.84]],
    loss=[[1.0, 1.5], [3.0, 0.4]],
)


def result(key="dynunet", title="a network", first=(0.8, 0.9, 1.0), second=(0.6, 0.7, 0.8), **other):
    count = len(first)
    known = {
        "key": key,
        "title": title,
        "note": "",
        "cases": [f"case {n}" for n in range(count)],
        "labels": {"1": "Anterior", "2": "Posterior"},
        "dice": {"1": list(first), "2": list(second)},
        "hd95_mm": {"1": [1.0] * count, "2": [3.0] * count},
        "cpu_seconds": 0.25,
        "parameters": 1_500_000,
        "macs": 2_340_000_000,
        "window": [40, 56, 40],
        "training": TRAINING,
    }
    return Result(**known | other)


def row_of(page, title, table=0):
    found = [line for line in page.splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in found[table].strip("|").split("|")]


def test_jaccard_from_dice_is_that_of_the_masks():
    random = np.random.default_rng(0)
    dice, jaccard = [], []
    for _ in range(5):
        a, b = random.random((2, 8, 8, 8)) < 0.4
        dice.append(2 * (a & b).sum() / (a.sum() + b.sum()))
        jaccard.append((a & b).sum() / (a | b).sum())
    assert mean_iou(result(first=dice, second=dice)) == pytest.approx(np.mean(jaccard))


def test_equal_scores_have_an_interval_without_width_and_unequal_ones_one_around_the_mean():
    page = render([result(first=(0.9, 0.9, 0.9), second=(0.8, 0.85, 0.9))])
    cells = row_of(page, "a network")
    assert cells[1] == "0.900 (0.900 to 0.900)"
    mean, low, high = (float(number) for number in re.findall(r"\d\.\d+", cells[2]))
    assert mean == 0.85
    assert 0.8 <= low < mean < high <= 0.9


def test_interval_of_many_cases_is_that_of_the_normal_approximation():
    values = np.random.default_rng(1).normal(0.8, 0.05, 400)
    shown = row_of(render([result(first=values, second=values)]), "a network")[3]
    mean, low, high = (float(number) for number in re.findall(r"\d\.\d+", shown))
    error = 1.96 * values.std(ddof=1) / 20
    assert (mean, low, high) == pytest.approx((values.mean(), values.mean() - error, values.mean() + error), abs=2e-3)


def test_mean_dice_is_the_mean_over_labels_of_each_case():
    assert mean_by_case(result()) == pytest.approx([0.7, 0.8, 0.9])


def test_difference_pairs_the_cases():
    better = result("emf3d", first=(0.81, 0.91, 1.0), second=(0.61, 0.71, 0.82))
    found = difference(better, result())
    assert found.mean == pytest.approx(0.01)
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))  # every case gains as much, though cases differ


def test_rows_of_different_cases_are_not_compared():
    with pytest.raises(ValueError, match="different cases"):
        difference(result("emf3d", cases=["x", "y", "z"]), result())


def test_distances_that_do_not_exist_are_left_out_and_counted():
    row = result(hd95_mm={"1": [1.0, None, 2.0], "2": [None, None, 3.0]})
    assert mean_hd95(row) == (2.25, 3)
    assert row_of(render([row]), "a network")[6] == "2.25 (3 without)"
    assert math.isnan(mean_hd95(result(hd95_mm={"1": [None], "2": [None]}))[0])


def test_time_to_a_mark_is_the_first_time_it_was_reached():
    assert minutes_to(TRAINING, 0.85) == 2.0
    assert minutes_to(TRAINING, 0.88) is None
    page = render([result("ultralight3d-base", "UltraLightUNet3D base")])
    assert "UltraLightUNet3D base: Dice 0.85 after 2.0 minutes, 0.88 not within the budget" in page


def test_costs_are_shown_with_their_units():
    assert row_of(render([result()]), "a network", table=1) == [
        "a network", "1.50 M", "40 x 56 x 40", "2.34", "0.25", "2 x 32 x 48 x 32", "0.001", "300", "5.6", "2.0",
    ]  # fmt: skip


def test_best_rows_come_first_and_shipped_models_last():
    shipped, *_ = read_shipped()
    rows = {
        "dynunet": result(),
        "emf3d": result("emf3d", first=(0.9, 0.9, 1.0)),
        shipped.key: result(shipped.key, first=(1.0, 1.0, 1.0), training=None),
    }
    assert [row.key for row in in_order(rows)] == ["emf3d", "dynunet", shipped.key]


def test_a_row_that_was_not_trained_is_named():
    page = render([result()])
    assert "Not trained yet: " in page
    assert "MedT 3D" in page.split("Not trained yet: ")[1].split("\n")[0]
    assert "MONAI DynUNet, nnU-Net's plan" not in page.split("Not trained yet: ")[1].split("\n")[0]


def test_a_note_and_a_shorter_precision_are_shown():
    page = render([result(note="it trains", training=replace(TRAINING, precision="bfloat16"))])
    assert "* a network: it trains." in page
    assert "2 x 32 x 48 x 32, bfloat16" in page


def test_a_result_comes_back_from_its_file(tmp_path):
    keep(result(), tmp_path / "dynunet.json")
    keep(result("b", training=None), tmp_path / "b.json")
    assert read_results(tmp_path) == {"dynunet": result(), "b": result("b", training=None)}


def test_a_result_is_collected_from_what_a_run_leaves(tmp_path):
    kept = tmp_path / "bundle" / "docs" / "training"
    kept.mkdir(parents=True)
    (tmp_path / "training.json").write_text('{"budget_minutes": 5, "cpu_minutes": 5.1, "wall_minutes": 5.2}')
    (kept / "plan.json").write_text(
        '{"model": {"window_shape": [8, 8, 8]}, "training": {"learning_rate": 0.1, "precision": "auto", '
        '"patch_shape": null, "batch": 2}}'
    )
    log = ["step,epoch,loss,learning_rate,seconds,dice", *(f"{n},0,{n},0.1,{60 * n}," for n in range(1, 121))]
    (kept / "log.csv").write_text("\n".join([*log, "121,0,7,0.1,7260,0.5"]) + "\n")
    scored = [{"case": "a", "label": n, "dice": 0.5 * n, "hd95_mm": math.nan} for n in (1, 2)]
    scores = {"rows": scored, "labels": {1: "x", 2: "y"}, "cpu_seconds": 1, "parameters": 2, "macs": 3, "window": [8]}
    (tmp_path / "scores.json").write_text(
        repr(scores).replace("'", '"').replace("nan", "NaN").replace("1:", '"1":').replace("2:", '"2":')
    )
    found = collect(Row(key="a", title="A", network="n", window=[8], patch=[8], batch=2), tmp_path)
    assert found.dice == {"1": [0.5], "2": [1.0]}
    assert found.hd95_mm == {"1": [None], "2": [None]}
    assert found.training.steps == 121
    assert found.training.patch == [8, 8, 8]
    assert found.training.dice == [[121.0, 0.5]]
    assert found.training.loss[0] == [3.0, 2.0]  # the mean of steps 1 to 3


def test_a_panel_shows_its_curve():
    empty = np.asarray(draw_dice([result(training=replace(TRAINING, dice=[]))]))
    drawn = np.asarray(draw_dice([result()]))
    assert drawn.shape == empty.shape
    blue = np.array((20, 90, 170))
    assert (drawn == blue).all(axis=-1).sum() > 100
    assert not (empty == blue).all(axis=-1).any()


def test_the_page_is_what_the_results_say():
    rows = in_order(read_results(RESULTS))
    assert PAGE.read_text(encoding="utf-8") == render(rows)


def test_every_result_belongs_to_a_row():
    known = {row.key for row in read_rows()} | {each.key for each in read_shipped()}
    assert {path.stem for path in RESULTS.glob("*.json")} <= known
    for shipped in read_shipped():
        assert (Path(__file__).parents[3] / shipped.bundle).is_dir()
