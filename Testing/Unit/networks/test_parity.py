"""Our networks return what the published code returned, array for array, within each fixture's tolerance."""

import pytest

from official_fixtures import fixture_names
from parity import CASES, compare


def test_every_fixture_has_a_case():
    assert set(fixture_names()) == set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_published_results_are_reproduced(name):
    comparisons = compare(name)
    assert any(comparison.array == "out0" for comparison in comparisons)
    wrong = [comparison for comparison in comparisons if not comparison.difference <= comparison.allowed]
    assert not wrong
