"""The network of an nnU-Net configuration, from new plans and from those of nnU-Net 2.0 to 2.3."""

from collections.abc import Mapping
from typing import Any, NoReturn

from medseg.bundles.nnunet_networks import ALLOWED, PREFIX
from medseg.spec.errors import ManifestError

_DIMS = {"Conv2d": 2, "Conv3d": 3}
_NORMS = {"InstanceNorm2d": "instance", "InstanceNorm3d": "instance", "BatchNorm2d": "batch", "BatchNorm3d": "batch"}
_ACTIVATIONS = {
    "ELU": "elu", "GELU": "gelu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ReLU": "relu", "SiLU": "silu",
}  # fmt: skip
_KEPT = (
    "n_stages", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage", "n_blocks_per_stage",
    "n_conv_per_stage_decoder", "conv_bias", "norm_op_kwargs", "nonlin_kwargs", "nonlin_first", "stem_channels",
    "bottleneck_channels",
)  # fmt: skip
_KNOWN = frozenset({*_KEPT, "conv_op", "norm_op", "nonlin", "dropout_op", "dropout_op_kwargs", "block"})
_DROPOUTS = dict.fromkeys(("Dropout", "Dropout1d", "Dropout2d", "Dropout3d"), True)
_BLOCKS = {"BasicBlockD": "basic", "BottleneckD": "bottleneck"}


def read_architecture(
    stated: Mapping[str, Any], channels: int, outputs: int, *, by_batch: bool = False
) -> tuple[str, dict[str, Any]]:
    """Name the network that a configuration describes, and the arguments ``build_any`` takes.

    Args:
        stated: the configuration.
        channels: of the input.
        outputs: of the network.
        by_batch: whether it was trained with batch normalisation in the place of what the plans say, as nnU-Net's
            trainer ``nnUNetTrainerBN`` does it.

    Raises:
        ManifestError: for a network, a layer or an argument that is not known.
    """
    described = stated.get("architecture")
    if described is None:
        name, arguments = _old(stated)
    else:
        name, arguments = _new(described)
    if by_batch:
        arguments |= {"norm": "batch", "norm_op_kwargs": {"eps": 1e-5, "affine": True}}
    return f"{PREFIX}{name}", {"in_channels": channels, "out_channels": outputs, **arguments}


def _new(described: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    name = _allowed(described.get("network_class_name"))
    stated = described.get("arch_kwargs")
    if not isinstance(stated, dict):
        _refuse("architecture.arch_kwargs", "the arguments of the network", stated)
    if unknown := sorted(set(stated) - _KNOWN):
        _refuse("architecture.arch_kwargs", f"arguments out of {', '.join(sorted(_KNOWN))}", unknown)
    dims = _known(stated, "conv_op", _DIMS)
    arguments = {key: stated[key] for key in _KEPT if stated.get(key) is not None}
    norm, activation = (
        None if stated.get(key) is None else _known(stated, key, table)
        for key, table in (("norm_op", _NORMS), ("nonlin", _ACTIVATIONS))
    )
    if stated.get("dropout_op") is not None:
        arguments["dropout"] = _known(stated, "dropout_op", _DROPOUTS)
    if stated.get("block") is not None:
        arguments["block"] = _known(stated, "block", _BLOCKS)
    return name, {"spatial_dims": dims, "norm": norm, "activation": activation, **arguments}


def _old(stated: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    name = _allowed(stated.get("UNet_class_name"))
    try:
        strides, kernels = stated["pool_op_kernel_sizes"], stated["conv_kernel_sizes"]
        base, most = stated["UNet_base_num_features"], stated["unet_max_num_features"]
        encoder, decoder = stated["n_conv_per_stage_encoder"], stated["n_conv_per_stage_decoder"]
        per_stage = "n_blocks_per_stage" if name == "ResidualEncoderUNet" else "n_conv_per_stage"
        return name, {
            "spatial_dims": len(kernels[0]),
            "n_stages": len(kernels),
            "features_per_stage": [min(base * 2**stage, most) for stage in range(len(kernels))],
            "kernel_sizes": kernels,
            "strides": strides,
            per_stage: encoder,
            "n_conv_per_stage_decoder": decoder,
            "conv_bias": True,
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin_kwargs": {"inplace": True},
        }
    except (KeyError, TypeError, IndexError) as error:
        msg = f"plans.json: the configuration does not describe its network ({type(error).__name__}: {error})"
        raise ManifestError(msg) from error


def _allowed(stated: Any) -> str:
    name = str(stated).rpartition(".")[2]
    if name not in ALLOWED:
        _refuse("network_class_name", f"one of {', '.join(ALLOWED)}", stated)
    return name


def _known(stated: Mapping[str, Any], key: str, table: Mapping[str, Any]) -> Any:
    """What a dotted name of a layer stands for: its last part is looked up, nothing is imported."""
    last = str(stated.get(key)).rpartition(".")[2]
    if last not in table:
        _refuse(f"architecture.arch_kwargs.{key}", f"one of {', '.join(table)}", stated.get(key))
    return table[last]


def _refuse(where: str, expected: str, found: Any) -> NoReturn:
    msg = f"plans.json: {where}: expected {expected}, got {found!r}; this model is not imported"
    raise ManifestError(msg)
