"""The table of networks, and the reference page made from it."""

from importlib.util import find_spec

import pytest

from medseg.cli.main import run
from medseg.cli.networks import networks_page, rows
from medseg.networks import NETWORKS
from medseg.networks.published import PUBLISHED


@pytest.fixture(scope="module")
def cells():
    return list(rows())


@pytest.mark.skipif(find_spec("timm") is None, reason="2D D-LKA Net needs timm to be counted")
def test_the_reference_page_is_what_the_program_prints(checkout, cells):
    page = (checkout / "docs" / "reference" / "networks.md").read_text(encoding="utf-8")
    assert page == networks_page(cells), "run: medseg networks --markdown > docs/reference/networks.md"


def test_every_network_has_a_row():
    assert set(NETWORKS) == {row.network for row in PUBLISHED}


def test_published_figures_are_met_or_the_difference_is_explained(cells):
    assert len(cells) == len(PUBLISHED)
    for *_, difference, _, _, _, cost_difference, note in cells:
        assert note or {difference, cost_difference} <= {"0.0 %", "-"}


def test_the_table_is_printed_without_explanations(monkeypatch, capsys):
    (row,) = [row for row in PUBLISHED if (row.network, row.variant) == ("medical_transformer", "axial")]
    monkeypatch.setattr("medseg.networks.published.PUBLISHED", (row,))  # one that is counted at once
    assert run(["networks"]) == 0
    shown = capsys.readouterr().out
    assert "1 326 850" in shown
    assert "monai:SegResNet" in shown
    assert row.note not in shown
    assert shown.isascii()
    assert run(["networks", "--markdown"]) == 0
    assert row.note in capsys.readouterr().out


def test_a_network_whose_package_is_missing_says_so_in_its_row(monkeypatch):
    def refuse(row):
        msg = f"{row.network} needs something"
        raise ImportError(msg)

    monkeypatch.setattr("medseg.networks.published.measure", refuse)
    cells = next(rows())
    assert cells[3:-1] == ["?"] * 7
    assert cells[-1] == "dlka_net needs something"
