"""DSPConv, vector aggregation attention and serial heads alone: against our reference, closed forms and torch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medseg.networks.blocks import dsp_conv, vector_aggregation_attention
from medseg.networks.blocks.dsp_conv import DSPConv, shuffle
from medseg.networks.blocks.emf_block import EMFBlock
from medseg.networks.blocks.serial_multi_head_attention import SerialMultiHeadAttention
from medseg.networks.blocks.vector_aggregation_attention import VAA
from seeded_fixtures import Difference, differences, seeded_fixture, seeded_names


class Tokens(nn.Module):
    """Gives a block of images the interface of the reference: (B, N, C) tokens."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens):
        return as_tokens(self.block(tokens.transpose(1, 2)[:, :, None]))


def as_tokens(image):
    return image.flatten(2).transpose(1, 2)


def block_of(config) -> nn.Module:
    """Our block for the configuration of a fixture."""
    if config["class"] == "DSPConv":
        widths = {key: config[key] for key in ("kernel", "stride", "groups")}
        return DSPConv(config["spatial_dims"], config["in"], config["out"], **widths)
    channels = config["dim"]
    if config["class"] == "VAA":
        return VAA(channels)
    attention = {"heads": config["heads"], "keep_every": config["keep_every"]}
    if config["class"] == "SMHA":
        return SerialMultiHeadAttention(channels, **attention)
    return EMFBlock(config["spatial_dims"], channels, mlp_ratio=config["mlp_ratio"], **attention)


def compare(name) -> list[Difference]:
    fixture = seeded_fixture(name)
    module, prefix = block_of(fixture.config), ""
    assert list(module.state_dict()) == fixture.names
    module.load_state_dict(fixture.state())
    if len(fixture.record["input_shape"]) == 3:
        module, prefix = Tokens(module), "block."
    on_tokens = {"heads.0": as_tokens, "heads.2": as_tokens, "attn": as_tokens}
    places = {key: (prefix + key, on_tokens.get(key, torch.detach)) for key in fixture.activations()}
    return list(differences(fixture, module, places, {prefix + key: key for key in fixture.names}))


@pytest.mark.parametrize("name", seeded_names("ours_module_emf"))
def test_results_and_gradients_of_the_reference_are_reproduced(name):
    rows = compare(name)
    assert len(rows) > len(seeded_fixture(name).activations()) + 6
    assert [row for row in rows if not row.found <= row.allowed] == []


def test_without_groups_it_is_the_plain_separable_convolution():
    block = DSPConv(3, 2, 5, groups=1, stride=(1, 2, 2)).double().eval()
    x = torch.randn(2, 2, 5, 6, 7, dtype=torch.float64)
    dense = torch.einsum("oi,iabc->oiabc", block.pw.weight.flatten(1), block.dw.weight[:, 0])
    scale = (1 + block.bn1.eps) ** -0.5
    expected = F.gelu(F.conv3d(x, scale**2 * dense, stride=(1, 2, 2), padding=1))
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("sizes", [(5, 4), (2, 3, 4)])
def test_the_shuffle_is_that_of_torch(sizes):
    x = torch.randn(2, 12, *sizes)
    assert shuffle(x, 4).equal(F.channel_shuffle(x, 4))


@pytest.mark.parametrize(("mixed", "reached"), [(True, 16), (False, 4)])
def test_the_shuffle_is_what_lets_a_channel_reach_all_groups(mixed, reached, monkeypatch):
    if not mixed:
        monkeypatch.setattr(dsp_conv, "shuffle", lambda x, _: x)
    blocks = nn.Sequential(DSPConv(2, 16, 16), DSPConv(2, 16, 16)).eval()
    x = torch.zeros(1, 16, 5, 5)
    touched = x.clone()
    touched[0, 0] += 1
    with torch.no_grad():
        changed = (blocks(touched) - blocks(x)).abs().amax((0, 2, 3)) > 0
    assert int(changed.sum()) == reached


def test_groups_save_the_weights_that_the_docstring_says():
    def weights(groups):
        block = DSPConv(2, 64, 128, groups=groups)
        return block.dw.weight.numel() + block.pw.weight.numel()

    assert (weights(1), weights(4), nn.Conv2d(64, 128, 3, bias=False).weight.numel()) == (8768, 2624, 73728)


@pytest.mark.parametrize("length", range(1, 14))
@pytest.mark.parametrize(("kernel", "stride"), [(7, 4), (3, 2), (3, 3), (3, 1)])
def test_the_last_cell_counts_even_if_it_is_smaller_and_the_first_lies_on_voxel_0(length, kernel, stride):
    block = DSPConv(2, 1, 1, kernel=kernel, stride=stride, groups=1).eval()
    nn.init.dirac_(block.dw.weight)
    nn.init.ones_(block.pw.weight)
    x = torch.rand(1, 1, 3, length)
    expected = F.gelu(x[..., ::stride, ::stride] / (1 + block.bn1.eps))
    torch.testing.assert_close(block(x), expected)
    assert expected.shape[3] == -(-length // stride)


def attend_by_definition(block, rows):
    """VAA for (n, C) numbers of one image, voxel by voxel."""
    queries = [block.q(row) for row in rows]
    keys = [block.k(row) for row in rows]
    queries, keys = ([t / (t.square().mean() + 1e-6).sqrt() for t in part] for part in (queries, keys))
    vectors = []
    for part, score in ((queries, block.score_q), (keys, block.score_k)):
        weights = [(score(t) / len(t) ** 0.5).exp() for t in part]
        vectors.append(sum(weight * t for weight, t in zip(weights, part, strict=True)) / sum(weights))
    query, key = vectors
    return torch.stack([block.fc(query * k + key * q) + q for q, k in zip(queries, keys, strict=True)])


@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)])
def test_vaa_is_what_its_docstring_says(sizes):
    block = VAA(5).double()
    x = torch.randn(2, 5, *sizes, dtype=torch.float64)
    expected = torch.stack([attend_by_definition(block, image.flatten(1).T).T.reshape(image.shape) for image in x])
    torch.testing.assert_close(block(x), expected, atol=1e-6, rtol=1e-6)  # weights are float32


def test_vaa_depends_on_the_other_voxels_and_not_on_their_order():
    block = VAA(6).double()
    x = torch.randn(1, 6, 4, 5, dtype=torch.float64, requires_grad=True)
    order = torch.randperm(20)
    moved = x.flatten(2)[..., order].reshape(1, 6, 2, 10)
    torch.testing.assert_close(block(moved).flatten(2), block(x).flatten(2)[..., order], atol=1e-6, rtol=1e-6)
    (gradient,) = torch.autograd.grad(block(x)[0, :, 0, 0].sum(), x)
    assert (gradient.abs().sum(1) > 0).all()


def test_vaa_without_biases_does_not_know_the_scale_of_its_input():
    block = VAA(8)
    nn.init.zeros_(block.q.bias)
    nn.init.zeros_(block.k.bias)
    x = torch.randn(1, 8, 6, 7)
    torch.testing.assert_close(block(1000 * x), block(x), atol=1e-4, rtol=1e-4)


def test_pooling_in_half_precision_is_as_good_as_the_numbers_are():
    """The weight of each of a million voxels is 1e-6, of which float16 would keep one digit."""
    block = VAA(2).bfloat16()
    nn.init.zeros_(block.score_q.weight)
    rows = torch.ones(1, 1_000_000, 2, dtype=torch.bfloat16)
    pooled = vector_aggregation_attention._pool(rows, block.score_q)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled.float(), torch.ones(1, 1, 2), atol=4e-3, rtol=0)


def reached_parts(block, heads):
    """For each part of the channels, the parts of the result that change with it; the last layer left out."""
    nn.init.eye_(block.proj.weight)
    x = torch.randn(1, 4 * heads, 3, 4)
    found = []
    for part in range(heads):
        touched = x.clone()
        touched[:, 4 * part : 4 * part + 4] += 1
        with torch.no_grad():
            changed = (block(touched) - block(x)).abs().flatten(2).amax((0, 2)) > 0
        found.append({place for place in range(heads) if changed[4 * place]})
    return found


def test_what_a_head_finds_goes_into_the_next_and_parts_without_head_pass():
    some, every = (SerialMultiHeadAttention(16, heads=4, keep_every=n) for n in (2, 1))
    assert reached_parts(some, 4) == [{0, 2}, {1}, {2}, {3}]
    assert reached_parts(every, 4) == [{0, 1, 2, 3}, {1, 2, 3}, {2, 3}, {3}]
    x = torch.randn(1, 16, 3, 4)
    passed = some(x) - some.proj.bias[:, None, None]
    torch.testing.assert_close(passed[:, 4:8], x[:, 4:8])
    torch.testing.assert_close(passed[:, 12:], x[:, 12:])


def test_heads_that_are_left_out_own_no_parameters():
    counts = [
        sum(value.numel() for value in SerialMultiHeadAttention(64, heads=4, keep_every=n).parameters()) for n in (1, 2)
    ]
    assert counts == [4 * (3 * 16 * 17 + 2 * 16) + 64 * 65, 2 * (3 * 16 * 17 + 2 * 16) + 64 * 65]


def test_attention_is_the_same_for_voxels_in_a_plane_and_in_a_volume():
    block = SerialMultiHeadAttention(8, heads=2, keep_every=1)
    volume = torch.randn(2, 8, 3, 4, 5)
    torch.testing.assert_close(block(volume.flatten(2, 3)), block(volume).flatten(2, 3))


@pytest.mark.parametrize("sizes", [(7, 9), (4, 5, 6)])
@pytest.mark.parametrize("keep_every", [1, 2, 3])
def test_gradients_reach_every_parameter(sizes, keep_every):
    dims = len(sizes)
    blocks = nn.Sequential(DSPConv(dims, 8, 16, stride=2), EMFBlock(dims, 16, heads=4, keep_every=keep_every))
    result = blocks(torch.randn(2, 8, *sizes))
    assert result.shape == (2, 16, *(-(-size // 2) for size in sizes))
    result.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in blocks.parameters())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DSPConv(2, 8, 8, kernel=4), "kernel must be odd, got 4"),
        (lambda: DSPConv(2, 6, 8), "4 groups for 6 and 8"),
        (lambda: DSPConv(3, 8, 10), "4 groups for 8 and 10"),
        (lambda: DSPConv(4, 8, 8), "spatial_dims must be 2 or 3, got 4"),
        (lambda: SerialMultiHeadAttention(10, heads=4), "heads must divide the channels, got 4 heads for 10"),
        (lambda: SerialMultiHeadAttention(10, heads=0), "got 0 heads for 10"),
        (lambda: SerialMultiHeadAttention(8, heads=2, keep_every=0), "keep_every.*got 0"),
    ],
)
def test_arguments_that_do_not_fit_are_answered_with_the_rule(build, message):
    with pytest.raises(ValueError, match=message):
        build()
