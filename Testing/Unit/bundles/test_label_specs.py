"""Segments of which only the names are known."""

import doctest

import pytest

from medseg.bundles import label_specs
from medseg.bundles.importing import choices


@pytest.mark.parametrize("module", [choices, label_specs])
def test_the_examples_in_the_documentation_hold(module):
    assert doctest.testmod(module).failed == 0


def test_an_organ_has_its_code_and_its_side():
    left, tumour, both = label_specs.label_specs(["Left Kidney", "kidney tumour", "kidneys"])
    assert (left.type.value, left.type_modifier.meaning) == ("64033007", "Left")
    assert tumour.type.meaning == both.type.meaning == "Tissue"  # no guess from a part of the name
    assert tumour.type_modifier is None


def test_many_segments_have_many_colours():
    specs = label_specs.label_specs([f"part {n}" for n in range(20)])
    assert len({spec.color for spec in specs}) == 20
    assert [spec.value for spec in specs] == list(range(1, 21))


def test_structures_of_the_brain_have_the_codes_of_dicom_for_volumetry():
    left, stem, part = label_specs.label_specs(["left lateral ventricle", "Brain stem", "ventricle"])
    assert (left.type.value, left.type.meaning) == ("66720007", "Lateral Ventricle")
    assert left.type_modifier is not None
    assert left.type_modifier.meaning == "Left"
    assert (stem.type.value, stem.type_modifier) == ("119238007", None)
    assert part.type.meaning == "Tissue", "a ventricle may be the heart's"
