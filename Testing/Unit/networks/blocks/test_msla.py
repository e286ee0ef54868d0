"""Multi-scale linear attention alone: against the published module, against full attention, in 2D and 3D."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cost import count_cost
from medseg.bundles.official.mslau_net import GFE_RULES, LFE_RULES, MSLA_RULES
from medseg.bundles.official.renaming import to_ours, to_theirs
from medseg.networks.blocks.msla import MSLA, DepthwiseBranch, LinearAttention
from medseg.networks.blocks.mslau_blocks import GFE, LFE, CellEmbedding
from official_weights import load_checked
from seeded_fixtures import Difference, differences, seeded_fixture, seeded_names

OFFICIAL = {"layout": "official", "softmax": "official", "merge": "official"}
OFFICIAL_ATTENTION = {"softmax": "official", "merge": "official"}
FIXTURES = seeded_names("module_msla", "module_linear", "module_lfe", "module_gfe", "ours_module_msla")
BRANCHES = {"dw_conv_3x3": "branches.0", "dw_conv_9x9": "branches.3", "linear_attention": "attention"}

LINEAR_ATTENTION_RULES = (("proj", "project"),)


class Tokens(nn.Module):
    """Gives a block of square images the published interface: (B, N, C) tokens, row after row."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens):
        side = int(tokens.shape[1] ** 0.5)
        return self.block(tokens.transpose(1, 2).unflatten(2, (side, side))).flatten(2).transpose(1, 2)


def published_module(fixture):
    """Our module for a fixture, its rules, and where its intermediate results are."""
    config = fixture.config
    channels, heads = config["dim"], config.get("num_heads")
    if fixture.name.startswith("module_lfe"):
        return LFE(2, channels), LFE_RULES, {"attn": "filter", "mlp": "narrow"}
    if fixture.name.startswith("module_linear"):
        return LinearAttention(channels, heads=heads, **OFFICIAL_ATTENTION), LINEAR_ATTENTION_RULES, {"qkv": "qkv"}
    if fixture.name.startswith("module_gfe"):
        places = {"attn": ("attention", lambda output: output.flatten(2).transpose(1, 2)), "mlp": "narrow"}
        return GFE(2, channels, heads=heads, **OFFICIAL), GFE_RULES, places
    if fixture.name.startswith("module_msla4d"):
        return MSLA(2, channels, heads=heads, **OFFICIAL_ATTENTION), MSLA_RULES, BRANCHES
    if fixture.name.startswith("ours"):
        return MSLA(2, channels, heads=heads), MSLA_RULES, BRANCHES
    return MSLA(2, channels, heads=heads, **OFFICIAL), MSLA_RULES, BRANCHES


def compare(name) -> list[Difference]:
    fixture = seeded_fixture(name)
    module, rules, activations = published_module(fixture)
    load_checked(module, to_ours(fixture.state(), rules), optional="-")
    parameters = {ours: theirs for theirs, ours in to_theirs({key: key for key in module.state_dict()}, rules).items()}
    if name.startswith("module_msla_"):
        module, activations = Tokens(module), {key: f"block.{path}" for key, path in activations.items()}
        parameters = {f"block.{key}": value for key, value in parameters.items()}
    return list(differences(fixture, module, activations, parameters))


@pytest.mark.parametrize("name", FIXTURES)
def test_published_results_and_gradients_are_reproduced(name):
    rows = compare(name)
    assert len(rows) > len(seeded_fixture(name).activations()) + 10 - 5 * name.startswith("module_linear")
    assert [row for row in rows if not row.found <= row.allowed] == []


@pytest.mark.parametrize("option", ["layout", "softmax", "merge"])
def test_each_option_changes_the_result_far_more_than_the_tolerance(option):
    fixture = seeded_fixture("module_msla_d64_h4_n49")
    block = MSLA(2, 64, heads=4, **{key: value for key, value in OFFICIAL.items() if key != option})
    load_checked(block, to_ours(fixture.state(), MSLA_RULES), optional="-")
    with torch.no_grad():
        found = Tokens(block)(fixture.image())
    assert float((found - torch.from_numpy(fixture.arrays["output"])).abs().max()) > 1000 * fixture.allowed


def attend_in_full(attention, x, *, softmax):
    """The same with the n x n array of attention weights that linear attention never makes; and those weights."""
    tokens = x.flatten(2).transpose(1, 2)
    results, rows = [], []
    q, k, v = (part.chunk(attention.heads, dim=2) for part in attention.qkv(tokens).chunk(3, dim=2))
    for query, key, value in zip(q, k, v, strict=True):
        axes = (2, 1) if softmax == "paper" else (1, 2)
        weights = torch.einsum("bnd,bmd->bnm", query.softmax(axes[0]), key.softmax(axes[1]))
        rows.append(weights.sum(2))
        results.append(torch.einsum("bnm,bmd->bnd", weights, value))
    return attention.project(torch.cat(results, dim=2)).transpose(1, 2).reshape(x.shape), torch.stack(rows)


@pytest.mark.parametrize("softmax", ["paper", "official"])
@pytest.mark.parametrize("sizes", [(5, 7), (3, 4, 5)])
def test_it_is_attention_with_the_two_softmaxes_in_place_of_one(sizes, softmax):
    attention = LinearAttention(12, heads=3, softmax=softmax).double()
    x = torch.randn(2, 12, *sizes, dtype=torch.float64)
    expected, rows = attend_in_full(attention, x, softmax=softmax)
    torch.testing.assert_close(attention(x), expected)
    is_weighted_mean = torch.allclose(rows, torch.ones_like(rows))
    assert is_weighted_mean == (softmax == "paper")


def test_moving_the_image_moves_the_result_where_padding_is_not_met():
    block = MSLA(2, 8, heads=1, kernels=(3, 5)).double().eval()
    x = torch.zeros(1, 8, 16, 16, dtype=torch.float64)
    x[..., 5:9, 4:8] = torch.randn(1, 8, 4, 4, dtype=torch.float64)
    moved = x.roll((2, 3), dims=(2, 3))
    torch.testing.assert_close(block(moved), block(x).roll((2, 3), dims=(2, 3)))


@pytest.mark.parametrize("layout", ["spatial", "official"])
def test_the_official_parts_are_quarters_of_the_image(layout):
    """Before the last convolution a voxel of the second quarter reaches that quarter only; in the paper, all."""
    block = MSLA(2, 8, heads=2, layout=layout, merge="official")
    torch.nn.init.dirac_(block.fuse.weight)
    x = torch.randn(1, 8, 8, 8)
    touched = x.clone()
    touched[0, :, 2, 3] += 1  # voxel 19 of 64
    with torch.no_grad():
        changed = (block(x) - block(touched)).abs().amax(1).flatten() > 0
    reached = set(changed.nonzero().flatten().tolist())
    assert reached == (set(range(64)) if layout == "spatial" else set(range(16, 32)))


@pytest.mark.parametrize("sizes", [(9, 2), (1, 1), (2, 3, 1), (5, 4, 3)])
@pytest.mark.parametrize("kernel", [3, 9])
def test_a_kernel_larger_than_the_image_counts_only_what_is_there(sizes, kernel):
    branch = DepthwiseBranch(len(sizes), 3, kernel)
    x = torch.randn(2, 3, *sizes, requires_grad=True)
    layer = branch.filters[0]
    expected = F.relu(x + layer(x))
    torch.testing.assert_close(branch(x), expected)
    for leaf in (x, layer.weight, layer.bias):
        (found,) = torch.autograd.grad(branch(x).square().sum(), leaf)
        (reference,) = torch.autograd.grad(F.relu(x + layer(x)).square().sum(), leaf)
        torch.testing.assert_close(found, reference)


def test_separable_kernels_are_full_ones_of_rank_one():
    separable, full = DepthwiseBranch(3, 2, 5, separable=True), DepthwiseBranch(3, 2, 5)
    for layer in separable.filters[:2]:
        nn.init.zeros_(layer.bias)
    i, j, k = (layer.weight.flatten(1) for layer in separable.filters)
    full.filters[0].weight.data = torch.einsum("ci,cj,ck->cijk", i, j, k)[:, None]
    full.filters[0].bias.data = separable.filters[2].bias.data
    x = torch.randn(1, 2, 6, 7, 8)
    torch.testing.assert_close(separable(x), full(x))


@pytest.mark.parametrize("sizes", [(6, 9), (4, 5, 6)])
@pytest.mark.parametrize("softmax", ["paper", "official"])
@pytest.mark.parametrize("merge", ["standard", "official"])
@pytest.mark.parametrize("separable", [False, True])
def test_gradients_reach_every_parameter(sizes, softmax, merge, separable):
    block = MSLA(len(sizes), 16, heads=2, softmax=softmax, merge=merge, separable=separable)
    result = block(torch.randn(2, 16, *sizes))
    assert result.shape == (2, 16, *sizes)
    result.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in block.parameters())


def test_cost_grows_with_the_voxels_and_not_with_their_square():
    costs = [sum(count_cost(lambda: MSLA(2, 64, heads=4), (1, 64, 8, width))[1].values()) for width in (12, 24)]
    assert costs == [2174976 // 2, 2174976]  # the fixture's two images of 8 x 12 are one of 8 x 24


def test_half_precision_stays_close():
    block = MSLA(3, 16, heads=2).eval()
    x = torch.randn(1, 16, 6, 6, 6)
    with torch.no_grad():
        exact = block(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = block(x).float()
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_dims": 3, "layout": "official"}, "official layout exists in 2D only, got spatial_dims 3"),
        ({"layout": "tokens"}, "layout must be one of spatial, official, got 'tokens'"),
        ({"softmax": "linear"}, "softmax must be one of paper, official, got 'linear'"),
        ({"merge": "sum"}, "merge must be one of standard, official, got 'sum'"),
        ({"channels": 18}, "18 channels for 4 kernels"),
        ({"kernels": ()}, "16 channels for 0 kernels"),
        ({"heads": 3}, "got 3 heads for 4"),
        ({"kernels": (3, 4, 5, 7)}, "odd, got"),
    ],
)
def test_arguments_that_do_not_fit_are_answered_with_the_rule(arguments, message):
    with pytest.raises(ValueError, match=message):
        MSLA(**({"spatial_dims": 2, "channels": 16, "heads": 2} | arguments))


def test_the_official_layout_refuses_what_is_not_square():
    with pytest.raises(ValueError, match=r"square images only.*got 6 x 9.*layout='spatial'"):
        MSLA(2, 16, heads=2, **OFFICIAL)(torch.zeros(1, 16, 6, 9))


def test_a_last_cell_that_is_not_full_counts_zeros():
    embedding = CellEmbedding(2, 1, 4, (4, 2))
    x = torch.randn(1, 1, 6, 7)
    torch.testing.assert_close(embedding(x), embedding(F.pad(x, (0, 1, 0, 2))))
    assert embedding(x).shape == (1, 4, 2, 4)
