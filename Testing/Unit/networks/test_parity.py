"""Our networks return what the published code returned, array for array, within each fixture's tolerance."""

from pathlib import Path

import pytest

from official_fixtures import fixture_names
from parity import CASES, compare, without_counterpart
from seeded_fixtures import seeded_names

SEEDED = {  # how fixtures are named, and the test that compares them
    "medt_128": "test_medical_transformer.py",
    "module_axial": "test_gated_axial_attention.py",
    "module_gfe": "test_msla.py",
    "module_lfe": "test_msla.py",
    "module_linear": "test_msla.py",
    "module_msla": "test_msla.py",
    "mslau_synapse_224_c9": "test_mslau_net.py",
    "ours_emf_former": "test_emf_former.py",
    "ours_module_emf": "test_emf_former_blocks.py",
    "ours_module_msla": "test_msla.py",
}


def test_every_fixture_has_a_case():
    assert set(fixture_names()) == set(CASES)


def test_every_seeded_fixture_is_compared():
    assert set(seeded_names("")) == set(seeded_names(*SEEDED))
    for start, test in SEEDED.items():
        assert f'"{start}"' in next(Path(__file__).parent.rglob(test)).read_text(encoding="utf-8")


def test_every_public_fixture_is_here_bit_by_bit(shared, checkout):
    kept = {path.name: path for path in (checkout / "Testing" / "Data" / "networks").rglob("*.*")}
    public = [path for path in (shared / "networks").glob("*/public/*") if path.suffix in {".json", ".npz"}]
    assert public
    assert [path.name for path in public if path.read_bytes() != kept[path.name].read_bytes()] == []


def test_an_array_that_is_not_compared_is_noticed():
    comparisons = [row for row in compare("op_deform_conv3d") if row.array not in {"out0", "grad_bias"}]
    assert without_counterpart("op_deform_conv3d", comparisons) == {"out0", "grad_bias"}


@pytest.mark.parametrize("name", sorted(CASES))
def test_published_results_are_reproduced(name):
    comparisons = compare(name)
    assert without_counterpart(name, comparisons) == set()
    wrong = [comparison for comparison in comparisons if not comparison.difference <= comparison.allowed]
    assert not wrong
