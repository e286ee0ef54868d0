"""The loop over the steps: averaged weights, optimiser, dropout, hooks of the networks."""

import itertools

import pytest
import torch
from lightning_fabric import Fabric

from medseg.networks import build_network
from medseg.spec.errors import JobError
from medseg.training.data.cases import Case
from medseg.training.loop.checkpoint import Checkpoint, Progress
from medseg.training.loop.fit import changes_batches, choose_precision, fit
from medseg.training.loop.training_loop import TrainingLoop
from medseg.training.planning.plan import Recipe
from Unit.training.phantoms import a_manifest, a_plan

CPU = Fabric(accelerator="cpu", devices=1)


def a_case():
    image = torch.rand(1, 4, 4, 4, generator=torch.Generator().manual_seed(0)).numpy()
    return Case("a", image, torch.ones(1, 4, 4, 4).byte().numpy(), {}, torch.ones(2, dtype=torch.bool).numpy())


def fitted(network, *, cases=4, **recipe):
    """A few steps on one small case."""
    plan = a_plan(a_manifest(window_shape=(4, 4, 4)), batch=2, foreground=0, **recipe)
    return fit(network, [a_case()] * cases, plan, workers=0)


def test_averaged_weights_move_by_one_minus_the_decay_also_where_parts_are_shared():
    network = build_network("ultralight_unet", widths="T", label_count=2)
    loop = TrainingLoop(network, Recipe(ema_decay=0.75), CPU)
    loop.progress.step = 1000
    before = {name: tensor.clone() for name, tensor in loop.averaged.state_dict().items()}
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.add_(1)
    loop.average()
    for name, tensor in loop.averaged.state_dict().items():
        moved = 0.25 if tensor.is_floating_point() else 1
        torch.testing.assert_close(tensor, before[name] + moved, msg=name)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_an_optimiser_goes_on_alike_whatever_the_order_in_memory_its_state_was_kept_in(optimiser):
    """A checkpoint of a graphics card, or of a processor without channels last, goes on elsewhere."""

    def weights(*, moved):
        torch.manual_seed(0)
        network = torch.nn.Conv3d(3, 4, 3).to(memory_format=torch.channels_last_3d)
        kept = None
        for step in range(4):
            state = network.state_dict()
            resume = None if kept is None else Checkpoint(Progress(), state, state, kept, {})
            taking = TrainingLoop(network, Recipe(optimiser=optimiser), CPU, resume=resume).optimiser
            assert all(group["fused"] for group in taking.param_groups)
            factor = torch.randn(4, 3, 3, 3, 3, generator=torch.Generator().manual_seed(step))
            network.zero_grad()
            (network.weight * factor).sum().backward()
            taking.step()
            kept = taking.state_dict()
            for values in kept["state"].values() if moved else ():
                values.update({k: v.contiguous() for k, v in values.items() if torch.is_tensor(v)})
        return network.weight.detach().clone()

    assert torch.equal(weights(moved=True), weights(moved=False))


def test_batches_are_changed_on_the_card_and_patches_on_the_way_to_a_processor_unless_asked_otherwise():
    card, processor = torch.device("cuda"), torch.device("cpu")
    assert [changes_batches("auto", device) for device in (card, processor)] == [True, False]
    for device in (card, processor):
        assert changes_batches("batch", device)
        assert not changes_batches("patch", device)


def test_half_precision_is_never_chosen_for_a_processor():
    assert choose_precision("auto", torch.device("cpu")) == "float32"
    assert choose_precision("bfloat16", torch.device("cpu")) == "bfloat16"


class Counting(torch.nn.Conv3d):
    """A network that wants to know the epoch."""

    def __init__(self) -> None:
        super().__init__(1, 2, 1)
        self.epochs: list[int] = []

    def start_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


def test_a_network_hears_which_pass_over_the_cases_it_is_in():
    network = Counting()
    fitted(network, steps=5)
    assert network.epochs == [0, 0, 1, 1, 2]


class Dropping(torch.nn.Conv3d):
    """A network that remembers what its dropout let through in each step."""

    def __init__(self) -> None:
        super().__init__(1, 2, 1)
        self.passed: list[torch.Tensor] = []

    def forward(self, x):
        self.passed.append(torch.nn.functional.dropout(torch.ones(64)) > 0)
        return super().forward(x)


def dropped(*, seed=0, resume_at=None, steps=4):
    network = Dropping()
    loop = TrainingLoop(network, Recipe(steps=steps, seed=seed), CPU)
    batch = {"image": torch.rand(1, 1, 4, 4, 4), "labels": torch.ones(1, 1, 4, 4, 4)}
    if resume_at is not None:
        loop.progress.step = resume_at
    while loop.progress.step < steps:
        loop.step(batch)
        torch.rand(3)  # what else draws between two steps does not matter
    return network.passed


def test_every_step_drops_other_features_and_a_run_that_goes_on_drops_the_same_ones():
    torch.manual_seed(1)
    whole = dropped()
    torch.manual_seed(2)
    rest = dropped(resume_at=2)
    assert all(torch.equal(one, other) for one, other in zip(whole[2:], rest, strict=True))
    every = [*whole, *dropped(seed=1)]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(every, 2))


def test_a_loss_that_stays_infinite_changes_no_weight_and_ends_the_run_with_what_to_do():
    network = torch.nn.Conv3d(1, 2, 1)
    before = network.weight.detach().clone()
    loop = TrainingLoop(network, Recipe(steps=100), CPU)
    batch = {"image": torch.full((1, 1, 4, 4, 4), torch.inf), "labels": torch.zeros(1, 1, 4, 4, 4)}
    assert loop.loss(batch) is None
    for _ in range(19):
        loop.step(batch)
    assert torch.equal(network.weight, before)
    with pytest.raises(JobError, match="lower the learning rate"):
        loop.step(batch)
