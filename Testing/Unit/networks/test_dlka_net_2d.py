"""What is particular to 2D D-LKA Net: its MaxViT encoder, image sizes, the baseline, costs, published names."""

import socket
import subprocess
import sys

import pytest
import torch

from cost import count_cost
from learning import learn_two_classes
from medseg.bundles.official import dlka_net_2d
from medseg.networks.blocks import timm_import
from medseg.networks.blocks.maxvit import MaxViTEncoder
from medseg.networks.blocks.patch_expand import PatchExpand
from medseg.networks.dlka_net_2d import VARIANTS, DLKANet2d
from medseg.networks.ops import torchvision_operators
from official_fixtures import read_fixture
from official_weights import load_official, load_official_encoder

SMALL = {"image_size": 64, "dims": (32, 64, 128, 256), "depths": (1, 1, 1, 1)}
DEFORMABLE_MACS = 74 * 2 * sum(channels * side**2 for channels, side in ((384, 14), (192, 28), (96, 56)))
NEVER_USED = {
    True: ("backbone.conv.", "decoder_3.x1_linear.", "decoder_3.layer_lka_"),
    False: (
        "backbone.conv.",
        "decoder_3.x1_linear.",
        "decoder_3.layer_lka_",
        *(f"decoder_{level}.{part}." for level in range(4) for part in ("layer_lka_2", "concat_linear")),
    ),
}
NOT_PARAMETERS = ("running_mean", "running_var", "num_batches_tracked")


def make(seed=0, **changes):
    torch.manual_seed(seed)
    return DLKANet2d(**(SMALL | changes)).eval()


def on_meta(**changes):
    with torch.device("meta"):
        return DLKANet2d(**changes)


def shapes(state):
    return {key: tuple(value.shape) for key, value in state.items()}


def holding_noise(state):
    return {key: torch.rand_like(value) if value.is_floating_point() else value for key, value in state.items()}


def test_the_encoder_returns_what_timm_returns():
    encoder = MaxViTEncoder(3, **SMALL | {"image_size": (64, 96)}).eval()
    model = timm_import.import_timm().create_model(
        "maxvit_rmlp_small_rw_224", num_classes=0, img_size=(64, 96), embed_dim=SMALL["dims"], depths=SMALL["depths"]
    )
    model.load_state_dict(encoder.state_dict())
    x = torch.randn(2, 3, 64, 192)
    with torch.no_grad():
        expected = model.eval().forward_intermediates(x, indices=4, norm=True, intermediates_only=True)
        levels = encoder(x)
    assert [tuple(level.shape) for level in levels] == [(2, 32 * 2**n, 16 // 2**n, 48 // 2**n) for n in range(4)]
    assert all(torch.equal(level, other) for level, other in zip(levels, expected, strict=True))


def test_importing_the_networks_does_not_import_timm():
    code = "import sys, medseg.networks; assert 'timm' not in sys.modules and 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_building_asks_no_other_machine(monkeypatch):
    def refuse(*_):
        msg = "a network was built from another machine's weights"
        raise AssertionError(msg)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert make().head.weight.shape == (2, 32, 1, 1)


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'timm>=1\.0'"):
        DLKANet2d(**SMALL)


@pytest.fixture
def unfitting(monkeypatch):
    """torchvision cannot be imported, for the reason given, until something is done about it."""

    def fail_with(error):
        def answer(_name):
            raise error

        monkeypatch.setattr(torchvision_operators, "import_module", answer)

    return fail_with


def test_timm_is_imported_whatever_the_torchvision_beside_it():
    """On a computer with PyTorch's CPU build the registry's torchvision lacks its operators: there this is the test."""
    assert timm_import.import_timm().__name__ == "timm"
    assert hasattr(torch.ops.torchvision, "nms")


def test_any_other_failure_of_torchvision_is_passed_on(unfitting):
    unfitting(RuntimeError("out of memory"))
    with pytest.raises(RuntimeError, match="out of memory"):
        timm_import.import_timm()


@pytest.mark.parametrize("image_size", [0, 100, (64, 72), (64, 64, 64)])
def test_an_image_size_that_32_does_not_divide_is_refused(image_size):
    with pytest.raises(ValueError, match=r"(multiples of 32|one number or 2), got"):
        DLKANet2d(**SMALL | {"image_size": image_size})


def test_an_image_the_windows_do_not_tile_is_refused():
    with pytest.raises(ValueError, match=r"64 x 64 and tile multiples of that only, got \(64, 96\); resize the image"):
        make()(torch.zeros(1, 1, 64, 96))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dims": (32, 64, 128)}, "needs four depths and four dims"),
        ({"depths": (1, 1, 1)}, "needs four depths and four dims"),
        ({"dims": (48, 96, 192, 384)}, "multiples of 32, got"),
        ({"dims": (32, 64, 128, 128)}, "must be twice the one before"),
    ],
)
def test_wrong_stages_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        DLKANet2d(**SMALL | wrong)


def test_weights_of_one_image_size_fit_every_other():
    small, wide = make(), make(image_size=(96, 32), seed=1)
    wide.load_state_dict(small.state_dict())
    with torch.no_grad():
        assert wide(torch.randn(1, 1, 96, 32)).shape == (1, 2, 96, 32)


def test_repeating_the_input_is_an_image_of_equal_channels():
    one, three = make(input_repeats=3), make(in_channels=3)
    three.load_state_dict(one.state_dict())
    x = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(one(x), three(x.expand(1, 3, 64, 64)))


def test_the_baseline_applies_one_block_twice():
    stage = make(deformable=False).decoder[0]
    x, skip = torch.randn(2, 1, 128, 4, 6)
    with torch.no_grad():
        mixed = torch.einsum("oc,bcjk->bojk", stage.mix.weight, x) + stage.mix.bias[:, None, None] + skip
        (block,) = stage.blocks
        torch.testing.assert_close(stage(x, skip), stage.up(block(block(mixed))))


def test_a_fresh_decoder_has_zero_biases_and_offsets_that_move():
    network = make()
    gate = network.decoder[0].blocks[0].attention.gate
    assert not gate.near.offset.bias.any()
    assert gate.near.offset.weight.std() > 0.01
    assert not make(deformable=False).decoder[0].blocks[0].attention.gate.far.bias.any()
    assert torch.all(network.decoder[0].blocks[0].mlp_scale == 0.01)


def test_patch_expanding_puts_every_group_of_outputs_in_its_place():
    layer = PatchExpand(6, 3, 2)
    x = torch.randn(2, 6, 3, 4)
    result = layer(x)
    for row, column, down, right in ((0, 0, 0, 0), (2, 1, 0, 1), (1, 3, 1, 0), (2, 3, 1, 1)):
        first = 3 * (2 * down + right)
        pixel = layer.norm(x[..., row, column] @ layer.expand.weight[first : first + 3].T)
        torch.testing.assert_close(result[..., 2 * row + down, 2 * column + right], pixel)


@pytest.mark.parametrize("deformable", [True, False])
def test_it_learns_two_classes(deformable):
    """A bright disc on noise: a Dice above 0.95 after 40 steps."""
    torch.manual_seed(1)
    grid = torch.stack(torch.meshgrid(*[torch.arange(64)] * 2, indexing="ij"))
    truth = ((grid - torch.tensor([26, 36]).view(2, 1, 1)).square().sum(0) < 256).long()[None]
    x = truth[:, None] + 0.5 * torch.randn(1, 1, 64, 64)
    network = make(deformable=deformable).train()
    assert learn_two_classes(network, x, truth, steps=40, rate=1e-3) > 0.95


@pytest.mark.parametrize(
    ("deformable", "training", "published"),
    [(True, True, 19_920_608_768), (True, False, 19_874_133_248), (False, True, 13.622e9), (False, False, 13.575e9)],
)
def test_it_costs_what_the_paper_says(deformable, training, published):
    """Published are 19.92 G and 13.62 G by fvcore, which counts the deformable operator itself as nothing."""
    arguments = VARIANTS["synapse"] | {"deformable": deformable}
    _, cost = count_cost(lambda: DLKANet2d(**arguments), (1, 1, 224, 224), training=training)
    found = sum(cost.values()) - (DEFORMABLE_MACS if deformable else 0)
    assert found == pytest.approx(published, rel=0 if deformable else 5e-5)


def test_every_published_name_and_shape_is_there():
    theirs = dlka_net_2d.to_official(on_meta(**VARIANTS["synapse"]).state_dict())
    published = {key: tuple(shape) for key, shape, _ in read_fixture("dlka2d_deform_224").record["state"]}
    assert shapes(theirs) == published


@pytest.mark.parametrize(
    ("deformable", "held", "used"), [(True, 101_642_513, 78_583_005), (False, 85_803_921, 68_234_661)]
)
def test_parameters_are_the_published_ones_less_what_is_never_used(deformable, held, used):
    network = on_meta(**VARIANTS["synapse"], deformable=deformable)
    theirs = dlka_net_2d.to_official(network.state_dict())
    assert sum(value.numel() for key, value in theirs.items() if not key.endswith(NOT_PARAMETERS)) == held
    assert sum(value.numel() for value in network.parameters()) == used


@pytest.mark.parametrize("deformable", [True, False])
def test_a_published_checkpoint_loads_with_everything_it_never_uses(deformable):
    source = make(in_channels=3, deformable=deformable)
    checkpoint = holding_noise(dlka_net_2d.to_official(source.state_dict()))
    network = make(in_channels=3, deformable=deformable, deep_supervision=True, seed=1)
    load_official(dlka_net_2d, network, {f"module.{key}": value for key, value in checkpoint.items()})
    back = dlka_net_2d.to_official({k: v for k, v in network.state_dict().items() if not k.startswith("side_heads.")})
    assert set(back) == set(checkpoint)
    unused = {key for key in checkpoint if not torch.equal(back[key], checkpoint[key])}
    assert not any(value.any() for key, value in back.items() if key in unused)
    assert unused
    assert all(key.startswith(NEVER_USED[deformable]) for key in unused)
    assert set(dlka_net_2d.from_official(back)) == set(source.state_dict())


def test_names_of_the_baseline_differ_from_those_of_the_deformable_network():
    baseline = dlka_net_2d.to_official(make(deformable=False).state_dict())
    assert "decoder_0.layer_lka_1.attn.spatial_gating_unit.conv_spatial.bias" in baseline
    assert baseline["decoder_0.concat_linear.weight"].shape == (32, 128)
    assert baseline["decoder_2.concat_linear.weight"].shape == (128, 256)
    with pytest.raises(ValueError, match=r"missing: .*gate\.near\.offset"):
        load_official(dlka_net_2d, make(), baseline)


@pytest.mark.parametrize("prefix", ["", "backbone.", "backbone.backbone.", "module.backbone."])
def test_an_encoder_alone_loads_and_the_rest_stays(prefix):
    source, network = make(in_channels=3), make(in_channels=3, seed=1)
    names = dict(source.encoder.state_dict()) | {"head.fc.weight": torch.zeros(1000, 256)}
    before = {key: value.clone() for key, value in network.state_dict().items()}
    load_official_encoder(dlka_net_2d, network, {prefix + key: value for key, value in names.items()})
    after = network.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in after if not key.startswith("encoder."))
    assert all(torch.equal(after[f"encoder.{key}"], value) for key, value in source.encoder.state_dict().items())


def test_an_encoder_that_lacks_something_is_refused():
    source = make(in_channels=3).encoder.state_dict()
    del source["stages.1.blocks.0.conv.se.fc1.weight"]
    with pytest.raises(ValueError, match=r"missing: encoder\.stages\.1\.blocks\.0\.conv\.se\.fc1\.weight"):
        load_official_encoder(dlka_net_2d, make(in_channels=3), source)
