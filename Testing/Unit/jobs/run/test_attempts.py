"""Ways to run when memory is short: each needs less than the one before, and none is another answer."""

from itertools import pairwise

import pytest
import torch

from medseg.jobs.run.attempts import Attempt, attempts
from medseg.spec.job import Options

CPU, CARD = torch.device("cpu"), torch.device("cuda:1")


def steps(device, **options):
    return [(a.device.type, a.window_batch, a.precision, a.engine) for a in attempts(device, Options(**options))]


def test_a_processor_takes_fewer_windows_at_a_time_and_then_pytorch():
    assert steps(CPU, window_batch=6) == [
        ("cpu", 6, "float32", "auto"),
        ("cpu", 3, "float32", "auto"),
        ("cpu", 1, "float32", "auto"),
        ("cpu", 1, "float32", "torch"),
    ]


def test_a_card_goes_to_half_precision_before_the_processor_takes_over():
    assert steps(CARD, window_batch=2, engine="torch") == [
        ("cuda", 2, "float32", "torch"),
        ("cuda", 1, "float32", "torch"),
        ("cuda", 1, "float16", "torch"),
        ("cpu", 1, "float32", "torch"),
    ]
    assert steps(CARD)[-2:] == [("cpu", 1, "float32", "auto"), ("cpu", 1, "float32", "torch")]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_half_precision_that_was_asked_for_is_not_exchanged_for_the_other(precision):
    on_card = [each for each in attempts(CARD, Options(precision=precision, window_batch=4)) if each.device == CARD]
    assert {each.precision for each in on_card} == {precision}
    assert steps(CPU, precision=precision, engine="torch") == [("cpu", 1, precision, "torch")]


@pytest.mark.parametrize("device", [CPU, CARD, torch.device("mps")])
@pytest.mark.parametrize("engine", ["auto", "torch", "openvino"])
@pytest.mark.parametrize("batch", [1, 2, 5, 64])
def test_every_step_changes_one_thing_or_leaves_the_device_and_none_comes_twice(device, engine, batch):
    tried = list(attempts(device, Options(window_batch=batch, engine=engine)))
    assert tried[0] == Attempt(device, batch, "float32", engine)
    assert len(set(tried)) == len(tried)
    assert tried[-1] == Attempt(CPU, 1, "float32", "torch")
    for before, after in pairwise(tried):
        changed = [name for name, value in vars(after).items() if value != getattr(before, name)]
        assert len(changed) == 1 or "device" in changed
        assert after.window_batch <= before.window_batch


def test_as_text_an_attempt_says_what_is_tried():
    assert str(Attempt(CPU, 1, "float32", "auto")) == "1 window at a time in float32 on cpu"
    assert str(Attempt(CARD, 4, "float16", "torch")) == "4 windows at a time in float16 on cuda:1 by torch"
