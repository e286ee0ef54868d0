"""The numbers of a training run: learning rate, averaged weights, hooks of the networks."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from medseg.networks import NETWORKS, build_network
from medseg.spec.errors import ManifestError
from medseg.training.loop.fit import changes_batches, choose_precision, fit
from medseg.training.loop.training_module import Progress, TrainingModule
from medseg.training.planning.recipe import Recipe, schedule
from medseg.training.planning.side_heads import build_for_training, has_side_heads, without_side_heads
from Unit.training.phantoms import a_manifest


def test_the_learning_rate_starts_low_peaks_after_the_warm_up_and_ends_at_zero():
    for kind in ("cosine", "poly"):
        assert schedule(0.0, 0.1, kind) == pytest.approx(0.1 / 1.1)
        assert schedule(0.1, 0.1, kind) == pytest.approx(1.0)
        assert schedule(1.0, 0.1, kind) == pytest.approx(0.0, abs=1e-12)
    assert schedule(0.55, 0.1) == pytest.approx(0.5)
    assert schedule(0.55, 0.1, "poly") == pytest.approx(0.5**0.9)


def test_the_learning_rate_never_jumps():
    values = [schedule(n / 1000, 0.03) for n in range(1001)]
    assert max(abs(a - b) for a, b in itertools.pairwise(values)) < 0.04


def test_numbers_no_run_can_have_are_refused_by_name():
    with pytest.raises(ManifestError, match=r"foreground: expected a part 0\.\.1 of the patches, got 1\.5"):
        Recipe(foreground=1.5)


def test_averaged_weights_move_by_one_minus_the_decay_also_where_parts_are_shared():
    network = build_network("ultralight_unet", widths="T", label_count=2)
    lesson = TrainingModule(network, Recipe(ema_decay=0.75), progress=Progress(step=1000))
    before = {name: tensor.clone() for name, tensor in lesson.averaged.state_dict().items()}
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.add_(1)
    lesson.on_train_batch_end()
    for name, tensor in lesson.averaged.state_dict().items():
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
            lesson = TrainingModule(network, Recipe(optimiser=optimiser), optimiser_state=kept)
            lesson.trainer = SimpleNamespace(precision="32-true")
            taking = lesson.configure_optimizers()
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


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_can_be_trained_with_side_heads(name):
    assert has_side_heads(name)


def test_the_stored_network_answers_as_the_trained_one():
    model = a_manifest()
    trained = build_for_training(model, deep_supervision=True)
    x = torch.randn(1, 1, 16, 16, 16)
    assert len(trained.train()(x)) == 4
    plain = without_side_heads(trained, model)
    torch.testing.assert_close(plain(x), trained.eval()(x))


def test_side_heads_of_monais_networks_are_left_out_as_well():
    arguments = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2, "deep_supr_num": 1, "filters": [4, 8, 8]}
    strides = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
    model = a_manifest(network="monai:DynUNet", arguments=arguments | strides)
    trained = build_for_training(model, deep_supervision=True)
    x = torch.randn(1, 1, 16, 16, 16)
    assert len(trained.train()(x)) == 2
    torch.testing.assert_close(without_side_heads(trained, model)(x), trained.eval()(x))


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
    from medseg.training.data.augment_ranges import ranges
    from medseg.training.data.cases import Case

    rng = torch.Generator().manual_seed(0)
    case = Case("a", torch.rand(1, 4, 4, 4, generator=rng).numpy(), torch.ones(1, 4, 4, 4).byte().numpy(), {}, ALL)
    network = Counting()
    recipe = Recipe(steps=5, batch=2, foreground=0)
    fit(network, [case] * 4, ranges([]), recipe, patch_shape=(4, 4, 4), workers=0)
    assert network.epochs == [0, 0, 1, 1, 2]


def test_a_loss_that_stays_infinite_ends_the_run_with_what_to_do():
    from medseg.spec.errors import JobError

    lesson = TrainingModule(torch.nn.Conv3d(1, 2, 1), replace(Recipe(), steps=100))
    lesson.trainer = SimpleNamespace(world_size=1)
    batch = {"image": torch.full((1, 1, 4, 4, 4), torch.inf), "labels": torch.zeros(1, 1, 4, 4, 4)}
    assert [lesson.training_step(batch, 0) for _ in range(20)] == [None] * 20
    with pytest.raises(JobError, match="lower the learning rate"):
        lesson.training_step(batch, 0)


ALL = torch.ones(2, dtype=torch.bool).numpy()
