"""Measuring itself: turns, child processes, and one whole part at its smallest."""

import numpy as np
import pytest
import torch
from performance import volumes
from performance.child import ChildFailed, in_child
from performance.memory import Peak
from performance.peers import near_ties
from performance.setting import NnunetModel, Setting, Volume, setting_of
from performance.turns import take_turns


def test_runs_take_turns_after_one_round_that_does_not_count():
    order = []
    seconds = take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, budget_s=60)
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_without_time_left_one_round_is_done():
    assert len(take_turns({"a": lambda: None}, rounds=9, budget_s=0.0)["a"]) == 1


def test_the_peak_counts_what_was_given_back_and_parts_count_from_their_start():
    memory = Peak()
    if memory.in_all is None:
        pytest.skip("this system does not tell a process its peak")
    block = np.ones(64 << 20, np.uint8)
    memory.restart()
    assert memory.since_restart < 16
    del block
    assert 60 < memory.in_all < 90


def test_a_near_tie_is_where_the_two_highest_scores_almost_agree():
    scores = torch.tensor([[0.0, 1.0, 5.0, 1.0], [1.0, 1.00005, 5.0, 1.001], [0.99, 0.0, 9.0, -2.0]])
    assert near_ties(scores.view(3, 2, 2, 1)).ravel().tolist() == [False, True, False, False]


def test_a_child_has_the_threads_it_was_given_and_its_answer_comes_back():
    assert in_child("torch:get_num_threads", threads=1) == 1


def test_a_child_that_fails_says_why():
    with pytest.raises(ChildFailed, match="no model is called 'nobody'"):
        in_child("performance.peers:volume", threads=1, method="MONAI", model="nobody", scan="", output="")


def test_the_time_of_all_parts_is_what_was_asked_for(tmp_path):
    for name in ("quick", "full"):
        parts = setting_of(name, minutes=10, folder=tmp_path)
        assert sum(part.seconds for part in parts.values()) == pytest.approx(600)


def test_a_small_volume_is_segmented_for_real_and_labelled_as_by_the_plain_path(tmp_path):
    case = Volume(shape=(40, 36, 36), labels=3, threads=1, methods=("plain path", "ours, torch"), stages=True)
    setting = Setting(
        name="quick",
        rounds=1,
        seconds=1,
        cube=32,
        networks=(),
        overlap=0.5,
        volumes=(case,),
        nnunet=NnunetModel(shape=(40, 36, 36), labels=3, patch=16, features=(4, 8)),
        folder=tmp_path,
        threads=1,
    )
    part = volumes.measure(setting)
    (table,), (grid,), (bar,) = part.tables, part.grids, part.bars
    assert [row.name for row in table.rows] == ["plain path", "ours, torch"]
    assert all(row.median > 0 for row in table.rows)
    assert bar.ratio == 0
    assert {label for row in table.rows[1:] for label in row.cells} >= {"other labels a million", "near ties aside"}
    assert {"read", "preprocess", "network", "write", "total"} <= {line[0] for line in grid.lines}
