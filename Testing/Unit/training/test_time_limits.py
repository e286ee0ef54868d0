"""What a short time limit changes in a plan: the patch, and over how many steps the weights are averaged."""

import math
from functools import cache
from pathlib import Path

import pytest
import torch

from medseg.inference.device import choose_device
from medseg.io.dataset import describe_dataset
from medseg.training.planning.adapt import adapt
from medseg.training.planning.fingerprint import CaseFacts, ChannelFacts, Fingerprint
from medseg.training.planning.propose import propose
from medseg.training.planning.propose_patch import choose_patch
from medseg.training.planning.propose_window import MemoryBudget
from Unit.training.phantoms import a_config, write_phantoms

CPU = torch.device("cpu")
NUMBERS = {"lowest": 0.0, "highest": 9.0, "percentile_00_5": 1.0, "percentile_99_5": 8.0, "mean": 4.0, "std": 2.0}
CASE = CaseFacts(name="case", shape=(36, 50, 35), spacing_mm=(1, 1, 1), voxels={"1": 300})
FACTS = Fingerprint(cases=(CASE,) * 200, channels=(ChannelFacts(**NUMBERS),), label_values=(1,))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return describe_dataset(write_phantoms(tmp_path_factory.mktemp("one"), 1))


@pytest.fixture(scope="module")
def planned(dataset):
    """Plans, each made once: a time limit takes seconds to plan for."""

    @cache
    def plan(seconds=math.inf, **choices):
        return propose(dataset, FACTS, a_config(Path("m"), seconds=seconds, **choices), CPU)

    return plan


def test_a_short_limit_on_a_processor_makes_the_patch_smaller_than_the_window_and_says_why(planned):
    plan = planned(300)
    assert plan.model.window_shape == (40, 56, 40)
    assert plan.patch_shape == (32, 48, 32)
    assert "steps on the whole window" in plan.reasons["training.patch_shape"]


def test_a_long_limit_or_none_leaves_the_whole_window(planned):
    for plan in (planned(1e6), planned()):
        assert plan.training.patch_shape is None
        assert "training.patch_shape" not in plan.reasons


def test_slices_and_graphics_cards_keep_their_patch(planned):
    assert planned(60, slice_axis=2).training.patch_shape is None
    budget = MemoryBudget("ultralight_unet", {}, 1, 2, (1, 1, 1), None, torch.device("cuda"))
    assert choose_patch(budget, {}, (40, 56, 40), 2, 60, {}) == (None, math.inf)


def test_a_network_made_for_one_size_keeps_it(planned):
    plan = planned(60, network="monai:UNETR", changes=("model.arguments.img_size=[48,64,48]",))
    assert plan.model.window_shape == (48, 64, 48)
    assert plan.training.patch_shape is None


def test_twice_the_time_holds_twice_the_steps():
    budget = MemoryBudget("ultralight_unet", {}, 1, 2, (1, 1, 1), None, CPU)
    window = (40, 56, 40)
    (first, some), (second, more) = (
        choose_patch(budget, budget.arguments(window), window, 2, seconds, {}) for seconds in (60, 120)
    )
    assert first == second == (32, 48, 32)
    assert more == pytest.approx(2 * some)


def test_weights_are_averaged_over_a_fortieth_of_the_steps_that_fit(planned):
    budget = MemoryBudget("ultralight_unet", {}, 1, 2, (1, 1, 1), None, CPU)
    short = planned(300)
    _, steps = choose_patch(budget, short.model.arguments, (40, 56, 40), short.training.batch, 300, {})
    assert 1 / (1 - short.training.ema_decay) == pytest.approx(max(2, steps / 40), rel=0.01)
    assert short.training.ema_decay < planned().training.ema_decay


def test_a_fine_tuning_of_a_few_minutes_takes_small_patches_too(planned, dataset):
    model = planned().model
    plan = adapt(model, dataset, FACTS, "tuned", seconds=300, device=choose_device("cpu"))
    assert plan.patch_shape == (32, 48, 32)
    assert adapt(model, dataset, FACTS, "tuned").training.patch_shape is None
