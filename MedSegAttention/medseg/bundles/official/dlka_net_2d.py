"""Names of the published 2D D-LKA Nets (xmindflow/deformableLKA, ``2D/``), mapped both ways to ours."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from medseg.bundles.official.dlka_blocks import block_rules_2d
from medseg.bundles.official.renaming import Rules, to_ours, to_theirs
from medseg.networks.blocks.dlka_blocks import DLKABlock2d

_ENCODER = "encoder."
_ENCODER_NAME = re.compile(r"^(?:backbone\.){0,2}(?=(?:stem|stages|norm)\.)")
_UNUSED_NAME = re.compile(
    r"^(?:(?:backbone\.){0,2}(?:conv|head)|decoder_3\.(?:x1_linear|layer_lka_[12])|decoder_[0-3]\.concat_linear)\."
)
_UNUSED_BASELINE_NAME = re.compile(r"^decoder_[0-2]\.layer_lka_2\.")
_LEVELS = (2, 1, 0)  # decoder_2 is our decoder.0


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to ours.

    Understood are whole networks, deformable or baseline (told by the offset predictors), files of the encoder alone
    (timm's own names, or with ``backbone.`` once or twice in front) and checkpoints of ``DataParallel``. What the
    published ``forward`` never uses is dropped, see ``dlka_net_2d``, and so is timm's classifier. A name that is not
    known stays as it is.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    deformable = any(".offset_net." in key for key in plain)
    used = {
        key: value
        for key, value in plain.items()
        if not (_UNUSED_NAME.match(key) or (not deformable and _UNUSED_BASELINE_NAME.match(key)))
    }
    encoder = {_ENCODER_NAME.sub(_ENCODER, key): value for key, value in used.items() if _ENCODER_NAME.match(key)}
    rest = {key: value for key, value in used.items() if not _ENCODER_NAME.match(key)}
    return encoder | to_ours(rest, _rules(deformable=deformable))


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names to the official ones, with zeros for what the published class holds and never uses."""
    deformable = any(".gate.near.offset." in key for key in state)
    encoder = {
        f"backbone.backbone.{key.removeprefix(_ENCODER)}": value
        for key, value in state.items()
        if key.startswith(_ENCODER)
    }
    rest = {key: value for key, value in state.items() if not key.startswith(_ENCODER)}
    like = state["lift.expand.weight"]
    unused = {
        key: torch.zeros(
            shape, dtype=torch.int64 if key.endswith("batches_tracked") else like.dtype, device=like.device
        )
        for key, shape in _unused_shapes(like.shape[1], deformable=deformable).items()
    }
    return encoder | to_theirs(rest, _rules(deformable=deformable)) | unused


def _rules(*, deformable: bool) -> Rules:
    decoders = [(f"decoder_{level}", f"decoder.{2 - level}") for level in _LEVELS]
    return (
        ("decoder_3.layer_up", "lift"),
        ("decoder_0.last_layer", "head"),
        *((f"{theirs}.x1_linear", f"{ours}.mix") for theirs, ours in decoders),
        *((f"{theirs}.layer_up", f"{ours}.up") for theirs, ours in decoders),
        *((f"{theirs}.layer_lka_{n + 1}", f"{ours}.blocks.{n}") for theirs, ours in decoders for n in range(2)),
        *block_rules_2d(deformable=deformable),
    )


def _unused_shapes(deepest: int, *, deformable: bool) -> dict[str, tuple[int, ...]]:
    """Official names and shapes of what is never used; ``deepest`` is the number of channels of the last stage."""
    shapes: dict[str, tuple[int, ...]] = {"backbone.conv.0.weight": (3, 1, 1, 1), "backbone.conv.0.bias": (3,)}
    shapes |= {f"backbone.conv.1.{leaf}": (3,) for leaf in ("weight", "bias", "running_mean", "running_var")}
    shapes |= {"backbone.conv.1.num_batches_tracked": ()}
    shapes |= {"decoder_3.x1_linear.weight": (deepest, deepest), "decoder_3.x1_linear.bias": (deepest,)}
    blocks = {3: (1, 2)} if deformable else {3: (1, 2), 2: (2,), 1: (2,), 0: (2,)}
    for level, numbers in blocks.items():
        channels = deepest // 2 ** (3 - level)
        for number in numbers:
            shapes |= _block_shapes(f"decoder_{level}.layer_lka_{number}.", channels, deformable=deformable)
    if not deformable:
        for level in range(4):
            channels = deepest // 2 ** (3 - level)
            shapes[f"decoder_{level}.concat_linear.weight"] = (channels, (2 if level else 4) * channels)
            shapes[f"decoder_{level}.concat_linear.bias"] = (channels,)
    return shapes


def _block_shapes(start: str, channels: int, *, deformable: bool) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        block = DLKABlock2d(channels, deformable=deformable)
    theirs = to_theirs(block.state_dict(), block_rules_2d(deformable=deformable))
    return {start + key: tuple(value.shape) for key, value in theirs.items()}
