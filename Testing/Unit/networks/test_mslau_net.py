"""MSLAU-Net: the published results, names, parameters and cost; any size, 2D and 3D; what the official form refuses."""

import pytest
import torch
from torch import nn

from cost import count_cost
from learning import learn_two_classes
from medseg.bundles.official import mslau_net as official
from medseg.networks.mslau_net import OFFICIAL, MSLAUNet, enlarge
from official_weights import load_official, load_official_encoder
from seeded_fixtures import differences, seeded_fixture

SYNAPSE = OFFICIAL | {"in_channels": 1, "input_repeats": 3, "label_count": 9, "image_size": 224}
TINY = {"label_count": 3, "dims": (8, 16, 32, 64), "depths": (1, 1, 1, 1), "heads": (1, 2)}
UNUSED_PARAMETERS = 1537  # the encoder's last norm and classifier, which the published forward never uses
PLACES = {
    "encoder.blocks1.3": "encoder.0",
    "encoder.blocks2.7": "encoder.1",
    "encoder.blocks3.0.attn": ("encoder.2.blocks.0.attention", lambda output: output.flatten(2).transpose(1, 2)),
    "encoder.blocks3.10": "encoder.2",
    "encoder.blocks4.4": "encoder.3",
    "conv_mla[0]": "decoder.mix.0",
    "conv_mla[1]": "decoder.mix.1",
    "conv_mla[2]": "decoder.mix.2",
    "conv_mla[3]": "decoder.mix.3",
    "mlahead": ("decoder", lambda output: output[1]),
}


def tiny(**changes):
    torch.manual_seed(0)
    return MSLAUNet(**(TINY | changes)).eval()


def tiny_official(**changes):
    return tiny(**(OFFICIAL | {"in_channels": 1} | changes))


@pytest.fixture(scope="module")
def synapse():
    return seeded_fixture("mslau_synapse_224_c9")


def test_published_results_are_reproduced(synapse):
    network = MSLAUNet(**SYNAPSE)
    load_official(official, network, synapse.state())
    with torch.no_grad():
        rows = list(differences(synapse, network, PLACES, {}))
    assert len(rows) == 2 + len(PLACES)
    assert [row for row in rows if not row.found <= row.allowed] == []


def test_every_published_name_and_shape_is_there_both_ways(synapse):
    with torch.device("meta"):
        network = MSLAUNet(**SYNAPSE)
    ours = network.state_dict()
    theirs = official.to_official(ours)
    shapes = {key: tuple(shape) for key, shape, _ in synapse.record["state_dict"]}
    assert {key: tuple(value.shape) for key, value in theirs.items()} == shapes
    assert list(official.from_official(theirs)) == list(ours)
    assert list(official.from_official({f"module.{key}": value for key, value in theirs.items()})) == list(ours)


@pytest.mark.parametrize(
    ("side", "label_count", "parameters", "cost"), [(224, 9, 21_896_778, 5_016_947_712), (256, 1, 21_878_338, 6.251e9)]
)
def test_parameters_and_cost_are_the_published_ones(side, label_count, parameters, cost):
    arguments = SYNAPSE | {"label_count": label_count, "image_size": side}
    counted, found = count_cost(lambda: MSLAUNet(**arguments), (1, 1, side, side))
    assert counted == parameters - UNUSED_PARAMETERS
    assert found["convolution"] + found["product"] == pytest.approx(cost, rel=0 if isinstance(cost, int) else 1e-4)


def test_the_paper_form_has_the_same_parameters_and_cost():
    (ours, cost), (theirs, reference) = (
        count_cost(lambda arguments=arguments: MSLAUNet(**arguments), (1, 3, 64, 64))
        for arguments in ({"spatial_dims": 2, "in_channels": 3}, OFFICIAL)
    )
    assert (ours, cost["convolution"] + cost["product"]) == (theirs, reference["convolution"] + reference["product"])


def test_the_3d_form_costs_what_its_lift_from_2d_must():
    parameters, _ = count_cost(lambda: MSLAUNet(in_channels=3, label_count=9), (1, 3, 32, 32, 32))
    assert parameters == 24_897_866 - UNUSED_PARAMETERS


@pytest.mark.parametrize(("layout", "side"), [("official", 224), ("spatial", 96)])
def test_other_class_counts_sizes_and_seeds_give_finite_logits(layout, side):
    network = tiny_official(layout=layout, label_count=5, in_channels=3)
    logits = network(torch.randn(2, 3, side, side))
    assert logits.shape == (2, 5, side, side)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("sizes", [(7, 21), (40, 40), (64, 33), (5, 7, 21), (32, 33, 34)])
def test_the_paper_form_takes_any_size(sizes):
    logits = tiny(spatial_dims=len(sizes))(torch.randn(1, 1, *sizes))
    assert logits.shape == (1, 3, *sizes)
    assert torch.isfinite(logits).all()


def test_thick_slices_can_keep_their_slices():
    network = tiny(strides=((1, 4, 4), (1, 2, 2), 2, 2))
    assert network(torch.randn(1, 1, 5, 30, 33)).shape == (1, 3, 5, 30, 33)
    assert network.encoder[0](torch.zeros(1, 1, 5, 30, 33)).shape[2:] == (5, 8, 9)


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8])
def test_the_first_stride_is_undone_whatever_it_is(stride):
    network = tiny(spatial_dims=2, strides=(stride, 2, 2, 2))
    assert network(torch.randn(1, 1, 50, 51)).shape == (1, 3, 50, 51)


def test_rows_and_columns_are_not_confused():
    """A network of symmetric kernels, turned by a right angle, gives the turned result on an oblong image."""
    network = tiny(spatial_dims=2).double()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data += layer.weight.data.mT.clone()
    x = torch.randn(1, 1, 32, 64, dtype=torch.float64)
    torch.testing.assert_close(network(x.mT), network(x).mT)


def test_a_volume_of_equal_slices_enlarges_as_its_slice_does():
    slice_, factor = torch.randn(1, 2, 4, 5), (2, 3)
    volume = slice_[:, :, None].expand(-1, -1, 3, -1, -1)
    flat = enlarge(slice_, factor, (7, 15))
    torch.testing.assert_close(enlarge(volume, (2, *factor), (5, 7, 15)), flat[:, :, None].expand(-1, -1, 5, -1, -1))


def test_enlarging_keeps_the_corners():
    x = torch.randn(1, 1, 3, 4)
    large = enlarge(x, (2, 2), (6, 8))
    torch.testing.assert_close(large[..., ::5, ::7], x[..., ::2, ::3])
    assert enlarge(x, (1, 1), (3, 4)).equal(x)


def test_one_channel_is_repeated_as_three_equal_ones():
    network = tiny(spatial_dims=2, input_repeats=3)
    other = tiny(spatial_dims=2, in_channels=3)
    other.load_state_dict(network.state_dict())
    x = torch.randn(1, 1, 32, 32)
    assert network(x).equal(other(x.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("sizes", [(32, 64), (32, 33)])
def test_the_official_form_takes_squares_that_divide_only(sizes):
    with pytest.raises(ValueError, match=r"square.*multiple of 32, got \(32.*layout='spatial'"):
        tiny_official()(torch.zeros(1, 1, *sizes))


def test_the_official_form_holds_for_one_size():
    network = tiny_official(image_size=64)
    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"64 x 64 only.*got \(96, 96\)"):
        network(torch.zeros(1, 1, 96, 96))


def test_there_is_no_official_form_in_3d():
    with pytest.raises(ValueError, match="exists in 2D only"):
        tiny_official(spatial_dims=3)


@pytest.mark.parametrize("wrong", [{"dims": (8, 16, 32)}, {"heads": (1, 1, 2)}, {"strides": (4, 2)}, {"depths": (1,)}])
def test_four_stages_are_needed(wrong):
    with pytest.raises(ValueError, match="four stages"):
        tiny(**wrong)


def test_side_heads_come_in_training_at_the_sizes_of_the_stages():
    network = tiny(spatial_dims=2, deep_supervision=True).train()
    assert [tuple(level.shape[2:]) for level in network(torch.randn(2, 1, 64, 40))] == [
        (64, 40),
        (16, 10),
        (8, 5),
        (4, 3),
    ]


def test_a_network_with_side_heads_takes_published_weights_and_keeps_its_heads():
    theirs = official.to_official(tiny_official().state_dict())
    network = tiny_official(deep_supervision=True)
    heads = network.side_heads[0].weight.clone()
    load_official(official, network, theirs)
    assert network.side_heads[0].weight.equal(heads)
    assert network.head.weight.equal(theirs["seg.weight"])


def test_a_file_of_the_encoder_alone_fills_the_encoder_alone():
    source, network = tiny_official(), MSLAUNet(**(TINY | OFFICIAL | {"in_channels": 1}))
    theirs = official.to_official(source.state_dict())
    alone = {key.removeprefix("encoder."): value for key, value in theirs.items() if key.startswith("encoder.")}
    head = network.head.weight.clone()
    load_official_encoder(official, network, alone)
    assert all(value.equal(source.encoder.state_dict()[key]) for key, value in network.encoder.state_dict().items())
    assert network.head.weight.equal(head)
    with pytest.raises(ValueError, match=r"missing: decoder.*81 more"):
        load_official(official, network, alone)


def test_weights_that_do_not_fit_are_named():
    theirs = official.to_official(tiny_official().state_dict())
    theirs["seg.weight"] = torch.zeros(2, 32, 3, 3)
    theirs["encoder.blocks1.0.gamma"] = torch.zeros(8)
    with pytest.raises(ValueError, match=r"unexpected: encoder.0.blocks.0.gamma.*head.weight \(2, 32, 3, 3\) instead"):
        load_official(official, tiny_official(), theirs)


def test_weights_inflated_from_2d_keep_their_result_on_equal_slices():
    """Each 2D kernel in the middle of the 3D one: a volume is then a stack of slices up to the attention's tokens."""
    flat, deep = tiny(spatial_dims=2), tiny(strides=((1, 4, 4), (1, 2, 2), (1, 2, 2), (1, 2, 2)))
    state = flat.state_dict()
    for key, value in deep.state_dict().items():
        if value.ndim == 5:
            middle = torch.zeros_like(value)
            middle[:, :, value.shape[2] // 2] = state[key]
            state[key] = middle
    deep.load_state_dict(state)
    x = torch.randn(1, 1, 32, 40)
    volume = x[:, :, None].expand(-1, -1, 3, -1, -1)
    expected = flat(x)[:, :, None].expand(-1, -1, 3, -1, -1)
    torch.testing.assert_close(deep(volume), expected, atol=1e-5, rtol=1e-4)


def test_it_learns_two_classes():
    """A bright ball on noise: two hundred steps are enough for a Dice above 0.95."""
    torch.manual_seed(1)
    grid = torch.stack(torch.meshgrid(*[torch.arange(32)] * 2, indexing="ij"))
    labels = ((grid - torch.tensor([13, 18]).view(2, 1, 1)).square().sum(0) < 64).long()[None]
    x = labels[:, None] + 0.5 * torch.randn(1, 1, 32, 32)
    pair, truth = torch.cat([x, x.mT]), torch.cat([labels, labels.mT])
    network = tiny(spatial_dims=2, label_count=2).train()
    assert learn_two_classes(network, pair, truth, steps=200, rate=3e-3) > 0.95
