"""Names of the published 3D D-LKA Net (xmindflow/deformableLKA, ``3D/``), mapped both ways."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from medseg.bundles.official.dlka_blocks import BLOCK_RULES_3D
from medseg.bundles.official.renaming import Rules, to_ours, to_theirs

Flavour = Literal["synapse", "pancreas"]
_ENCODER_NAMES: Mapping[Flavour, str] = {"synapse": "d_lka_former_encoder", "pancreas": "unetr_pp_encoder"}


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to ours.

    Both published classes are understood, the authors' older Synapse checkpoints (which name the encoder as the
    pancreas class does), and checkpoints of ``DataParallel``. A name that is not known stays as it is.
    """
    pancreas = any(key.removeprefix("module.").startswith(_ENCODER_NAMES["pancreas"]) for key in state)
    return to_ours(state, _rules("pancreas" if pancreas else "synapse"))


def to_official(state: Mapping[str, Tensor], *, flavour: Flavour = "synapse") -> dict[str, Tensor]:
    """Our names to those of one of the two published classes."""
    return to_theirs(state, _rules(flavour))


def _rules(flavour: Flavour) -> Rules:
    encoder = _ENCODER_NAMES[flavour]
    decoders = [(f"decoder{5 - stage}", f"decoder.{stage}") for stage in range(4)]
    return (
        (f"{encoder}.downsample_layers.#.0.conv", "encoder.#.merge"),
        (f"{encoder}.downsample_layers.#.1", "encoder.#.norm"),
        (f"{encoder}.stages.#", "encoder.#.blocks"),
        ("encoder1.conv1.conv", "full_size_skip.conv1"),
        ("encoder1.conv2.conv", "full_size_skip.conv2"),
        ("encoder1.conv3.conv", "full_size_skip.shortcut"),
        ("decoder2.decoder_block.0.conv1.conv", "decoder.3.blocks.0.conv1"),
        ("decoder2.decoder_block.0.conv2.conv", "decoder.3.blocks.0.conv2"),
        *((f"{theirs}.transp_conv.conv", f"{ours}.split") for theirs, ours in decoders),
        *((f"{theirs}.decoder_block.0", f"{ours}.blocks") for theirs, ours in decoders[:3]),
        ("out1.conv.conv", "head"),
        ("out2.conv.conv", "side_heads.0"),
        ("out3.conv.conv", "side_heads.1"),
        *BLOCK_RULES_3D,
    )
