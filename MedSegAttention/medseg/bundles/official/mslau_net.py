"""Names of the published MSLAU-Net (Monsoon49/MSLAU-Net), mapped both ways to those of ``MSLAUNet``."""

from collections.abc import Mapping

import torch
from torch import Tensor

from medseg.bundles.official.renaming import Rules, to_ours, to_theirs

MSLA_RULES: Rules = (
    *((f"dw_conv_{2 * part + 3}x{2 * part + 3}.depthwise", f"branches.{part}.filters.0") for part in range(4)),
    ("linear_attention.qkv", "attention.qkv"),
    ("linear_attention.proj", "attention.project"),
    ("scale_weights", "scale"),
    ("final_conv", "fuse"),
)

_MLP_RULES: Rules = (("norm2", "mlp_norm"), ("mlp.fc1", "widen"), ("mlp.fc2", "narrow"))

LFE_RULES: Rules = (
    ("pos_embed", "position"),
    ("norm1", "norm"),
    ("conv1", "project_in"),
    ("conv2", "project_out"),
    ("attn", "filter"),
    *_MLP_RULES,
)

GFE_RULES: Rules = (
    ("pos_embed", "position"),
    ("norm1", "norm"),
    *((f"attn.{theirs}", f"attention.{ours}") for theirs, ours in MSLA_RULES),
    *_MLP_RULES,
)

_STAGES = range(4)
_RULES: Rules = (
    *((f"encoder.patch_embed{stage + 1}.proj", f"encoder.{stage}.embedding.merge") for stage in _STAGES),
    *((f"encoder.patch_embed{stage + 1}.norm", f"encoder.{stage}.embedding.norm") for stage in _STAGES),
    *((f"encoder.blocks{stage + 1}", f"encoder.{stage}.blocks") for stage in _STAGES),
    *(
        (f"conv_mla.mla_p{4 - start}.{4 * unit + layer}", f"decoder.lift.{start}.{unit}.{layer}")
        for start in range(3)
        for unit in range(start + 1)
        for layer in range(2)
    ),
    *((f"conv_mla.mla_p{5 - stage}_3x3", f"decoder.mix.{stage}") for stage in _STAGES),
    *((f"mlahead.head{stage + 2}", f"decoder.refine.{stage}") for stage in _STAGES),
    ("seg", "head"),
    *GFE_RULES,
    *LFE_RULES,
)
_UNUSED = ("encoder.norm.", "encoder.head.")


def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to ours.

    Understood are whole networks, files of the encoder alone (whose names lack ``encoder.``, as in the authors'
    pretrained file under the key ``model``) and checkpoints of ``DataParallel``. The encoder's last norm and
    classifier, which the published ``forward`` never uses, are dropped. A name that is not known stays as it is.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if not any(key.startswith("encoder.") for key in plain):
        plain = {f"encoder.{key}": value for key, value in plain.items()}
    return to_ours({key: value for key, value in plain.items() if not key.startswith(_UNUSED)}, _RULES)


def to_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names to the official ones, with neutral entries for what the published class holds and never uses."""
    deepest = state["encoder.3.embedding.norm.weight"]
    zeros, ones = torch.zeros_like(deepest), torch.ones_like(deepest)
    unused = {
        "encoder.norm.weight": ones,
        "encoder.norm.bias": zeros,
        "encoder.norm.running_mean": zeros,
        "encoder.norm.running_var": ones,
        "encoder.norm.num_batches_tracked": torch.zeros((), dtype=torch.int64, device=deepest.device),
        "encoder.head.weight": zeros[None],
        "encoder.head.bias": zeros[:1],
    }
    return to_theirs(state, _RULES) | {key: value.clone() for key, value in unused.items()}
