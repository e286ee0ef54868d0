"""Names of the published Medical Transformers (jeya-maria-jose/Medical-Transformer), mapped both ways."""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from medseg.bundles.official.renaming import Rules, to_ours, to_theirs

ATTENTION_RULES: Rules = (
    *((f"f_{gate}", f"gates.{gate}") for gate in ("qr", "kr", "sve", "sv")),
    ("qkv_transform", "qkv"),
    ("bn_qkv", "qkv_norm"),
    ("bn_similarity", "similarity_norm"),
    ("bn_output", "output_norm"),
)

BLOCK_RULES: Rules = (
    ("bn1", "norm_down"),
    ("bn2", "norm_up"),
    ("hight_block", "attentions.0"),
    ("width_block", "attentions.1"),
    ("downsample", "shortcut"),
    *ATTENTION_RULES,
)

_BRANCHES = (("", "global_branch"), ("_p", "local_branch"))
_STAGES = range(4)


def _branch_rules(suffix: str, ours: str, *, stages: int) -> Rules:
    """Rules of one branch; the decoder of a branch of two stages starts at the published decoder4."""
    return (
        *(
            (f"layer{stage + 1}{suffix}.#.{theirs}", f"{ours}.stages.{stage}.#.{norm}")
            for stage in _STAGES
            for theirs, norm in BLOCK_RULES[:2]
        ),
        *((f"layer{stage + 1}{suffix}", f"{ours}.stages.{stage}") for stage in _STAGES),
        *((f"conv{unit + 1}{suffix}", f"{ours}.stem.{unit}.0") for unit in range(3)),
        *((f"bn{unit + 1}{suffix}", f"{ours}.stem.{unit}.1") for unit in range(3)),
        (f"decoder1{suffix}", f"{ours}.bottleneck"),
        *((f"decoder{6 - stages + step}{suffix}", f"{ours}.decoder.{step}") for step in range(stages)),
    )


def _rules(*, local: bool) -> Rules:
    stages = {"": 2 if local else 4, "_p": 4}
    branches = (rule for suffix, ours in _BRANCHES for rule in _branch_rules(suffix, ours, stages=stages[suffix]))
    return (*branches, ("decoderf", "fuse"), ("adjust", "head"), *BLOCK_RULES[2:])


_UNUSED = re.compile(r"adjust_p\.|layer\d_p\.\d+\.conv1\.|.*\.flatten_index$")


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names of any of the four networks to ours.

    ``DataParallel``'s prefix is understood. Dropped are the index of relative positions, which follows from the tables'
    size, and what the published ``forward`` never uses: ``adjust_p`` and the ``conv1`` of blocks without positions. A
    name that is not known stays as it is.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    kept = {key: value for key, value in plain.items() if not _UNUSED.match(key)}
    return to_ours(kept, _rules(local="decoderf.weight" in plain))


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names, those of a 2D network, to the official ones; with zeros for what the published class never uses."""
    local = "fuse.weight" in state
    ours = {key: value for key, value in state.items() if not key.startswith("side_heads.")}
    return to_theirs(ours, _rules(local=local)) | dict(_unused(to_theirs(ours, _rules(local=local))))


def _unused(theirs: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for key, value in theirs.items():
        if key.endswith(".relative"):
            places = torch.arange((value.shape[1] + 1) // 2, device=value.device)
            index = places[:, None] - places + len(places) - 1
            yield key.replace(".relative", ".flatten_index"), index.flatten()
        block = re.match(r"(layer\d_p\.\d+\.)conv_down\.weight", key)
        if block and f"{block[1]}hight_block.relative" not in theirs:
            planes = len(value)
            yield f"{block[1]}conv1.weight", value.new_zeros(planes, planes, 1, 1)
            yield f"{block[1]}conv1.bias", value.new_zeros(planes)
    if "decoderf.weight" in theirs:
        yield from ((f"adjust_p.{leaf}", torch.zeros_like(theirs[f"adjust.{leaf}"])) for leaf in ("weight", "bias"))
