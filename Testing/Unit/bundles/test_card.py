"""The model card's tables hold the manifest's figures, in whichever form they were measured."""

from dataclasses import replace

from medseg.bundles.card import model_card
from medseg.spec.locating import BoxSpec, LocateRule
from medseg.spec.manifest import SliceRule
from medseg.spec.measured import CaseDice, Estimate, Timing, VolumeBias
from small_manifest import dataset_scores


def test_scores_of_a_validation_become_one_table_for_each_way_the_cases_were_shown(bundle):
    scores = (dataset_scores(), dataset_scores("3 cases", mirrored=dataset_scores(dice=0.8).plain))
    card = model_card(replace(bundle.manifest, scores=scores))
    assert "44 cases, as they are:\n\n| | Dice | Dice, 95 % | surface Dice at 1 mm |" in card
    assert "| front | 0.9123 | 0.9000 to 0.9200 | 0.95 |  | 1.5 |  |  |  |\n| mean | 0.9123 |  |  |  | 1.5 |" in card
    assert "3 cases, left and right exchanged:\n\n" in card
    assert "| front | 0.8 | 0.9000 to 0.9200 |" in card
    assert "44 cases, left and right exchanged" not in card


def test_bias_and_worst_cases_have_tables_of_their_own_and_pictures_where_there_are_some(bundle):
    bias = VolumeBias(segment="front", difference_ml=Estimate(0.2, 0.1, 0.3), limits_of_agreement_ml=(-0.5, 0.9))
    seen = CaseDice(case="c7", dice=0.5, picture="worst/1.png")
    scores = dataset_scores(volume_bias=(bias,), worst_cases=(seen, CaseDice(case="c9", dice=0.6)))
    card = model_card(replace(bundle.manifest, scores=(scores,)))
    assert "| | mean difference ml | 95 % | limits of agreement ml |" in card
    assert "| front | 0.2 | 0.1000 to 0.3000 | -0.5000 to 0.9000 |" in card
    assert "| c7 | 0.5 | ![c7](worst/1.png) |\n| c9 | 0.6 |  |" in card
    bare = dataset_scores(worst_cases=(CaseDice(case="c9", dice=0.6),))
    assert "| | Dice |\n| --- | --- |\n| c9 | 0.6 |\n" in model_card(replace(bundle.manifest, scores=(bare,)))


def test_times_name_the_figure_the_unit_and_the_device(bundle):
    timing = Timing(device="P", device_kind="cuda", seconds_per_window=0.0413, peak_memory_mib=12345)
    card = model_card(replace(bundle.manifest, timings=(timing,)))
    assert "| seconds a window, one pass, median (P (cuda)) | 0.0413 |\n| most memory, MiB (P (cuda)) | 12345 |" in card
    assert "seconds a case" not in card


def test_how_a_2d_network_reads_a_volume_is_said(bundle):
    flat = replace(bundle.manifest, slices=SliceRule(axis=2, context=2, fit="resize"), window_shape=(16, 12, 1))
    assert "- Slices: across k, each with 2 neighbour(s) on both sides, resized to the window\n" in model_card(flat)
    assert "Slices:" not in model_card(bundle.manifest)


def test_how_often_and_how_closely_a_located_model_looks_is_said(bundle):
    box = BoxSpec(name="left", low_mm=(0.0, 0.0, 0.0), high_mm=(30.0, 40.0, 30.0))
    rule = LocateRule(template="colin27", boxes=(box,))
    plain = model_card(replace(bundle.manifest, locate=rule))
    assert "sees these boxes: left\n" in plain
    text = model_card(replace(bundle.manifest, locate=replace(rule, refine=1, straighten_from_deg=15.0)))
    assert (
        "sees these boxes: left, straightened if the head is turned by 15 degrees or more; then once more with 3 mm"
        in text
    )
    assert "around what it found there" in text


def test_without_scores_the_card_says_so(bundle):
    assert "Not measured." in model_card(replace(bundle.manifest, scores=(), timings=()))
