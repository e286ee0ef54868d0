"""Names of the published 2D MK-UNet (SLDGroup/MK-UNet), mapped both ways to those of ``UltraLightUNet``."""

from collections.abc import Mapping

from torch import Tensor

from medseg.bundles.official.renaming import Rules, to_ours, to_theirs

_STAGES = range(1, 6)
_GATES = range(1, 5)
_SHARED = "attention.spatial.filter"
_SIDE_HEADS = "side_heads."

MKIR_RULES: Rules = (
    ("pconv1", "expand"),
    ("multi_scale_dwconv.dwconvs.#", "depthwise.#"),
    ("pconv2", "project"),
    ("conv1x1", "shortcut"),
)
GATE_RULES: Rules = (("W_g", "from_gate"), ("W_x", "from_skip"), ("psi", "to_weight"))

_RULES: Rules = (
    *((f"encoder{stage}.0", f"encoders.{stage - 1}") for stage in _STAGES),
    *((f"decoder{stage}.0", f"decoders.{stage - 1}.mkir") for stage in _STAGES),
    *((f"CA{stage}.fc1", f"decoders.{stage - 1}.attention.channel.squeeze") for stage in _STAGES),
    *((f"CA{stage}.fc2", f"decoders.{stage - 1}.attention.channel.excite") for stage in _STAGES),
    ("SA.conv", f"decoders.0.{_SHARED}"),
    *((f"AG{gate}", f"gates.{gate - 1}") for gate in _GATES),
    ("out4", "head"),
    *((f"out{3 - head}", f"{_SIDE_HEADS}{head}") for head in range(3)),
    *MKIR_RULES,
    *GATE_RULES,
)


def from_official(state: Mapping[str, Tensor], *, side_heads: bool = False) -> dict[str, Tensor]:
    """Official names to ours.

    The spatial attention, one module that five decoder stages share, appears once in theirs and five times in ours.
    ``DataParallel``'s prefix is understood. A name that is not known stays as it is.

    Args:
        state: an official state dict.
        side_heads: keep the heads out1 to out3, which the published ``forward`` never returns and training therefore
            never reached; they are dropped otherwise.
    """
    ours = to_ours(state, _RULES)
    shared = {key: value for key, value in ours.items() if key.startswith(f"decoders.0.{_SHARED}.")}
    for key, value in shared.items():
        ours |= {key.replace("decoders.0.", f"decoders.{stage - 1}.", 1): value for stage in _STAGES}
    return {key: value for key, value in ours.items() if side_heads or not key.startswith(_SIDE_HEADS)}


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names to the official ones.

    A network without deep supervision has no side heads, so the result has no out1 to out3: the published class loads
    it with ``strict=False`` and computes the same result, as it does not return them.
    """
    repeated = [f"decoders.{stage - 1}.{_SHARED}." for stage in _STAGES][1:]
    return to_theirs({key: value for key, value in state.items() if not key.startswith(tuple(repeated))}, _RULES)
