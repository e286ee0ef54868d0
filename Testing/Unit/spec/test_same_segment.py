"""Segments of two files that are the same anatomy."""

from dataclasses import replace

from medseg.spec.labels import Code
from medseg.spec.same_segment import named, same_segments

KIDNEY = Code("SCT", "64033007", "Kidney")
LEFT, RIGHT = Code("SCT", "7771000", "Left"), Code("SCT", "24028007", "Right")


def many(*names):
    return [named(value, name) for value, name in enumerate(names, start=1)]


def test_names_are_the_same_however_they_are_spelt():
    assert same_segments(many("Left kidney", "liver", "Rib 4 right"), many("LIVER ", "rib_right_4", "Kidney_L")) == {
        1: 3,
        2: 1,
        3: 2,
    }


def test_a_number_alone_makes_nothing_the_same():
    assert same_segments(many("liver", "spleen"), many("lung", "heart")) == {}
    assert same_segments(many("vertebra L1", "rib 2"), many("vertebra L2", "rib 1")) == {}


def test_codes_say_what_names_do_not_and_sides_are_never_mixed():
    ours = [replace(named(1, "A"), type=KIDNEY, type_modifier=LEFT), replace(named(2, "B"), type=KIDNEY)]
    right = replace(named(1, "kidney"), type=KIDNEY, type_modifier=RIGHT)
    left = replace(named(2, "kidney"), type=KIDNEY, type_modifier=LEFT)
    assert same_segments(ours, [right, left]) == {1: 2}
    assert same_segments([replace(right, name="kidney")], [replace(left, value=1)]) == {}


def test_what_two_segments_share_tells_neither():
    assert same_segments(many("cyst", "cyst"), many("cyst")) == {}
    coded = [replace(spec, type=KIDNEY) for spec in many("a", "b")]
    assert same_segments(coded, [replace(named(1, "c"), type=KIDNEY)]) == {}
