"""Arithmetic on what was measured, by numbers a reader can check."""

import json

import pytest
from performance.rows import Bar, Grid, Part, Row, Spot, Table, as_json, from_json, times_as_fast


def test_a_ratio_is_the_median_of_the_rounds_not_of_the_medians():
    fast, slow = Row("a", (1.0, 2.0, 4.0)), Row("b", (3.0, 4.0, 4.0))  # 3, 2, 1 times; medians would say 4 / 2
    assert times_as_fast(fast, slow) == 2.0
    assert times_as_fast(Row("a", (1.0, 1.0, 5.0)), Row("b", (9.0, 3.0, 5.0))) == 3.0


def test_a_disturbed_round_changes_both_rows_and_not_the_ratio():
    calm = times_as_fast(Row("a", (1.0, 1.0, 1.0)), Row("b", (4.0, 4.0, 4.0)))
    disturbed = times_as_fast(Row("a", (1.0, 7.0, 1.0)), Row("b", (4.0, 28.0, 4.0)))
    assert calm == disturbed == 4.0


def test_a_missing_row_has_no_ratio():
    assert times_as_fast(None, Row("b", (1.0,))) is None
    assert times_as_fast(Row("a", (1.0,)), None) is None


@pytest.mark.parametrize(
    ("ratio", "at_most", "reached"),
    [(3.5, False, True), (3.49, False, False), (3.5, True, True), (3.51, True, False), (None, False, None)],
)
def test_a_bar_is_reached_at_its_number_from_the_right_side(ratio, at_most, reached):
    assert Bar("it", 3.5, ratio, at_most=at_most).reached is reached


def test_the_share_of_the_machine_is_the_scarcer_of_arithmetic_and_memory():
    arithmetic = Spot("a", flop=100.0, bytes=10.0, seconds=(2.0, 4.0, 9.0), peak_flops=50.0, bandwidth=100.0)
    memory = Spot("b", flop=100.0, bytes=800.0, seconds=(16.0,), peak_flops=50.0, bandwidth=100.0)
    assert (arithmetic.least_seconds, arithmetic.share) == (2.0, 0.5)
    assert (memory.least_seconds, memory.share) == (8.0, 0.5)


def test_a_part_comes_back_from_its_file_as_it_was():
    part = Part(
        "networks",
        (Table("k", "title", "wall", 2, (Row("a", (1.0, 2.0), 3.5, {"x": "1"}), Row("b", (4.0, 5.0)))),),
        (Grid("g", ("a", "b"), (("1", "2"),)),),
        (Bar("it", 2.0, None, aim=3.0),),
        (Spot("s", 1.0, 2.0, (3.0,), 4.0, 5.0),),
        ("note",),
        1.5,
    )
    assert from_json(json.loads(json.dumps(as_json(part)))) == part
