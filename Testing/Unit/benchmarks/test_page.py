"""What the page says of rows that are known."""

import pytest
from performance.page import bars_table, conditions_table, number, page, rows_table, spots_table
from performance.rows import Bar, Part, Row, Spot, Table

ROWS = (Row("slow", (2.0, 4.0, 3.0), 100.4, {"network s": "1"}), Row("fast", (1.0, 1.0, 1.0)))
TABLE = Table("cube", "one window", "processor", 1, ROWS, "A note.")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0512, "0.051"), (0.5, "0.500"), (1, "1.00"), (11.64, "11.6"), (234.5, "234"), (1e4, "10000")],
)
def test_numbers_have_three_digits_and_no_exponent(value, text):
    assert number(value) == text


def test_a_row_shows_its_median_its_range_its_ratio_and_its_memory():
    assert rows_table(TABLE).splitlines() == [
        "|  | processor s | least to most | x slow | peak MiB | network s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| slow | 3.00 | 2.00 to 4.00 | 1.00 | 100 | 1 |",
        "| fast | 1.00 | 1.00 to 1.00 | 3.00 | - |  |",
    ]


def test_rows_of_unequal_rounds_are_not_compared():
    table = Table("k", "t", "wall", 2, (Row("a", (1.0, 2.0)), Row("b", (1.0,))))
    assert rows_table(table).splitlines()[-1] == "| b | 1.00 | 1.00 to 1.00 | - | - |"


def test_a_missed_bar_says_so_and_one_that_was_not_measured_too():
    bars = [Bar("a", 3.5, 3.6, aim=5), Bar("b", 3.5, 3.4), Bar("c", 0.6, 0.7, at_most=True), Bar("d", 2, None, unit="")]
    assert bars_table(bars).splitlines()[2:] == [
        "| a | at least 3.5x (aim 5x) | 3.60x | reached |",
        "| b | at least 3.5x | 3.40x | **missed** |",
        "| c | at most 0.6x | 0.700x | **missed** |",
        "| d | at least 2 | not measured | - |",
    ]


def test_an_operator_shows_its_limit_and_its_share_of_it():
    spot = Spot("copy", flop=1e9, bytes=8e9, seconds=(0.5, 0.4, 0.6), peak_flops=1e11, bandwidth=32e9)
    assert spots_table([spot]).splitlines()[-1] == (
        "| copy | 1000 | 8000 | 500 | 400 to 600 | 2.00 | 16.0 | memory | 50.0 % |"
    )


def test_the_page_holds_conditions_bars_tables_and_pictures_in_this_order():
    part = Part("networks", (TABLE,), bars=(Bar("a", 2.0, 3.0),), notes=("What was left out.",), minutes=1.25)
    text = page([part], {"processor": "one"}, {"cube": "performance/cube.png"})
    order = (
        conditions_table({"processor": "one"}),
        "## Bars",
        "| a | at least 2x | 3.00x | reached |",
        "## Networks",
        "### One window\n\n3 rounds.\n\n![One window](performance/cube.png)",
        rows_table(TABLE),
        "A note.\n\nWhat was left out.\n\nThis part took 1.2 minutes.",
        "## Measure again",
    )
    places = [text.index(piece) for piece in order]
    assert places == sorted(places)


def test_a_table_without_a_picture_links_none():
    assert "![" not in page([Part("networks", (TABLE,))], {}, {})
