"""The card says what the manifest says, and a manifest cannot break out of it."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image as Picture

from medseg.bundles.catalogue import Bundle, scan
from medseg.desktop.panel.model_card import card_html, describe_postprocess, one_line, picture_of
from medseg.spec.manifest import ChannelSpec, Code, LabelSpec
from medseg.spec.measured import CaseDice, Timing
from medseg.spec.postprocess import PostprocessRule
from small_manifest import dataset_scores


class Reader(HTMLParser):
    """The text and the tags of a card; a tag that is not closed fails."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.open, self.colours = [], set(), [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.colours += [value for name, value in attrs if name == "bgcolor"]
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def bundle(manifest, tmp_path):
    return lambda **changes: Bundle(tmp_path, replace(manifest, **changes))


def label(value, name):
    code = Code("SCT", str(value), f"Meaning {value}")
    return LabelSpec(value=value, name=name, color=(255, 0, value), category=code, type=code)


def test_the_shipped_models_cards_name_labels_codes_colours_licence_scores_times_and_references(checkout):
    bundles = scan([checkout / "Models"]).bundles
    assert bundles
    for bundle in bundles.values():
        manifest, reader = bundle.manifest, Reader(card_html(bundle))
        text = " ".join(reader.text)
        for each in manifest.labels:
            assert each.name in text
            assert each.type.meaning in text
            assert each.type.value in text
            assert "#{:02x}{:02x}{:02x}".format(*each.color) in reader.colours
        for said in (
            manifest.licence,
            manifest.intended_use,
            *manifest.references,
            *(f"{timing.seconds_per_window:g}" for timing in manifest.timings),
            *(scores.dataset for scores in manifest.scores),
        ):
            assert said in text
        assert "HD95" in text
        assert "Dice" in text


def test_the_scores_of_the_hippocampus_model_stand_in_the_card(checkout):
    bundle = scan([checkout / "Models"]).bundles["hippocampus-ultralight3d"]
    text = Reader(card_html(bundle)).text
    (scores,) = bundle.manifest.scores
    for table in (scores.plain, scores.mirrored):
        assert f"{table.mean_dice.mean:.4g}" in text
        for row in table.segments:
            assert f"{row.dice.mean:.4g}" in text
            assert f"{row.hd95_mm.mean:.4g}" in text


def test_what_was_not_measured_is_said(bundle):
    assert Reader(card_html(bundle(scores=(), timings=()))).text.count("Not measured.") == 2


def test_no_text_of_a_manifest_becomes_html(bundle):
    evil = "<script>x</script> & <a href='y'>z</a>"
    made = bundle(
        title=evil,
        description=evil,
        labels=(label(1, evil),),
        channels=(ChannelSpec(name=evil, modality=evil),),
        intended_use=evil,
        licence=evil,
        authors=evil,
        training_data=evil,
        anatomy=evil,
        references=(evil,),
        scores=(dataset_scores(evil, evil, worst_cases=(CaseDice(case=evil, dice=0.5, picture=evil),)),),
        timings=(Timing(device=evil, device_kind="cpu", seconds_per_case=1.0),),
    )
    reader = Reader(card_html(made))
    assert reader.tags <= {"p", "b", "br", "table", "tr", "th", "td"}
    assert "".join(reader.text).count(evil) >= 9


def test_the_one_line_names_few_labels_and_counts_the_others(bundle):
    names = ["liver", "spleen", "left kidney", "right kidney", "aorta", "stomach"]
    few, many = (tuple(label(n + 1, name) for n, name in enumerate(names[:count])) for count in (4, 6))
    ct = (ChannelSpec(name="CT", modality="CT"),)
    assert (
        one_line(bundle(labels=few, channels=ct).manifest) == "Segments liver, spleen, left kidney, right kidney in CT"
    )
    assert one_line(bundle(labels=many, channels=ct).manifest).endswith("right kidney and 2 more in CT")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (PostprocessRule(), "nothing is done"),
        (PostprocessRule(keep_largest=True), "only the largest piece of each segment is kept"),
        (
            PostprocessRule(min_island_mm3=12.5, fill_holes_mm3=3),
            "pieces below 12.5 mm³ are removed; holes up to 3 mm³ are filled",
        ),
    ],
)
def test_postprocessing_in_words(rule, words):
    assert describe_postprocess(rule) == words


def test_the_picture_is_the_first_in_the_docs_folder(bundle, tmp_path):
    made = bundle()
    assert picture_of(made) is None
    (tmp_path / "docs").mkdir()
    for name in ("b.png", "a.png", "a.md"):
        (tmp_path / "docs" / name).touch()
    assert picture_of(made) == tmp_path / "docs" / "a.png"


def test_the_shipped_models_have_a_small_picture_that_can_be_drawn(checkout):
    bundles = scan([checkout / "Models"]).bundles
    assert bundles
    for bundle in bundles.values():
        path = picture_of(bundle)
        assert path is not None
        assert path.stat().st_size < 60_000
        with Picture.open(path) as picture:
            assert max(picture.size) >= 144  # sharp on a screen with twice the pixels
            assert picture.convert("RGB").getextrema() != ((0, 0),) * 3
