"""Sides as people write them, and the pairs that change places in a mirrored patient."""

import pytest

from medseg.spec.manifest import Code, LabelSpec
from medseg.spec.sides import counterparts, has_side

ORGAN = Code("SCT", "113343008", "Organ")
LEFT, RIGHT = Code("SCT", "7771000", "Left"), Code("SCT", "24028007", "Right")


def labels(*names, **codes):
    return [
        LabelSpec(value=value, name=name, color=(1, 2, 3), category=ORGAN, type=ORGAN, **codes)
        for value, name in enumerate(names, start=1)
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Left kidney", "right Kidney"),
        ("kidney_left", "kidney_right"),
        ("Kidney_L", "Kidney_R"),
        ("L lung", "R lung"),
        ("lh_hippocampus", "rh_hippocampus"),
        ("ctx-lh-insula", "ctx-rh-insula"),
        ("Left-Cerebral-White-Matter", "Right-Cerebral-White-Matter"),
        ("LeftLung", "RightLung"),
        ("lung_upper_lobe_left", "lung_upper_lobe_right"),
        ("rib_left_1", "rib_right_1"),
        ("Niere links", "Niere rechts"),
        ("rene sinistro", "rene destro"),
        ("ri\u00f1\u00f3n izquierdo", "ri\u00f1\u00f3n derecho"),
        ("leftkidney", "rightkidney"),
        ("KIDNEYLEFT", "KIDNEYRIGHT"),
    ],
)
def test_both_sides_are_found_in_names_as_people_write_them(left, right):
    both = labels(left, "spleen", right)
    assert [has_side(label) for label in both] == [True, False, True]
    assert counterparts(both) == {1: 3, 3: 1}


@pytest.mark.parametrize(
    "name",
    [
        "liver",
        "vertebrae_L1",
        "vertebra L5",
        "lung vessels",
        "bright",
        "copyright",
        "dexter lesion",
        "L",
        "part 3",
        "胃",
    ],
)
def test_names_without_a_side_have_none(name):
    assert not has_side(labels(name)[0])
    assert counterparts(labels(name, "spleen")) == {}


def test_codes_say_the_side_where_names_do_not():
    (left,), (right,) = labels("kidney 1", type_modifier=LEFT), labels("kidney 1", region_modifier=RIGHT)
    right = LabelSpec(**{**vars(right), "value": 2, "name": "Kidney 1"})
    assert has_side(left)
    assert counterparts([left, right]) == {1: 2, 2: 1}


def test_a_side_without_its_counterpart_changes_places_with_nothing():
    alone = labels("kidney_left", "lung_right")
    assert all(map(has_side, alone))
    assert counterparts(alone) == {}


def test_pairs_are_told_apart_by_the_rest_of_their_names():
    many = labels("rib_left_1", "rib_left_2", "rib_right_2", "rib_right_1")
    assert counterparts(many) == {1: 4, 4: 1, 2: 3, 3: 2}
