"""The table of anatomical terms: pydicom's dictionary of SNOMED CT is the other witness."""

import doctest

import pytest
from pydicom.sr._concepts_dict import concepts

from medseg.bundles import anatomy
from medseg.bundles.anatomy import find_term, get_term, suggest, terms
from medseg.spec.errors import ManifestError

# Not in pydicom's dictionary: from the mappings of TotalSegmentator and of radiotherapy's TG-263, which agree on them.
ELSEWHERE = {"myocardium", *(f"rib {n}" for n in range(1, 13))}


@pytest.fixture(scope="module")
def meanings():
    """Code -> what pydicom says it means, in small letters."""
    found = {}
    for entry in concepts["SCT"].values():
        for code, (meaning, _groups) in entry.items():
            found.setdefault(code, set()).add(meaning.lower().partition(" (")[0])
    return found


def test_each_code_means_in_pydicom_what_it_means_here(meanings):
    assert len(terms()) > 110
    unknown = {term.name for term in terms() if term.type.value not in meanings}
    assert unknown == ELSEWHERE
    other = {
        term.name: (term.type.meaning, meanings[term.type.value])
        for term in terms()
        if term.name not in ELSEWHERE and not _same(term.type.meaning, meanings[term.type.value])
    }
    assert other == {}
    assert {term.category.value for term in terms()} <= set(meanings)
    assert all(_same(code.meaning, meanings[code.value]) for code in anatomy.SIDES.values())


def _same(meaning, known):
    return bool({meaning.lower(), f"{meaning.lower()} structure"} & known)


def test_no_term_and_no_code_is_there_twice():
    assert len({term.name for term in terms()}) == len(terms())
    assert len({term.type.value for term in terms()}) == len(terms())


def test_every_term_is_found_by_its_own_name_and_by_the_meaning_of_its_code():
    for term in terms():
        assert find_term(term.name) == term, term.name
        assert find_term(term.type.meaning) == term, term.type.meaning


@pytest.mark.parametrize(
    ("name", "code", "side"),
    [
        ("kidney_left", "64033007", "Left"),
        ("Right-Kidney", "64033007", "Right"),
        ("R kidney", "64033007", "Right"),
        ("lung_upper_lobe_right", "45653009", "Right"),
        ("lung_middle_lobe_right", "72481006", None),
        ("heart_atrium_left", "82471001", None),
        ("vertebrae_L1", "66794005", None),
        ("rib_left_12", "43993008", "Left"),
        ("urinary_bladder", "89837001", None),
        ("small_bowel", "30315005", None),
        ("3rd ventricle", "49841001", None),
        ("Tumour", "108369006", None),
    ],
)
def test_names_as_others_write_them_are_understood(name, code, side):
    found = find_term(name)
    assert found.type.value == code
    assert (found.type_modifier and found.type_modifier.meaning) == side


@pytest.mark.parametrize("name", ["kidney tumour", "kidneys", "left right kidney", "ventricle", "x", "", "left"])
def test_what_is_not_a_whole_term_is_not_guessed(name):
    assert find_term(name) is None


def test_what_is_like_a_term_is_suggested_and_not_more():
    assert [term.name for term in suggest("left kidneys")][:1] == ["left kidney"]
    assert {"kidney", "tumor"} <= {term.name for term in suggest("kidney tumour region")}
    assert suggest("kidney_left") == [find_term("kidney_left")]
    assert suggest("qqqq") == []


def test_a_term_that_is_not_there_is_answered_with_those_like_it():
    with pytest.raises(ManifestError, match="no anatomical term is called 'livre'; like it: liver"):
        get_term("livre")
    with pytest.raises(ManifestError, match=r"no anatomical term is called 'qqqq'; like it: see 'medseg models terms'"):
        get_term("qqqq")


def test_the_examples_in_the_documentation_hold():
    assert doctest.testmod(anatomy).failed == 0
