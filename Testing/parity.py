"""Runs our networks with the published names and weights, and compares with what the published code returned.

``compare(name)`` works through one fixture; ``test_parity.py`` asserts on the result, ``parity_table.py`` prints it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medseg.bundles.official import dlka_net, dlka_net_2d, ultralight_unet
from medseg.bundles.official.dlka_blocks import ATTENTION_RULES_2D, BLOCK_RULES_3D, block_rules_2d
from medseg.bundles.official.renaming import Rules, to_ours
from medseg.bundles.official.ultralight_unet import MKIR_RULES
from medseg.networks.blocks.deformable_lka import DeformableLKA
from medseg.networks.blocks.dlka_blocks import DLKABlock2d, DLKABlock3d
from medseg.networks.blocks.gag import GAG
from medseg.networks.blocks.mkir import MKIR
from medseg.networks.blocks.mkira import MKIRA
from medseg.networks.blocks.residual import ResidualBlock
from medseg.networks.dlka_net import DLKANet
from medseg.networks.dlka_net_2d import DLKANet2d
from medseg.networks.ops.deform_conv import DeformConvPack, deform_conv
from medseg.networks.ultralight_unet import UltraLightUNet
from official_fixtures import Fixture, noise, read_fixture
from official_weights import load_checked, load_official

MKIRA_RULES: Rules = (
    ("CA.fc1", "attention.channel.squeeze"),
    ("CA.fc2", "attention.channel.excite"),
    ("SA.conv", "attention.spatial.filter"),
    ("decoder.0", "mkir"),
    *MKIR_RULES,
)
Reader = Callable[[Tensor, Tensor], Tensor]  # input and output of a module -> what the published module returned

RESIDUAL_RULES = (
    ("conv1.conv", "conv1"),
    ("conv2.conv", "conv2"),
    ("conv3.conv", "shortcut"),
    ("norm3", "shortcut_norm"),
)


def _given(x: Tensor, _: Tensor) -> Tensor:
    return x


def _returned(_: Tensor, y: Tensor) -> Tensor:
    return y


def _tokens(_: Tensor, y: Tensor) -> Tensor:
    return y.flatten(2).transpose(1, 2)


def _factor(*axes: int) -> Reader:
    """The weight that a module multiplied its input with; it is the same along these axes."""
    return lambda x, y: (x * y).sum(axes, keepdim=True) / (x * x).sum(axes, keepdim=True)


MKIRA_ACTIVATIONS = {"act_CA": ("attention.channel", _factor(2, 3)), "act_SA": ("attention.spatial", _factor(1))}
MK_UNET_ACTIVATIONS = {
    "act_encoder1": "encoders.0",
    "act_encoder5": "encoders.4",
    "act_decoder1": "decoders.0",
    "act_AG1": "gates.0",
}
DLKA_2D_ACTIVATIONS = {
    "act_backbone_backbone_stem": "encoder.stem",
    "act_backbone_backbone_stages_0": "encoder.stages.0",
    "act_backbone_backbone_stages_2": "encoder.stages.2",
    "act_decoder_3": ("lift", _tokens),
    "act_decoder_2": ("decoder.0", _tokens),
    "act_decoder_1": ("decoder.1", _tokens),
}


@dataclass(frozen=True)
class Comparison:
    """One array of one fixture."""

    fixture: str
    array: str
    difference: float
    allowed: float


def compare(name: str) -> list[Comparison]:
    """Runs the module that fixture describes and compares every array that has a counterpart."""
    fixture = read_fixture(name)
    torch.manual_seed(0)
    found = CASES[name](fixture)
    return [
        Comparison(name, array, fixture.difference(array, value), fixture.allowed(array))
        for array, value in found.items()
    ]


def without_counterpart(name: str, comparisons: Sequence[Comparison]) -> set[str]:
    """Arrays the fixture holds that nothing was compared with."""
    return set(read_fixture(name).arrays) - {comparison.array for comparison in comparisons}


def _operator(fixture: Fixture) -> dict[str, Tensor]:
    """Result and gradients of the deformable convolution alone."""
    config, leaves = fixture.config, [value.requires_grad_() for value in fixture.inputs()]
    state = {key: value.requires_grad_() for key, value in fixture.state().items()}
    result = deform_conv(
        *leaves,
        state["weight"],
        state.get("bias"),
        stride=config["stride"],
        padding=config["padding"],
        dilation=config["dilation"],
        groups=config["groups"],
        deformable_groups=config["deformable_groups"],
    )
    (result * noise(result.shape, 2)).sum().backward()
    gradients = {"grad_input": leaves[0].grad, "grad_offset": leaves[1].grad}
    return {"out0": result} | gradients | {f"grad_{key}": value.grad for key, value in state.items()}


def _module(
    build: Callable[[Fixture], nn.Module],
    rules: Rules = (),
    activations: Mapping[str, str | tuple[str, Reader]] | None = None,
) -> Callable[[Fixture], dict[str, Tensor]]:
    """A block: built, loaded through its rules, run once."""

    def run(fixture: Fixture) -> dict[str, Tensor]:
        module = build(fixture)
        load_checked(module, to_ours(fixture.state(), rules), optional="-")
        return _run(module, fixture, activations or {})

    return run


def _run(module: nn.Module, fixture: Fixture, activations: Mapping[str, str | tuple[str, Reader]]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for array, place in activations.items():
        path, read = (place, _returned) if isinstance(place, str) else place
        module.get_submodule(path).register_forward_hook(
            lambda _, given, output, array=array, read=read: found.update({array: read(given[0], output)})
        )
    forward = module.all_scales if isinstance(module, DLKANet) else module
    module.eval()
    with torch.no_grad():
        results = forward(*fixture.inputs())
    results = results if isinstance(results, list) else [results]
    return {f"out{index}": result for index, result in enumerate(results)} | found


def _dlka_net(fixture: Fixture) -> dict[str, Tensor]:
    config = fixture.config
    network = DLKANet(
        in_channels=config["in_channels"],
        label_count=config["out_channels"],
        input_shape=config["img_size"],
        stem=config["patch_size"],
        dims=config["dims"],
        depths=config["depths"],
        feature_size=config["feature_size"],
        deep_supervision=config["do_ds"],
    )
    load_official(dlka_net, network, fixture.state())
    encoder = next(array for array in fixture.arrays if array.endswith("stages_0")).removesuffix("stages_0")
    activations = {
        f"{encoder}downsample_layers_0": "encoder.0.norm",
        f"{encoder}stages_0": "encoder.0",
        f"{encoder}stages_3": "encoder.3",
        "act_encoder1": "full_size_skip",
        "act_decoder5": "decoder.0",
        "act_decoder3_transp_conv": "decoder.2.split",
        "act_decoder2": "decoder.3",
    }
    return _run(network, fixture, activations)


def _dlka_net_2d(fixture: Fixture) -> dict[str, Tensor]:
    network = DLKANet2d(in_channels=3, label_count=fixture.config["num_classes"], image_size=fixture.config["input"])
    load_official(dlka_net_2d, network, fixture.state())
    return _run(network, fixture, DLKA_2D_ACTIVATIONS)


def _mk_unet(fixture: Fixture) -> dict[str, Tensor]:
    network = UltraLightUNet(
        spatial_dims=2,
        in_channels=3,
        label_count=fixture.config.get("num_classes", 1),
        widths=fixture.config["variant"],
    )
    load_official(ultralight_unet, network, fixture.state())
    return _run(network, fixture, MK_UNET_ACTIVATIONS)


class _OnTokens(nn.Module):
    """Gives a block of images the published interface: (B, N, C) tokens, row after row."""

    def __init__(self, block: nn.Module, rows: int) -> None:
        super().__init__()
        self.block, self.rows = block, rows

    def forward(self, tokens: Tensor) -> Tensor:
        image = tokens.transpose(1, 2).unflatten(2, (self.rows, -1))
        return self.block(image).flatten(2).transpose(1, 2)


def _block_3d(*, deformable: bool) -> Callable[[Fixture], nn.Module]:
    return lambda f: DLKABlock3d(f.config["hidden_size"], f.record["inputs"][0]["shape"][2:], deformable=deformable)


def _dlka_block_3d(fixture: Fixture) -> dict[str, Tensor]:
    activations = {
        "act_epa_block_spatial_gating_unit_deform_conv_conv_offset": "attention.gate.deform.offset",
        "act_epa_block_spatial_gating_unit_deform_conv": "attention.gate.deform",
        "act_epa_block_spatial_gating_unit": ("attention.project_out", _given),
        "act_epa_block": "attention",
        "act_conv51": "residual",
    }
    found = _module(_block_3d(deformable=True), BLOCK_RULES_3D, activations)(fixture)
    return found | {"act_epa_block": found["act_epa_block"].flatten(2).transpose(1, 2)}  # theirs are tokens


def _dlka_block_2d(fixture: Fixture) -> dict[str, Tensor]:
    block = DLKABlock2d(fixture.config["dim"])
    load_checked(block, to_ours(fixture.state(), block_rules_2d(deformable=True)), optional="-")
    return _run(_OnTokens(block, fixture.config["H"]), fixture, {})


CASES: dict[str, Callable[[Fixture], dict[str, Tensor]]] = {
    "dlka2d_deform_224": _dlka_net_2d,
    "dlka3d_small_32": _dlka_net,
    "dlka3d_synapse": _dlka_net,
    "mkunet_base_256": _mk_unet,
    "mkunet_base_64x96_c9": _mk_unet,
    "mod_deform_conv_pack3d": _module(
        lambda f: DeformConvPack(3, f.config["dim"], f.config["dim"], 3, padding=1),
        (("conv_offset", "offset"),),
        {"act_conv_offset": "offset"},
    ),
    "mod_dlka2d_attention": _module(
        lambda f: DeformableLKA(2, f.config["dim"]),
        ATTENTION_RULES_2D,
        {
            "act_spatial_gating_unit_conv0_offset_net": "gate.near.offset",
            "act_spatial_gating_unit_conv0": "gate.near",
            "act_spatial_gating_unit_conv_spatial": "gate.far",
            "act_spatial_gating_unit": ("project_out", _given),
        },
    ),
    "mod_dlka2d_block": _dlka_block_2d,
    "mod_dlka3d_block": _dlka_block_3d,
    "mod_gag_k3": _module(
        lambda f: GAG(2, f.config["F_g"]), (("AG.W_g", "from_gate"), ("AG.W_x", "from_skip"), ("AG.psi", "to_weight"))
    ),
    "mod_lka3d_block": _module(_block_3d(deformable=False), BLOCK_RULES_3D),
    "mod_mkir_proj": _module(lambda f: MKIR(2, f.config["i"], f.config["o"]), MKIR_RULES),
    "mod_mkir_same": _module(lambda f: MKIR(2, f.config["i"], f.config["o"]), MKIR_RULES),
    "mod_mkira": _module(
        lambda f: MKIRA(2, *_mkira_widths(f), ratio=f.config.get("ratio", 16)), MKIRA_RULES, MKIRA_ACTIVATIONS
    ),
    "mod_unetresblock_bn": _module(lambda f: ResidualBlock(f.config["i"], f.config["o"], norm="batch"), RESIDUAL_RULES),
    "mod_unetresblock_in_proj": _module(
        lambda f: ResidualBlock(f.config["i"], f.config["o"], norm="instance"), RESIDUAL_RULES
    ),
    "op_deform_conv2d_depthwise_5x5": _operator,
    "op_deform_conv2d_depthwise_7x7_dil3": _operator,
    "op_deform_conv3d": _operator,
}


def _mkira_widths(fixture: Fixture) -> tuple[int, int]:
    return fixture.record["inputs"][0]["shape"][1], fixture.record["outputs"][0]["shape"][1]
