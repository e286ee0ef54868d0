"""State-dict names of the published code, mapped both ways."""

import pytest
import torch

from medseg.bundles.official import dlka_net, ultralight_unet
from medseg.networks.dlka_net import DLKANet
from medseg.networks.ultralight_unet import UltraLightUNet
from official_fixtures import read_fixture
from official_weights import load_official

TINY = {"label_count": 2, "input_shape": (16, 16, 16), "stem": (2, 2, 2), "dims": (2, 4, 8, 16), "depths": (1, 1, 1, 1)}


def published(name):
    return {key: tuple(shape) for key, shape, _ in read_fixture(name).record["state"]}


def shapes(state):
    return {key: tuple(value.shape) for key, value in state.items()}


def make_dlka_net(**changes):
    return DLKANet(**(TINY | {"feature_size": 2} | changes))


@pytest.mark.parametrize(
    ("fixture", "flavour", "arguments"),
    [
        ("dlka3d_synapse", "synapse", {}),
        ("dlka3d_small_32", "pancreas", {"label_count": 2, "input_shape": (32, 32, 32), "stem": (2, 2, 2)}),
    ],
)
def test_dlka_net_has_every_published_name_and_shape(fixture, flavour, arguments):
    with torch.device("meta"):
        network = DLKANet(**arguments, deep_supervision=True)
    assert shapes(dlka_net.to_official(network.state_dict(), flavour=flavour)) == published(fixture)


@pytest.mark.parametrize("deformable", [True, False])
@pytest.mark.parametrize("flavour", ["synapse", "pancreas"])
def test_dlka_names_come_back_from_either_flavour(flavour, deformable):
    state = make_dlka_net(deformable=deformable).state_dict()
    there = dlka_net.to_official(state, flavour=flavour)
    wrapped = {f"module.{key}": value for key, value in there.items()}
    assert set(there).isdisjoint(set(state))
    for official in (there, wrapped):
        assert list(dlka_net.from_official(official)) == list(state)


def test_a_network_without_side_heads_takes_a_checkpoint_that_has_them():
    checkpoint = dlka_net.to_official(make_dlka_net(deep_supervision=True).state_dict())
    network = make_dlka_net()
    load_official(dlka_net, network, checkpoint)
    assert torch.equal(network.head.weight, checkpoint["out1.conv.conv.weight"])


def test_what_does_not_fit_is_named():
    checkpoint = dlka_net.to_official(make_dlka_net().state_dict())
    del checkpoint["encoder1.conv1.conv.weight"]
    checkpoint["out1.conv.conv.weight"] = torch.zeros(3, 2, 1, 1, 1)
    checkpoint["epa.temperature"] = torch.zeros(1)
    with pytest.raises(ValueError, match="do not fit") as caught:
        load_official(dlka_net, make_dlka_net(), checkpoint)
    message = str(caught.value)
    assert "missing: full_size_skip.conv1.weight" in message
    assert "unexpected: epa.temperature" in message
    assert "head.weight (3, 2, 1, 1, 1) instead of (2, 2, 1, 1, 1)" in message


def test_mk_unet_has_every_published_name_and_shape():
    with torch.device("meta"):
        network = UltraLightUNet(spatial_dims=2, in_channels=3, label_count=1, widths="base", deep_supervision=True)
    assert shapes(ultralight_unet.to_official(network.state_dict())) == published("mkunet_base_256")


def test_mk_unet_drops_the_heads_nobody_trained():
    network = UltraLightUNet(spatial_dims=2, in_channels=3, label_count=1, widths="base")
    checkpoint = read_fixture("mkunet_base_256").state()
    ours = ultralight_unet.from_official(checkpoint)
    assert list(ours) != []
    assert set(ours) == set(network.state_dict())
    back = ultralight_unet.to_official(ours)
    assert set(checkpoint) - set(back) == {f"out{head}.{leaf}" for head in (1, 2, 3) for leaf in ("weight", "bias")}
    assert all(torch.equal(back[key], checkpoint[key]) for key in back)


def test_mk_unet_side_heads_can_be_kept():
    network = UltraLightUNet(spatial_dims=2, in_channels=3, label_count=1, widths="base", deep_supervision=True)
    checkpoint = read_fixture("mkunet_base_256").state()
    load_official(ultralight_unet, network, {f"module.{key}": value for key, value in checkpoint.items()})
    assert torch.equal(network.side_heads[0].weight, checkpoint["out3.weight"])
    assert torch.equal(network.decoders[4].attention.spatial.filter.weight, checkpoint["SA.conv.weight"])
