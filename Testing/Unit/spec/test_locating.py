"""A locate rule that means nothing is refused, with the field and what is allowed."""

import pytest

from medseg.spec.errors import ManifestError
from medseg.spec.locating import BoxSpec, LocateRule

BOX = BoxSpec(name="left", low_mm=(-34.0, -20.0, -16.0), high_mm=(-4.0, 20.0, 14.0))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("refine", -1, "from 0 to 3"),
        ("refine", 4, "from 0 to 3"),
        ("refine_margin_mm", -0.5, "a number from 0"),
        ("refine_margin_mm", float("inf"), "a number from 0"),
        ("straighten_from_deg", -1.0, "from 0 to 180"),
        ("straighten_from_deg", float("nan"), "from 0 to 180"),
        ("crop_below_mm", 0.0, "above 0"),
    ],
)
def test_a_number_that_means_nothing_is_refused_by_its_name(field, value, words):
    with pytest.raises(ManifestError, match=words) as caught:
        LocateRule(template="colin27", boxes=(BOX,), **{field: value})
    assert field in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_rule_that_says_nothing_of_it_looks_once_and_straightens_every_head():
    rule = LocateRule(template="colin27", boxes=(BOX,))
    assert (rule.refine, rule.straighten_from_deg) == (0, 0.0)
