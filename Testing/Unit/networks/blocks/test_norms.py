"""Networks that normalise each image by itself."""

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medseg.networks.blocks.gated_axial_attention import GatedAxialAttention
from medseg.networks.blocks.norms import InstanceNorm
from small_networks import CASES, build, image

RUNNING = ("running_mean", "running_var", "num_batches_tracked")
FAMILIES = ("dlka", "dlka-2d", "emf-3d", "medt-2d", "mslau-2d", "ultralight-2d", "ultralight-3d")
KINDS = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
WIDER = {"dlka": (32, 64, 64), "emf-3d": (64, 32, 64), "ultralight-2d": (40, 36), "ultralight-3d": (36, 33, 40)}
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


def random(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pair_of_norms(axes, channels):
    """PyTorch's own and ours, with the same weights."""
    expected, found = KINDS[axes](channels, affine=True, eps=1e-4), InstanceNorm(channels, eps=1e-4)
    with torch.no_grad():
        expected.weight.copy_(random(channels)), expected.bias.copy_(random(channels, seed=4))
    found.load_state_dict(expected.state_dict())
    return expected, found


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("size", "last"), [((9,), False), ((5, 7), False), ((5, 7), True), ((4, 5, 6), False), ((4, 5, 6), True)]
)
def test_it_is_pytorchs_instance_norm_with_its_gradients_and_keeps_the_layout(size, last, batch):
    expected, found = pair_of_norms(len(size), 4)
    x = 3 * random(batch, 4, *size) + 2
    x = x.contiguous(memory_format=LAYOUTS[len(size)]) if last else x
    results = []
    for norm in (expected, found):
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        answer = norm(leaf)
        (answer * random(*answer.shape, seed=5)).sum().backward()
        results.append([answer, leaf.grad, norm.weight.grad, norm.bias.grad])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(found(x), results[0][0])
    if last:
        assert found(x).is_contiguous(memory_format=LAYOUTS[len(size)])


def test_many_voxels_channels_last_are_added_up_with_care():
    norm = InstanceNorm(2)
    x = (random(1, 2, 40, 40, 40) + 30).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        torch.testing.assert_close(norm(x).double(), nn.InstanceNorm3d(2)(x.double()), atol=2e-5, rtol=0)


@pytest.mark.parametrize("training", [False, True])
def test_an_image_of_one_voxel_is_scaled_and_shifted(training):
    _, norm = pair_of_norms(3, 4)
    x = random(2, 4, 1, 1, 1)
    expected = x * norm.weight[:, None, None, None] + norm.bias[:, None, None, None]
    assert torch.equal(norm.train(training)(x), expected)


@pytest.mark.parametrize("case", FAMILIES)
def test_weights_have_the_names_of_the_batch_form_without_the_running_statistics(case):
    batch, instance = build(case).state_dict(), build(case, norm="instance").state_dict()
    kept = {name: value.shape for name, value in batch.items() if not name.endswith(RUNNING)}
    assert {name: value.shape for name, value in instance.items()} == kept
    assert len(kept) < len(batch)


def replaced(network):
    """The network with PyTorch's own instance norm in the place of every batch norm."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                kind = nn.InstanceNorm3d if isinstance(child, nn.BatchNorm3d) else nn.InstanceNorm2d
                norm = kind(child.num_features, eps=child.eps, affine=True)
                norm.weight, norm.bias = child.weight, child.bias
                act = getattr(child, "act", None)
                setattr(parent, name, norm if act is None else nn.Sequential(norm, act))
    return network.eval()


@pytest.mark.parametrize("case", [case for case in FAMILIES if case != "medt-2d"])
def test_it_answers_as_with_every_batch_norm_replaced(case):
    network, plain = build(case, norm="instance"), build(case)
    plain.load_state_dict(network.state_dict(), strict=False)
    x = image(case, WIDER.get(case, CASES[case][2]), batch=2)
    with torch.no_grad():
        torch.testing.assert_close(network(x), replaced(plain)(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", FAMILIES)
def test_no_image_in_a_batch_knows_of_the_others(case):
    network, pair = build(case, norm="instance"), image(case, CASES[case][3], batch=2)
    pair[1] *= 5
    for module in network.train().modules():
        if isinstance(module, nn.Dropout | nn.Dropout3d) or "Drop" in type(module).__name__:
            module.eval()
    with torch.no_grad():
        together, apart = network(pair), torch.cat([network(pair[:1]), network(pair[1:])])
    torch.testing.assert_close(together, apart, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("case", FAMILIES)
def test_evaluation_is_training_without_gradients_also_in_bfloat16(case):
    network, x = build(case, norm="instance"), image(case, CASES[case][2])
    assert not any(module.track_running_stats for module in network.modules() if isinstance(module, _BatchNorm))
    with torch.no_grad():
        exact = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = network(x).float()
    assert (rough - exact).norm() < 0.2 * (exact - exact.mean()).norm()
    network(x).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_a_network_whose_deepest_map_is_one_voxel_trains():
    network = build("ultralight-3d", norm="instance").train()
    network(image("ultralight-3d", (32, 32, 32))).square().mean().backward()
    assert torch.isfinite(network.encoders[0].project[0].weight.grad).all()


def test_axial_attention_normalises_all_lines_of_an_image_together(monkeypatch):
    arguments = {"axis": 1, "length": 6, "groups": 2}
    batch, instance = (GatedAxialAttention(2, 4, 8, **arguments, norm=norm) for norm in ("batch", "instance"))
    instance.load_state_dict(batch.state_dict(), strict=False)
    x = random(2, 4, 5, 6)
    with torch.no_grad():
        expected = torch.cat([batch.train()(one) for one in x.split(1)])  # statistics of one image: in training
        torch.testing.assert_close(instance.eval()(x), expected, atol=1e-5, rtol=1e-4)
        module = "medseg.networks.blocks.gated_axial_attention."
        monkeypatch.setattr(module + "_NUMBERS_IN_TRAINING", 1)
        monkeypatch.setattr(module + "_NUMBERS_AT_ONCE", 6 * 36 * 2)  # two lines
        torch.testing.assert_close(instance(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("case", FAMILIES)
def test_an_unknown_norm_is_answered_with_the_known_ones(case):
    with pytest.raises(ValueError, match="batch, instance, got 'layer'"):
        build(case, norm="layer")
