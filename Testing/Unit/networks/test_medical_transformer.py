"""The Medical Transformers: published results, names, parameters and cost; sizes; patches; gates; 3D."""

import math

import pytest
import torch

from cost import count_cost
from learning import learn_two_classes
from medseg.bundles.official import medical_transformer as official
from medseg.networks.blocks.gated_axial_attention import GatedAxialAttention
from medseg.networks.blocks.patches import cut_patches, join_patches
from medseg.networks.medical_transformer import OFFICIAL, VARIANTS, MedicalTransformer
from official_weights import load_official
from seeded_fixtures import differences, seeded_fixture

TINY = {"spatial_dims": 2, "image_size": 64, "planes": (4, 4, 8, 8), "depths": (1, 2, 2, 1), "groups": 2}
TINY |= {"stem_channels": (4, 8), "local_stem_channels": (8, 8), "label_count": 3}
PLACES = {
    "layer1": "global_branch.stages.0",
    "layer2": "global_branch.stages.1",
    "decoder5": "global_branch.decoder.1",
    "layer1_p": ("local_branch.stages.0", lambda output: output[:1]),  # theirs are of the first patch
    "layer4_p": ("local_branch.stages.3", lambda output: output[:1]),
    "decoder5_p": ("local_branch.decoder.3", lambda output: output[:1]),
    "decoderf": "fuse",
}


def tiny(**changes):
    """A small network whose running statistics matter."""
    torch.manual_seed(0)
    network = MedicalTransformer(**(TINY | changes))
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def medt():
    return seeded_fixture("medt_128")


@pytest.mark.parametrize("own_patches", [{}, {"official_patches": False}, {"patch_by_patch": True}])
def test_published_results_are_reproduced(medt, own_patches):
    """At 128 pixels the published patches are a quarter of each side, which is what our own grid has."""
    network = MedicalTransformer(**(OFFICIAL | own_patches))
    load_official(official, network, medt.state())
    with torch.no_grad():
        rows = list(differences(medt, network, PLACES, {}))
    assert len(rows) == 2 + len(PLACES)
    assert [row for row in rows if not row.found <= row.allowed] == []


def test_every_published_name_and_shape_is_there_both_ways(medt):
    network = MedicalTransformer(**OFFICIAL)
    theirs = official.to_official(network.state_dict())
    shapes = {key: tuple(shape) for key, shape, _ in medt.record["state_dict"]}
    assert {key: tuple(value.shape) for key, value in theirs.items()} == shapes
    indices = {key: value for key, value in medt.state().items() if key.endswith("flatten_index")}
    assert indices
    assert all(theirs[key].equal(value) for key, value in indices.items())
    wrapped = {f"module.{key}": value for key, value in theirs.items()}
    assert set(official.from_official(theirs)) == set(official.from_official(wrapped)) == set(network.state_dict())


@pytest.mark.parametrize(
    ("variant", "entries", "parameters", "unused", "cost"),
    [
        ("axial", 438, 1_326_850, 0, 0.389),
        ("gated", 502, 1_326_914, 0, 0.389),
        ("medt", 628, 1_560_140, 35_570, 1.147_699_2),
        ("logo", 620, 1_529_532, 34, 1.163),
    ],
)
def test_names_parameters_and_cost_are_the_published_ones(variant, entries, parameters, unused, cost):
    network = MedicalTransformer(**OFFICIAL, variant=variant)
    theirs = official.to_official(network.state_dict())
    assert len(theirs) == entries
    assert set(official.from_official(theirs)) == set(network.state_dict())
    trained = sum(value.numel() for value in network.parameters())
    assert trained == parameters - unused
    assert sum(value.numel() for value in network.parameters() if value.requires_grad) == trained - gates(network)
    _, found = count_cost(lambda: MedicalTransformer(**OFFICIAL, variant=variant), (1, 3, 128, 128))
    exact = variant == "medt"
    assert (found["convolution"] + found["product"]) / 1e9 == pytest.approx(cost, rel=1e-12 if exact else 2e-3)


def gates(network):
    return sum(len(layer.gates) for layer in network.modules() if getattr(layer, "gates", None))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sizes", [(64, 64), (96, 40), (33, 50), (7, 21)])
def test_every_variant_takes_any_size(variant, sizes):
    logits = tiny(variant=variant)(torch.randn(2, 1, *sizes))
    assert logits.shape == (2, 3, *sizes)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_takes_volumes(variant):
    thick = {"image_size": (16, 32, 32), "stem_stride": (1, 2, 2), "patch_grid": (1, 2, 2)}
    network = tiny(variant=variant, spatial_dims=3, **thick)
    logits = network(torch.randn(1, 1, 9, 30, 33))
    assert logits.shape == (1, 3, 9, 30, 33)
    assert torch.isfinite(logits).all()


def test_a_class_and_channel_count_of_ones_own():
    assert tiny(label_count=5, in_channels=4)(torch.randn(1, 4, 32, 32)).shape == (1, 5, 32, 32)


@pytest.mark.parametrize("variant", ["logo", "medt"])
def test_patches_in_one_batch_give_what_patches_one_by_one_give(variant):
    x = torch.randn(2, 1, 64, 48)
    batch, loop = (tiny(variant=variant, patch_by_patch=flag) for flag in (False, True))
    torch.testing.assert_close(batch(x), loop(x))


def test_the_local_branch_sees_the_whole_image_and_the_official_one_its_upper_left():
    """A change in one corner, with the global branch silenced, is felt or not."""
    x = torch.randn(1, 1, 160, 160)
    touched = x.clone()
    touched[..., 150:, 150:] += 1
    for official_patches in (False, True):
        network = tiny(official_patches=official_patches)
        network.global_branch.decoder[-1].weight.data.zero_()
        with torch.no_grad():
            assert network(x).equal(network(touched)) == official_patches


def test_beyond_the_official_patches_the_global_map_counts_twice():
    network, x = tiny(official_patches=True), torch.randn(1, 1, 160, 136)
    with torch.no_grad():
        decoded, _ = network.global_branch(x)
        expected = network.head(torch.relu(network.fuse(2 * decoded)))
        torch.testing.assert_close(network(x)[..., 129:, :], expected[..., 129:, :])
        torch.testing.assert_close(network(x)[..., 129:], expected[..., 129:])


def test_official_patches_need_an_image_that_holds_them():
    with pytest.raises(ValueError, match=r"cover 128 x 128 pixels, got an image of \(128, 96\)"):
        tiny(official_patches=True)(torch.zeros(1, 1, 128, 96))
    with pytest.raises(ValueError, match="in 2D only, got spatial_dims 3"):
        tiny(official_patches=True, spatial_dims=3)


@pytest.mark.parametrize(("size", "grid"), [((8, 12), (4, 3)), ((7, 5), (4, 2)), ((5, 6, 7), (2, 1, 3))])
def test_patches_come_together_as_they_were(size, grid):
    x = torch.randn(2, 3, *size)
    patches = cut_patches(x, grid)
    lengths = [-(-length // count) for length, count in zip(size, grid, strict=True)]
    assert patches.shape == (2 * math.prod(grid), 3, *lengths)
    assert patches[:2].equal(x[(..., *[slice(length) for length in lengths])])
    assert join_patches(patches, grid, size).equal(x)


def test_gates_learn_from_the_epoch_they_are_told():
    network = tiny(variant="gated", gates_from_epoch=10).train()
    layers = [layer for layer in network.modules() if isinstance(layer, GatedAxialAttention)]
    for epoch, learns in ((0, False), (9, False), (10, True), (3, False)):
        network.start_epoch(epoch)
        assert {gate.requires_grad for layer in layers for gate in layer.gates.values()} == {learns}
    assert all(value.requires_grad for key, value in network.named_parameters() if ".gates." not in key)
    assert all(value.requires_grad for value in tiny(variant="gated").parameters())


def test_side_heads_come_in_training_at_the_sizes_of_the_decoder():
    sizes = {"axial": [64, 32, 16, 8], "medt": [64, 32]}
    for variant, expected in sizes.items():
        network = tiny(variant=variant, deep_supervision=True).train()
        assert [level.shape[2] for level in network(torch.randn(2, 1, 64, 64))] == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "mt"}, "'mt'; the known ones are axial, gated, logo, medt"),
        ({"planes": (4, 4, 8)}, "four stages"),
        ({"strides": (2, 2)}, "four stages"),
    ],
)
def test_arguments_that_do_not_fit_are_answered_with_the_rule(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


def test_weights_of_another_variant_are_named():
    theirs = official.to_official(tiny(variant="axial").state_dict())
    with pytest.raises(ValueError, match=r"missing: global_branch.stages.0.0.attentions.0.gates.kr.*43 more"):
        load_official(official, tiny(variant="gated"), theirs)


def test_published_weights_fit_a_network_with_side_heads():
    network = tiny(variant="gated", deep_supervision=True)
    heads = network.side_heads[0].weight.clone()
    theirs = official.to_official(tiny(variant="gated", label_count=3).state_dict())
    load_official(official, network, theirs)
    assert network.side_heads[0].weight.equal(heads)
    assert network.head.weight.equal(theirs["adjust.weight"])


def test_attention_on_a_large_volume_holds_few_similarities_at_a_time():
    """Without numbers, on the meta device: 96^3 voxels, stem stride 2, so 48^3 in the first stage."""
    with torch.device("meta"):
        layer, x = GatedAxialAttention(3, 16, 16, axis=2, length=48).eval(), torch.empty(1, 16, 48, 48, 48)
    largest = []
    layer.similarity_norm.register_forward_hook(lambda _, __, output: largest.append(output.numel()))
    assert layer(x).shape == x.shape
    assert sum(largest) == 24 * 48**4
    assert max(largest) <= 2**24


def test_it_learns_two_classes():
    """A bright ball on noise: two hundred steps are enough for a Dice above 0.95."""
    torch.manual_seed(1)
    grid = torch.stack(torch.meshgrid(*[torch.arange(32)] * 2, indexing="ij"))
    labels = ((grid - torch.tensor([13, 18]).view(2, 1, 1)).square().sum(0) < 64).long()[None]
    x = labels[:, None] + 0.5 * torch.randn(1, 1, 32, 32)
    pair, truth = torch.cat([x, x.mT]), torch.cat([labels, labels.mT])
    network = tiny(variant="medt", image_size=32, label_count=2, depths=(1, 1, 1, 1)).train()
    assert learn_two_classes(network, pair, truth, steps=200, rate=1e-2) > 0.95
