"""Our networks return what the published code returned, array for array, within each fixture's tolerance."""

import pytest

from official_fixtures import fixture_names
from parity import CASES, compare, without_counterpart


def test_every_fixture_has_a_case():
    assert set(fixture_names()) == set(CASES)


def test_an_array_that_is_not_compared_is_noticed():
    comparisons = [row for row in compare("op_deform_conv3d") if row.array not in {"out0", "grad_bias"}]
    assert without_counterpart("op_deform_conv3d", comparisons) == {"out0", "grad_bias"}


@pytest.mark.parametrize("name", sorted(CASES))
def test_published_results_are_reproduced(name):
    comparisons = compare(name)
    assert without_counterpart(name, comparisons) == set()
    wrong = [comparison for comparison in comparisons if not comparison.difference <= comparison.allowed]
    assert not wrong
