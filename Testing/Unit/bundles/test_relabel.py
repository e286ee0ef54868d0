"""Segments get other names, colours and codes: what was asked for, nothing else, and everywhere at once."""

import json
from dataclasses import replace

import pytest

from medseg.bundles.anatomy import get_term
from medseg.bundles.label_specs import label_specs
from medseg.bundles.relabel import (
    LabelChange,
    code_text,
    difference_lines,
    relabelled,
    suggested_changes,
    suggested_terms,
)
from medseg.bundles.update import update_bundle
from medseg.spec.errors import JobError, ManifestError
from medseg.spec.locating import BoxSpec, LocateRule
from medseg.spec.measured import Estimate, VolumeBias
from small_manifest import dataset_scores, small_manifest


@pytest.fixture
def named():
    """Three segments: one whose name says all, one whose name is like a term, one whose name says nothing."""
    scores = dataset_scores(
        segment="kidneys left", volume_bias=(VolumeBias(segment="kidneys left", difference_ml=Estimate(1.0)),)
    )
    return small_manifest(labels=label_specs(["Liver", "kidneys left", "part 3"]), scores=(scores,))


def test_one_segment_changes_and_its_scores_keep_their_row(named):
    changed = relabelled(named, {2: LabelChange(name="Left kidney", color="#B96653", code="left kidney")})
    kidney = changed.labels[1]
    assert (kidney.name, kidney.color, kidney.type.value) == ("Left kidney", (0xB9, 0x66, 0x53), "64033007")
    assert kidney.type_modifier.meaning == "Left"
    assert changed.labels[::2] == named.labels[::2]
    assert changed.scores[0].plain.segments[0].segment == "Left kidney"
    assert changed.scores[0].volume_bias[0].segment == "Left kidney"
    assert relabelled(changed, {2: LabelChange(name="kidneys left")}).scores == named.scores


def test_a_code_is_a_term_or_is_written_out(named):
    change = {3: LabelChange(code="SCT:27925004:Nodule")}
    assert code_text(relabelled(named, change).labels[2]) == "SCT:27925004:Nodule"
    sided = relabelled(named, {3: LabelChange(code="SCT:64033007:Kidney, Left")}).labels[2]
    assert (sided.type, sided.type_modifier) == (get_term("kidney").type, get_term("left kidney").type_modifier)
    assert relabelled(named, {3: LabelChange(code=code_text(named.labels[2]))}) == named  # what is there stays


@pytest.mark.parametrize(
    ("value", "change", "words"),
    [
        (4, LabelChange(name="x"), "has no segment of value 4; its values are 1, 2, 3"),
        (2, LabelChange(color="red"), "a colour is written #rrggbb, got 'red'"),
        (2, LabelChange(code="kidnei"), "no anatomical term is called 'kidnei'; like it: kidney"),
        (2, LabelChange(name=" "), "name: expected some text"),
        (2, LabelChange(name="Liver"), "names that differ"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(named, value, change, words):
    with pytest.raises((JobError, ManifestError), match=words):
        relabelled(named, {value: change})


def test_a_model_whose_boxes_name_its_segments_is_left_alone(named):
    box = BoxSpec(name="left", low_mm=(0, 0, 0), high_mm=(1, 1, 1), labels=named.labels)
    located = replace(named, locate=LocateRule(template="t", boxes=(box,)))
    with pytest.raises(JobError, match="names its segments in each box"):
        relabelled(located, {1: LabelChange(name="x")})


def test_suggestions_are_for_segments_without_a_term_and_are_only_words_until_they_are_taken(named):
    assert suggested_terms(named.labels[0]) == []
    assert suggested_terms(named.labels[1])[0].name == "left kidney"
    changes = suggested_changes(named.labels)
    assert changes == {2: LabelChange(code="left kidney", color="#b96653")}
    lines = difference_lines(named.labels, relabelled(named, changes).labels)
    assert lines == [
        f"2: colour #{bytes(named.labels[1].color).hex()} -> #b96653",
        "2: code SCT:85756007:Tissue -> SCT:64033007:Kidney, Left",
    ]


def test_a_suggested_colour_is_one_that_no_other_segment_has():
    labels = label_specs(["lefft kidney", "righht kidney"])
    first, second = suggested_changes(labels).values()
    assert (first.code, second.code) == ("kidney", "kidney")
    assert (first.color, second.color) == ("#b96653", None)


def test_every_file_of_a_bundle_says_the_new_words_and_the_weights_stay(bundle):
    weights = bundle.weights_path.read_bytes()
    name = bundle.manifest.labels[0].name
    changed = relabelled(bundle.manifest, {1: LabelChange(name="Renamed", code="spleen")})
    assert update_bundle(bundle, changed).manifest == changed
    metadata = json.loads((bundle.folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"]["1"] == "Renamed"
    card = (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "| 1 | Renamed |" in card
    assert f"| 1 | {name} |" not in card
    assert bundle.weights_path.read_bytes() == weights
