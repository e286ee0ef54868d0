"""Models are found by words and chips; the chips are those that tell models apart."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.bundles.catalogue import Bundle
from medseg.desktop.panel.model_filter import (
    MOST_CHIPS,
    SIZES_MB,
    Entry,
    Filter,
    dimensions,
    facets,
    fold,
    make_entry,
    matching,
    size_class,
    weights_mb,
)
from medseg.spec.manifest import ChannelSpec, Code, LabelSpec

STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")


@pytest.fixture
def bundle(manifest, tmp_path):
    """Make a bundle out of changes of the manifest."""

    def make(model_id, *, weights_bytes=None, **changes):
        made = Bundle(tmp_path / model_id, replace(manifest, model_id=model_id, **changes))
        if weights_bytes is not None:
            made.weights_path.parent.mkdir(parents=True)
            with made.weights_path.open("wb") as file:
                file.truncate(weights_bytes)  # sparse: no byte is written
        return made

    return make


@pytest.fixture
def entries(bundle):
    """A liver model in CT, a brain model in MR of slices, and one of both modalities."""
    ct, mr = ChannelSpec(name="CT", modality="CT"), ChannelSpec(name="T1", modality="MR")
    liver = LabelSpec(value=1, name="Foie", color=(1, 2, 3), category=STRUCTURE, type=Code("SCT", "10200004", "Liver"))
    tumour = LabelSpec(
        value=1,
        name="lesion",
        color=(1, 2, 3),
        category=STRUCTURE,
        type=Code("SCT", "4147007", "Mass"),
        region=Code("SCT", "12738006", "Brain"),
    )
    return [
        make_entry(bundle("liver-ct", title="Organs", channels=(ct,), labels=(liver,), anatomy="Liver, spleen")),
        make_entry(
            bundle(
                "slices-mr",
                title="Ménière",
                channels=(mr,),
                labels=(tumour,),
                anatomy="brain",
                description="Tumours in slices",
                arguments={"spatial_dims": 2},
            )
        ),
        make_entry(bundle("both", title="Both", channels=(ct, replace(mr, name="MR")), anatomy="liver")),
    ]


def ids(found):
    return [entry.model_id for entry in found]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["liver-ct", "slices-mr", "both"]),
        ("organs", ["liver-ct"]),
        ("liver-ct", ["liver-ct"]),
        ("foie", ["liver-ct"]),
        ("spleen", ["liver-ct"]),
        ("slices", ["slices-mr"]),
        ("TUMOURS", ["slices-mr"]),
        ("meniere", ["slices-mr"]),
        ("MÉNIÈRE", ["slices-mr"]),
        ("mass", ["slices-mr"]),
        ("brain mass", ["slices-mr"]),
        ("brain foie", []),
        ("anatomical", ["liver-ct", "slices-mr", "both"]),
        ("pancreas", []),
    ],
)
def test_all_words_must_be_in_title_id_labels_anatomy_description_or_code_meanings(entries, words, expected):
    assert ids(matching(entries, Filter(words))) == expected


def test_a_short_word_must_begin_a_word_because_structures_are_no_ct(entries):
    assert ids(matching(entries, Filter("ct"))) == ["liver-ct", "both"]


def test_chips_of_one_facet_widen_and_chips_of_two_facets_narrow(entries):
    assert ids(matching(entries, Filter(chips=frozenset({("modality", "CT")})))) == ["liver-ct", "both"]
    both = frozenset({("modality", "CT"), ("modality", "MR")})
    assert ids(matching(entries, Filter(chips=both))) == ["liver-ct", "slices-mr", "both"]
    assert ids(matching(entries, Filter(chips=both | {("dimensions", "2D")}))) == ["slices-mr"]


def test_facets_list_the_values_that_tell_models_apart_with_their_counts(entries):
    assert [(chip.facet, chip.value, chip.count) for chip in facets(entries)] == [
        ("modality", "CT", 2),
        ("modality", "MR", 2),
        ("anatomy", "liver", 2),
        ("anatomy", "brain", 1),
        ("anatomy", "spleen", 1),
        ("dimensions", "3D", 2),
        ("dimensions", "2D", 1),
    ]


def test_a_single_model_needs_no_chips(entries):
    assert facets(entries[:1]) == ()


def test_a_count_says_how_many_models_the_chip_would_leave(entries):
    wanted = Filter("brain", frozenset({("dimensions", "2D")}))
    for chip in facets(entries, wanted):
        alone = Filter(
            wanted.words, frozenset(c for c in wanted.chips if c[0] != chip.facet) | {(chip.facet, chip.value)}
        )
        assert chip.count == len(matching(entries, alone)), chip


def test_of_many_anatomies_only_the_commonest_get_chips_and_a_chosen_one_stays():
    organs = [f"organ{n}" for n in range(20)]
    many = [
        Entry(f"{organ}-{copy}", organ, organ, frozenset({("anatomy", organ)}))
        for rank, organ in enumerate(organs)
        for copy in range(20 - rank)
    ]
    assert [chip.value for chip in facets(many)] == organs[:MOST_CHIPS]
    rare = Filter(chips=frozenset({("anatomy", "organ19")}))
    assert [chip.value for chip in facets(many, rare)] == [*organs[:MOST_CHIPS], "organ19"]


def test_a_chip_pressed_twice_is_not_chosen():
    once = Filter("x").toggled("modality", "CT")
    assert once.chips == {("modality", "CT")}
    assert once.toggled("modality", "CT") == Filter("x")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"arguments": {"spatial_dims": 2}}, "2D"),
        ({"arguments": {"spatial_dims": 3}, "window_shape": (1, 64, 64)}, "3D"),
        ({"window_shape": (64, 64, 1)}, "2D"),
        ({"network": "dlka_net_2d"}, "2D"),
        ({}, "3D"),
    ],
)
def test_dimensions_are_what_the_network_was_built_with(manifest, changes, expected):
    assert dimensions(replace(manifest, **changes)) == expected


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(19_999_999, "small"), (20_000_000, "medium"), (99_999_999, "medium"), (100_000_000, "large"), (None, None)],
)
def test_size_is_that_of_the_file_of_weights(bundle, size_bytes, expected):
    made = bundle("sized", weights_bytes=size_bytes)
    assert size_class(weights_mb(made)) == expected
    assert {value for facet, value in make_entry(made).values if facet == "size"} == ({expected} - {None})


def test_sizes_are_shown_from_small_to_large(bundle):
    many = [
        make_entry(bundle(f"m{n}", weights_bytes=int(size * 1e6))) for n, size in enumerate((500, 500, 50, 500, 1, 1))
    ]
    assert [chip.value for chip in facets(many) if chip.facet == "size"] == list(SIZES_MB)


@given(st.text())
def test_folding_twice_changes_nothing_more_and_case_does_not_matter(text):
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet="aÄéßÇñ ", max_size=12))
def test_upper_and_lower_case_fold_alike(text):
    assert fold(text.upper()) == fold(text.lower())
