"""nnU-Net's own networks, by name, from the small package that defines them; arguments are plain JSON values."""

from importlib.util import find_spec
from typing import Any

from torch import nn

from medseg.spec.errors import MissingDependency

PREFIX = "nnunet:"
ALLOWED = ("PlainConvUNet", "ResidualEncoderUNet")
"""Classes of ``dynamic_network_architectures.architectures.unet``."""
PACKAGE = "dynamic-network-architectures"

_CONVS = {2: nn.Conv2d, 3: nn.Conv3d}
_DROPOUTS = {2: nn.Dropout2d, 3: nn.Dropout3d}
_NORMS: dict[str, dict[int, type[nn.Module]]] = {
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
}
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU, "gelu": nn.GELU, "leaky_relu": nn.LeakyReLU, "prelu": nn.PReLU, "relu": nn.ReLU, "silu": nn.SiLU,
}  # fmt: skip
_REFUSALS = (
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    RuntimeError,
    OverflowError,
    MemoryError,
)


def nnunet_choices() -> str:
    """The names a manifest may give, for an error or a help text."""
    return ", ".join(f"{PREFIX}{name}" for name in ALLOWED)


def build_nnunet_network(
    name: str,
    *,
    in_channels: int,
    out_channels: int,
    spatial_dims: int,
    norm: str | None = "instance",
    activation: str | None = "leaky_relu",
    dropout: bool = False,
    block: str | None = None,
    **arguments: Any,
) -> nn.Module:
    """Build one of nnU-Net's networks; it answers with the logits at full size.

    Args:
        name: "nnunet:PlainConvUNet" or "nnunet:ResidualEncoderUNet".
        in_channels: of the image.
        out_channels: labels, the background included.
        spatial_dims: 2 or 3.
        norm: "instance", "batch" or None.
        activation: "leaky_relu", ... or None.
        dropout: whether it was trained with dropout, which changes the names of weights and nothing of the answer.
        block: "basic" or "bottleneck", of a residual encoder; None: as the class has it.
        arguments: of the class, JSON values: ``n_stages``, ``features_per_stage``, ``kernel_sizes``, ``strides``,
            ``n_conv_per_stage`` or ``n_blocks_per_stage``, ``n_conv_per_stage_decoder``, ``conv_bias``,
            ``norm_op_kwargs``, ``nonlin_kwargs``, ``nonlin_first``, ``stem_channels``, ``bottleneck_channels``.

    Raises:
        ValueError: for another name, or arguments that make no network.
        MissingDependency: when the package is not installed.
    """
    short = name.removeprefix(PREFIX)
    if short not in ALLOWED:
        msg = f"no network of nnU-Net is called {short!r}; the known ones are {nnunet_choices()}"
        raise ValueError(msg)
    if find_spec("dynamic_network_architectures") is None:
        msg = f"{PREFIX}{short} needs the package {PACKAGE}, which is not installed: pip install {PACKAGE}"
        raise MissingDependency(msg)
    from dynamic_network_architectures.architectures import unet
    from dynamic_network_architectures.building_blocks import residual

    try:
        if block is not None:
            arguments["block"] = {"basic": residual.BasicBlockD, "bottleneck": residual.BottleneckD}[block]
        network: nn.Module = getattr(unet, short)(
            input_channels=in_channels,
            num_classes=out_channels,
            conv_op=_CONVS[spatial_dims],
            norm_op=None if norm is None else _NORMS[norm][spatial_dims],
            nonlin=None if activation is None else _ACTIVATIONS[activation],
            dropout_op=_DROPOUTS[spatial_dims] if dropout else None,
            dropout_op_kwargs={"p": 0.0} if dropout else None,
            deep_supervision=False,
            **arguments,
        )
    except _REFUSALS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"{PREFIX}{short} cannot be built with these arguments: {reason}"
        raise ValueError(msg) from error
    _name_once(network)
    return network


def _name_once(network: nn.Module) -> None:
    """Keep one of the names under which the package registers each part, the one that its forward pass uses.

    Otherwise a file of weights would hold most of them four times.
    """
    for part in network.modules():
        if "all_modules" in part._modules:
            for name in ("conv", "norm", "nonlin", "dropout"):
                part._modules.pop(name, None)
    decoder = network.get_submodule("decoder")
    decoder._modules.pop("encoder", None)
