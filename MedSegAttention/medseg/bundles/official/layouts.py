"""The layouts in which the authors of our networks publish weights: how each is told, and what its shapes say."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Literal, TypeAlias

from torch import Tensor

from medseg.bundles.official import dlka_net, dlka_net_2d, medical_transformer, mslau_net, ultralight_unet
from medseg.networks.medical_transformer import OFFICIAL as OFFICIAL_MEDICAL_TRANSFORMER
from medseg.networks.mslau_net import OFFICIAL as OFFICIAL_MSLAU

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
State: TypeAlias = Mapping[str, Tensor]
LayoutName: TypeAlias = Literal[
    "dlka_net/d_lka_former",
    "dlka_net/unetr_pp",
    "dlka_net_2d",
    "dlka_net_2d/encoder",
    "mslau_net",
    "mslau_net/encoder",
    "medical_transformer",
    "ultralight_unet",
]

_STAGES = range(4)
_DLKA_ENCODERS: tuple[tuple[LayoutName, str, dlka_net.Flavour], ...] = (
    ("dlka_net/d_lka_former", "d_lka_former_encoder", "synapse"),
    ("dlka_net/unetr_pp", "unetr_pp_encoder", "pancreas"),
)
_MSLAU_HEAD_WIDTH = 64
_STEM_STRIDE = 2


@dataclass(frozen=True)
class Layout:
    """One way in which a network's weights are published.

    Attributes:
        name: for programs; it begins with the key of ``NETWORKS``.
        title: for people.
        sign: an expression that at least one name starts with, and no name of the layouts after it.
        arguments: shapes by official name, without ``module.`` -> arguments that build a network they fit.
        undecided: arguments among these that the shapes leave open; their values are the published ones.
        from_official: names to ours.
        to_official: names back.
    """

    name: LayoutName
    title: str
    sign: str
    arguments: Callable[[Shapes], dict[str, Any]]
    undecided: tuple[str, ...]
    from_official: Callable[[State], dict[str, Tensor]]
    to_official: Callable[[State], dict[str, Tensor]]

    @property
    def network(self) -> str:
        """Key of ``NETWORKS``."""
        return self.name.partition("/")[0]

    @property
    def encoder_only(self) -> bool:
        """Whether such files hold the encoder's weights and no others."""
        return self.name.endswith("/encoder")

    def matches(self, shapes: Shapes) -> bool:
        """Whether weights with these names are laid out like this."""
        sign = re.compile(self.sign)
        return any(sign.match(key) for key in shapes)


def _dlka_arguments(encoder: str, shapes: Shapes) -> dict[str, Any]:
    if not any(".epa_block.proj_1." in key for key in shapes):
        msg = (
            "these weights have D-LKA Net's frame around other attention blocks; the published training script builds "
            "those of UNETR++ unless --trans_block says otherwise, and D-LKA Net cannot take them"
        )
        raise ValueError(msg)
    merges = [shapes[f"{encoder}.downsample_layers.{stage}.0.conv.weight"] for stage in _STAGES]
    stem = merges[0][2:]
    tokens = [shapes[f"{encoder}.stages.{stage}.0.pos_embed"][1] for stage in _STAGES]
    return {
        "in_channels": merges[0][1],
        "label_count": shapes["out1.conv.conv.weight"][0],
        "input_shape": tuple(size * cell for size, cell in zip(_token_grid(tokens), stem, strict=True)),
        "stem": stem,
        "dims": tuple(merge[0] for merge in merges),
        "depths": tuple(_count(shapes, rf"{encoder}\.stages\.{stage}") for stage in _STAGES),
        "feature_size": shapes["encoder1.conv1.conv.weight"][0],
        "deformable": any(".deform_conv." in key for key in shapes),
        "deep_supervision": any(key.startswith(("out2.", "out3.")) for key in shapes),
    }


def _dlka_2d_arguments(shapes: Shapes) -> dict[str, Any]:
    return _maxvit_arguments(shapes) | {
        "label_count": shapes["decoder_0.last_layer.weight"][0],
        "deformable": any(".offset_net." in key for key in shapes),
    }


def _maxvit_arguments(shapes: Shapes) -> dict[str, Any]:
    bare = {re.sub(r"^(backbone\.)*", "", key): shape for key, shape in shapes.items()}
    return {
        "in_channels": bare["stem.conv1.weight"][1],
        "image_size": 224,
        "dims": tuple(bare[f"stages.{stage}.blocks.0.conv.conv3_1x1.weight"][0] for stage in _STAGES),
        "depths": tuple(_count(bare, rf"stages\.{stage}\.blocks") for stage in _STAGES),
    }


def _mslau_arguments(shapes: Shapes) -> dict[str, Any]:
    return _mslau_encoder_arguments(shapes) | {"label_count": shapes["seg.weight"][0]}


def _mslau_encoder_arguments(shapes: Shapes) -> dict[str, Any]:
    bare = {key.removeprefix("encoder."): shape for key, shape in shapes.items()}
    dims = tuple(bare[f"patch_embed{stage + 1}.proj.weight"][0] for stage in _STAGES)
    return dict(OFFICIAL_MSLAU) | {
        "in_channels": bare["patch_embed1.proj.weight"][1],
        "image_size": 224,
        "dims": dims,
        "depths": tuple(_count(bare, rf"blocks{stage + 1}") for stage in _STAGES),
        "heads": tuple(max(1, width // _MSLAU_HEAD_WIDTH) for width in dims[2:]),
    }


def _medical_transformer_arguments(shapes: Shapes) -> dict[str, Any]:
    gated, local = "layer1.0.hight_block.f_qr" in shapes, any(key.startswith("layer1_p.") for key in shapes)
    variant = {(True, True): "medt", (False, True): "logo", (True, False): "gated", (False, False): "axial"}
    positions = shapes["layer1.0.hight_block.relative"]
    suffix = "_p" if local else ""
    planes = tuple(shapes[f"layer{stage + 1}{suffix}.0.conv_down.weight"][0] for stage in _STAGES)
    stem = {"local_stem_channels": _stem(shapes, suffix)} if local else {}
    return dict(OFFICIAL_MEDICAL_TRANSFORMER) | {
        "variant": variant[gated, local],
        "in_channels": shapes["conv1.weight"][1],
        "label_count": shapes["adjust.weight"][0],
        "image_size": (positions[1] + 1) // 2 * _STEM_STRIDE,
        "planes": planes,
        "depths": tuple(_count(shapes, rf"layer{stage + 1}{suffix}") for stage in _STAGES),
        "groups": 2 * planes[0] // positions[0],
        "stem_channels": _stem(shapes, ""),
        **stem,
    }


def _stem(shapes: Shapes, suffix: str) -> tuple[int, int]:
    return shapes[f"conv1{suffix}.weight"][0], shapes[f"conv2{suffix}.weight"][0]


def _ultralight_arguments(shapes: Shapes) -> dict[str, Any]:
    gates = {"gate_kernel": shapes["AG1.W_g.0.weight"][2:]} if "AG1.W_g.0.weight" in shapes else {"gates": False}
    return {
        "spatial_dims": 2,
        "in_channels": shapes["encoder1.0.pconv1.0.weight"][1],
        "label_count": shapes["out4.weight"][0],
        "widths": tuple(shapes[f"encoder{stage}.0.pconv2.0.weight"][0] for stage in range(1, 6)),
        "spatial_attention_kernel": shapes["SA.conv.weight"][2:],
        **gates,
    }


def _count(shapes: Shapes, start: str) -> int:
    """How many numbers follow ``start`` in the names."""
    found = re.compile(rf"{start}\.(\d+)\.")
    return len({match[1] for match in map(found.match, shapes) if match})


def _token_grid(tokens: Sequence[int]) -> tuple[int, ...]:
    """A grid with so many cells that, halved three times, has as many as the later stages: cubic, or thin in front."""
    count = tokens[0]
    grids = [
        (thin, middle, count // thin // middle)
        for thin in range(1, round(count ** (1 / 3)) + 1)
        if count % thin == 0
        for middle in range(thin, round((count // thin) ** 0.5) + 1)
        if count // thin % middle == 0
    ]
    fitting = [
        grid for grid in grids if [prod(-(-size // 2**stage) for size in grid) for stage in _STAGES] == list(tokens)
    ]
    if not fitting:
        msg = f"position embeddings for {tuple(tokens)} tokens belong to no grid that is halved from stage to stage"
        raise ValueError(msg)
    return min(fitting, key=lambda grid: (len(set(grid)), grid[2]))


def _layout(
    names: Any, name: LayoutName, title: str, sign: str, arguments: Callable[[Shapes], dict[str, Any]], *undecided: str
) -> Layout:
    return Layout(name, title, sign, arguments, undecided, names.from_official, names.to_official)


LAYOUTS: tuple[Layout, ...] = (
    *(
        Layout(
            name,
            "3D D-LKA Net",
            rf"{encoder}\.",
            partial(_dlka_arguments, encoder),
            ("input_shape",),
            dlka_net.from_official,
            partial(dlka_net.to_official, flavour=flavour),
        )
        for name, encoder, flavour in _DLKA_ENCODERS
    ),
    _layout(
        dlka_net_2d,
        "dlka_net_2d",
        "2D D-LKA Net",
        r"decoder_[0-3]\.(x1_linear|layer_lka_[12]|layer_up|last_layer)\.",
        _dlka_2d_arguments,
        "image_size",
    ),
    _layout(
        dlka_net_2d,
        "dlka_net_2d/encoder",
        "the MaxViT encoder of 2D D-LKA Net",
        r"(backbone\.)*stages\.\d+\.blocks\.\d+\.attn_grid\.attn\.rel_pos\.mlp\.",
        _maxvit_arguments,
        "image_size",
    ),
    _layout(
        mslau_net, "mslau_net", "MSLAU-Net", r"(conv_mla\.mla_p|mlahead\.head)", _mslau_arguments, "image_size", "heads"
    ),
    _layout(
        mslau_net,
        "mslau_net/encoder",
        "the encoder of MSLAU-Net",
        r"(encoder\.)?blocks\d+\.\d+\.attn\.scale_weights$",
        _mslau_encoder_arguments,
        "image_size",
        "heads",
    ),
    _layout(
        medical_transformer,
        "medical_transformer",
        "a Medical Transformer (axial U-Net, gated axial U-Net, LoGo or MedT)",
        r"layer\d(_p)?\.\d+\.(hight|width)_block\.",
        _medical_transformer_arguments,
    ),
    _layout(
        ultralight_unet,
        "ultralight_unet",
        "MK-UNet (2D UltraLightUNet)",
        r"(encoder|decoder)\d\.\d+\.multi_scale_dwconv\.",
        _ultralight_arguments,
    ),
)
"""All of them; a whole network comes before its encoder alone."""
