"""The model card's tables hold the manifest's figures, in whichever form they were measured."""

from dataclasses import replace

from medseg.bundles.card import model_card
from medseg.spec.manifest import SliceRule


def test_scores_of_a_validation_become_one_table_for_each_way_the_cases_were_shown(bundle):
    rows = {"front": {"Dice": 0.91234, "HD95 mm": 1.5}, "mean": {"Dice": 0.9}}
    card = model_card(replace(bundle.manifest, scores={"44 cases": {"as they are": rows, "mirrored": rows}}))
    assert "44 cases, mirrored:\n\n| | Dice | HD95 mm |\n| --- | --- | --- |\n| front | 0.9123 | 1.5 |" in card
    assert "| mean | 0.9 |  |" in card


def test_other_scores_are_listed_one_by_one(bundle):
    card = model_card(replace(bundle.manifest, scores={"Dice": {"front": 0.91234}, "cases": 3}))
    assert "| Dice, front | 0.9123 |" in card
    assert "| cases | 3 |" in card


def test_how_a_2d_network_reads_a_volume_is_said(bundle):
    flat = replace(bundle.manifest, slices=SliceRule(axis=2, context=2, fit="resize"), window_shape=(16, 12, 1))
    assert "- Slices: across k, each with 2 neighbour(s) on both sides, resized to the window\n" in model_card(flat)
    assert "Slices:" not in model_card(bundle.manifest)


def test_without_scores_the_card_says_so(bundle):
    assert "Not measured." in model_card(replace(bundle.manifest, scores={}, timings={}))
