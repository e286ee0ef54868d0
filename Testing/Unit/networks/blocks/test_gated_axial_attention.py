"""Gated axial attention alone: against the published layers, against its definition, in 2D and 3D."""

import pytest
import torch
from torch import nn

from medseg.bundles.official.medical_transformer import ATTENTION_RULES, BLOCK_RULES
from medseg.bundles.official.renaming import to_ours, to_theirs
from medseg.networks.blocks import gated_axial_attention
from medseg.networks.blocks.axial_block import AxialBlock
from medseg.networks.blocks.gated_axial_attention import GatedAxialAttention, average
from official_weights import load_checked
from seeded_fixtures import Difference, differences, seeded_fixture, seeded_names

POSITIONS = {"AxialAttention_dynamic": "gated", "AxialAttention": "plain", "AxialAttention_wopos": "none"}
NORMS = {"bn_qkv": "qkv_norm", "bn_similarity": "similarity_norm", "bn_output": "output_norm"}
FIXTURES = seeded_names("module_axial")


def published_module(config):
    """Our module for a fixture, its rules, and where its intermediate results are."""
    if config["class"].startswith("AxialBlock"):
        lengths = (config["kernel_size"],) * 2
        block = AxialBlock(
            2, config["inplanes"], config["planes"], lengths, groups=config["groups"], stride=config["stride"]
        )
        return block, BLOCK_RULES, {"hight_block": "attentions.0", "width_block": "attentions.1"}
    layer = GatedAxialAttention(
        2,
        config["in_planes"],
        config["out_planes"],
        axis=int(config["width"]),
        length=config["kernel_size"],
        groups=config["groups"],
        stride=config["stride"],
        positions=POSITIONS[config["class"]],
    )
    return layer, ATTENTION_RULES, NORMS


def compare(name) -> list[Difference]:
    fixture = seeded_fixture(name)
    module, rules, activations = published_module(fixture.config)
    state = {key: value for key, value in fixture.state().items() if not key.endswith("flatten_index")}
    load_checked(module, to_ours(state, rules), optional="-")
    theirs = to_theirs({key: key for key in module.state_dict()}, rules)
    assert set(theirs) == set(state)
    return list(differences(fixture, module, activations, {ours: key for key, ours in theirs.items()}))


def make(axes=2, **changes):
    torch.manual_seed(0)
    layer = GatedAxialAttention(axes, 4, 8, **({"axis": 0, "length": 5, "groups": 2} | changes))
    for norm in (layer.qkv_norm, layer.similarity_norm, layer.output_norm):
        nn.init.normal_(norm.weight, 1, 0.2)
        nn.init.normal_(norm.bias, 0, 0.2)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return layer.eval()


@pytest.mark.parametrize("name", FIXTURES)
def test_published_results_and_gradients_are_reproduced(name):
    rows = compare(name)
    assert {"output", "grad_input"} < {row.array for row in rows}
    assert [row for row in rows if not row.found <= row.allowed] == []


def by_definition(layer, x):
    """Voxel by voxel of a 2D image, along its first axis."""
    qkv = layer.qkv_norm(layer.qkv(x.movedim(3, 1).flatten(0, 1)))  # (B W, 2 C, H)
    half, gates = layer.per_group // 2, layer.gates
    length = qkv.shape[2]
    result = torch.zeros(len(qkv), 2 * layer.groups * layer.per_group, length, dtype=x.dtype)
    logits = torch.zeros(len(qkv), 3 * layer.groups, length, length, dtype=x.dtype)
    split = [part.split([half, half, layer.per_group], 1) for part in qkv.chunk(layer.groups, 1)]
    rq, rk, rv = layer.relative.split([half, half, layer.per_group])
    for i in range(length):
        for j in range(length):
            away, back = i - j + length - 1, j - i + length - 1
            for g, (q, k, _) in enumerate(split):
                logits[:, g, i, j] = (q[:, :, i] * k[:, :, j]).sum(1)
                logits[:, layer.groups + g, i, j] = gates["qr"] * (q[:, :, i] @ rq[:, away])
                logits[:, 2 * layer.groups + g, i, j] = gates["kr"] * (k[:, :, j] @ rk[:, back])
    weights = sum(layer.similarity_norm(logits).chunk(3, 1)).softmax(3)
    for i in range(length):
        for j in range(length):
            for g, (_, _, v) in enumerate(split):
                first, last = 2 * g * layer.per_group, 2 * (g + 1) * layer.per_group
                share = weights[:, g, i, j, None]
                result[:, first:last:2, i] += gates["sv"] * share * v[:, :, j]
                result[:, first + 1 : last : 2, i] += gates["sve"] * share * rv[:, i - j + length - 1]
    normed = layer.output_norm(result)
    return (normed[:, ::2] + normed[:, 1::2]).unflatten(0, (len(x), -1)).movedim(1, 3)


def test_it_is_the_published_definition_voxel_by_voxel():
    layer, x = make().double(), torch.randn(2, 4, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x), by_definition(layer, x))


@pytest.mark.parametrize("positions", ["gated", "plain", "none"])
def test_every_axis_of_a_volume_is_treated_alike(positions):
    x = torch.randn(1, 4, 5, 5, 5, dtype=torch.float64)
    results = [make(3, axis=axis, positions=positions).double()(x.transpose(2, 2 + axis)) for axis in range(3)]
    for axis, result in enumerate(results):
        torch.testing.assert_close(result.transpose(2, 2 + axis), results[0])


def test_a_volume_is_a_stack_of_images():
    volume = torch.randn(2, 4, 5, 3, 6)
    slices = torch.stack([make()(volume[..., k]) for k in range(6)], dim=-1)
    torch.testing.assert_close(make(3)(volume), slices)


def test_lines_do_not_see_each_other():
    x = torch.randn(1, 4, 5, 6)
    touched = x.clone()
    touched[0, :, 2, 3] += 1
    changed = (make()(x) - make()(touched)).abs().amax((0, 1, 2)) > 0
    assert changed.tolist() == [False, False, False, True, False, False]


@pytest.mark.parametrize("axes", [2, 3])
def test_working_on_few_lines_at_a_time_changes_nothing(axes, monkeypatch):
    x = torch.randn(2, 4, *(5, 7, 6)[:axes])
    whole = make(axes)(x)
    monkeypatch.setattr(gated_axial_attention, "_NUMBERS_AT_ONCE", 3 * 2 * 25 * 4)  # four lines
    seen = []
    layer = make(axes)
    layer.similarity_norm.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    torch.testing.assert_close(layer(x), whole)
    assert max(seen) == 4
    assert sum(seen) == x[0, 0].numel() // 5 * 2


@pytest.mark.parametrize("positions", ["gated", "plain", "none"])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_training_in_parts_is_training_at_once(positions, momentum, monkeypatch):
    """Result, gradients and running statistics; eleven lines, three at a time."""
    x = torch.randn(1, 4, 5, 11, dtype=torch.float64)
    above = torch.randn(1, 8, 5, 11, dtype=torch.float64)
    found = []
    for limit in (2**26, 1):
        layer = make(positions=positions).double().train()
        layer.similarity_norm.momentum = momentum
        monkeypatch.setattr(gated_axial_attention, "_NUMBERS_IN_TRAINING", limit)
        monkeypatch.setattr(gated_axial_attention, "_NUMBERS_AT_ONCE", layer.similarity_norm.num_features * 25 * 3)
        image = x.clone().requires_grad_()
        result = layer(image)
        leaves = {"x": image} | dict(layer.named_parameters())
        gradients = dict(zip(leaves, torch.autograd.grad(result, list(leaves.values()), above), strict=True))
        found.append({"result": result, "gradients": gradients, "state": layer.state_dict()})
    torch.testing.assert_close(found[1], found[0])


def test_training_in_parts_keeps_few_similarities(monkeypatch):
    """What autograd saves, counted: with parts, no array of similarities is among it."""
    layer, x = make().train(), torch.randn(1, 4, 5, 40)
    monkeypatch.setattr(gated_axial_attention, "_NUMBERS_AT_ONCE", 6 * 25 * 3)
    at_once = largest_saved(layer, x)
    monkeypatch.setattr(gated_axial_attention, "_NUMBERS_IN_TRAINING", 1)
    in_parts = largest_saved(layer, x)
    assert at_once >= 6 * 25 * 40
    assert in_parts <= 16 * 5 * 40  # queries, keys and values


def largest_saved(layer, x):
    saved = []

    def keep(value):
        saved.append(value.numel())
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        layer(x)
    return max(saved)


def test_half_precision_training_in_parts_stays_close(monkeypatch):
    x = torch.randn(2, 4, 5, 20)
    exact = make().train()(x)
    monkeypatch.setattr(gated_axial_attention, "_NUMBERS_IN_TRAINING", 1)
    monkeypatch.setattr(gated_axial_attention, "_NUMBERS_AT_ONCE", 6 * 25 * 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = make().train()(x).float()
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_tables_of_another_length_keep_the_middle_and_the_ends():
    layer = make()
    ramp = torch.arange(-4.0, 5.0).expand(8, -1)
    layer.relative.data = ramp.clone()
    q, k, v = layer._tables(9)
    assert (len(q), len(k), len(v)) == (2, 2, 4)
    places = torch.arange(9.0)
    torch.testing.assert_close(q[0], (places[:, None] - places) / 2)  # twice the length: half a step
    assert layer(torch.randn(1, 4, 9, 2)).shape == (1, 8, 9, 2)


@pytest.mark.parametrize("after", [False, True])
def test_in_training_gates_act_only_outside_the_norms(after):
    layer = make(gate_after_norm=after).train()
    layer.relative.data *= 10  # far above the norms' epsilon
    x = torch.randn(4, 4, 5, 6)
    before = layer(x)
    for gate in layer.gates.values():
        gate.data *= 3
    change = (layer(x) - before).norm() / before.norm()
    assert (change > 0.1) == after


def test_closed_gates_leave_attention_without_positions():
    layer, bare = make(), make(positions="none")
    for name in ("qr", "kr", "sve"):
        layer.gates[name].data.zero_()
    layer.gates["sv"].data.fill_(1)
    bare.load_state_dict(
        {
            key: value.chunk(3)[0] if key.startswith("similarity") and value.ndim else value
            for key, value in layer.state_dict().items()
            if key not in {"relative"} and not key.startswith(("gates", "output"))
        },
        strict=False,
    )
    norm = layer.output_norm
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(bare.output_norm, name).data.copy_(getattr(norm, name)[::2])
    x = torch.randn(1, 4, 5, 3)
    mean, variance, weight, bias = (
        getattr(norm, name)[1::2] for name in ("running_mean", "running_var", "weight", "bias")
    )
    constant = bias - weight * mean * (variance + norm.eps).rsqrt()
    torch.testing.assert_close(layer(x), bare(x) + constant[:, None, None])


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("positions", ["gated", "plain", "none"])
def test_gradients_reach_every_parameter(axes, positions):
    layer = make(axes, positions=positions)
    layer(torch.randn(2, 4, *(5, 7, 6)[:axes])).square().sum().backward()
    silent = {key for key, value in layer.named_parameters() if value.grad is None or not value.grad.any()}
    assert silent == set()


def test_average_pooling_takes_what_is_in_the_last_cell():
    x = torch.arange(5.0).view(1, 1, 5, 1)
    assert average(x, (2, 1)).flatten().tolist() == [0.5, 2.5, 4.0]
    assert average(x, (1, 1)) is x
    assert average(torch.ones(1, 2, 3, 5, 7), (1, 2, 2)).equal(torch.ones(1, 2, 3, 3, 4))
    assert average(torch.ones(1, 2, 1, 2, 3).bfloat16(), (4, 2, 2)).equal(torch.ones(1, 2, 1, 1, 2).bfloat16())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": 2}, "axis must be from 0 to 1 in 2D, got 2"),
        ({"groups": 3}, "multiple of 6 channels, got 8"),
        ({"groups": 8}, "multiple of 16 channels, got 8"),
        ({"positions": "fixed"}, "one of gated, plain, none, got 'fixed'"),
    ],
)
def test_arguments_that_do_not_fit_are_answered_with_the_rule(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize("sizes", [(6, 9), (4, 5, 6)])
def test_a_block_halves_and_widens(sizes):
    block = AxialBlock(len(sizes), 4, 8, sizes, groups=2, stride=2)
    result = block(torch.randn(2, 4, *sizes))
    assert result.shape == (2, 16, *(-(-size // 2) for size in sizes))
    assert AxialBlock(2, 16, 8, (4, 4), groups=2).shortcut(x := torch.randn(1, 16, 4, 4)) is x
