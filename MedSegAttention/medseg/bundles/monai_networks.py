"""MONAI's own segmentation networks, by name: an allow-list, arguments checked before anything is built."""

import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medseg.spec.errors import MissingDependency

PREFIX = "monai:"
ALLOWED = (
    "AttentionUnet", "BasicUNet", "BasicUNetPlusPlus", "DiNTS", "DynUNet", "FlexibleUNet", "HighResNet", "SegResNet",
    "SegResNetDS", "SwinUNETR", "UNETR", "UNesT", "UNet", "VNet",
)  # fmt: skip
"""Classes of ``monai.networks.nets``, and UNesT of MONAI's model zoo: one image in, logits of its size out.

None is left to fetch weights.
"""

_NOT_JSON = frozenset({"norm_layer", "preprocess"})  # these take a class or a callable, which a manifest cannot hold
_FETCHES = frozenset({"pretrained"})  # an argument of FlexibleUNet that downloads weights
_SPACE = frozenset({"channel_mul", "num_blocks", "num_depths", "spatial_dims", "use_downsample", "arch_code"})
_NEEDS = {"SwinUNETR": "einops", "UNETR": "einops"}  # SwinUNETR would notice in its first window only
_FINEST_LAST = frozenset({"BasicUNetPlusPlus"})
_COUNTS_WHILE_BUILT = frozenset({"DiNTS", "SwinUNETR"})  # they read numbers out of tensors: not on the meta device
_REFUSALS = (TypeError, ValueError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError)


def monai_choices() -> str:
    """The names a manifest may give, for an error or a help text."""
    return ", ".join(f"{PREFIX}{name}" for name in ALLOWED)


def allowed_arguments(name: str) -> Mapping[str, inspect.Parameter]:
    """What a network's constructor takes and a manifest can hold.

    Args:
        name: with or without ``monai:``.

    Raises:
        ValueError: if the network is not in ``ALLOWED``.
    """
    signature = inspect.signature(_network_class(name))
    return {key: value for key, value in signature.parameters.items() if key not in _NOT_JSON | _FETCHES}


def build_monai_network(name: str, **arguments: Any) -> nn.Module:
    """Build one of MONAI's networks so that it answers as ours do.

    In evaluation it returns the logits at full size alone; in training, with deep supervision, a list that begins with
    them. The names in its state dict are MONAI's own. DiNTS takes ``dints_space`` as the arguments of MONAI's
    ``TopologyInstance``, and its architecture's codes, there and in ``node_a``, as lists.

    Args:
        name: e.g. "monai:SegResNet"; with or without ``monai:``.
        arguments: of the class's constructor, JSON values; lists become tuples.

    Raises:
        ValueError: if the network is not allowed, an argument is unknown (the known ones are listed) or missing, or
            MONAI refuses a value.
        MissingDependency: when the network needs a package that is not installed.

    Example:
        >>> build_monai_network("monai:SegResNet", init_filters=4, out_channels=3, num_groups=2,
        ...                     norm=["GROUP", {"num_groups": 2}])(torch.zeros(1, 1, 16, 16, 16)).shape
        torch.Size([1, 3, 16, 16, 16])
    """
    short = name.removeprefix(PREFIX)
    known = allowed_arguments(short)
    if unknown := [key for key in arguments if key not in known]:
        msg = f"{PREFIX}{short} has no argument {unknown[0]!r}; it takes {', '.join(known)}"
        raise ValueError(msg)
    required = [key for key, parameter in known.items() if parameter.default is parameter.empty]
    if missing := [key for key in required if key not in arguments]:
        msg = f"{PREFIX}{short} needs the argument {missing[0]!r}; without a default are {', '.join(required)}"
        raise ValueError(msg)
    unfetched = {"pretrained": False} if short == "FlexibleUNet" else {}
    network = _construct(short, {key: _as_tuples(value) for key, value in arguments.items()} | unfetched)
    network.register_forward_hook(_finest_last if short in _FINEST_LAST else _finest_first)
    return network


def _network_class(name: str) -> Any:
    short = name.removeprefix(PREFIX)
    if short not in ALLOWED:
        msg = (
            f"no network of MONAI is allowed under the name {PREFIX + short!r}; the allowed ones are {monai_choices()}"
        )
        raise ValueError(msg)
    if short == "UNesT":
        from medseg.bundles.unest import UNesT

        return UNesT
    from monai.networks import nets

    return getattr(nets, short)


def _construct(short: str, arguments: dict[str, Any]) -> nn.Module:
    if (package := _NEEDS.get(short)) and find_spec(package) is None:
        msg = f"{PREFIX}{short} needs the package {package}, which is not installed: pip install {package}"
        raise MissingDependency(msg)
    wanted = torch.get_default_device()
    try:
        with torch.device("cpu" if short in _COUNTS_WHILE_BUILT else wanted):
            network: nn.Module = _network_class(short)(**(_searched(arguments) if short == "DiNTS" else arguments))
    except _REFUSALS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        msg = f"{PREFIX}{short} cannot be built with these arguments: {reason}"
        raise ValueError(msg) from error
    return network.to(wanted) if short in _COUNTS_WHILE_BUILT else network


def _searched(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """DiNTS' arguments as MONAI has them: a searched architecture is an object, and its codes are arrays."""
    from monai.networks.nets import TopologyInstance

    space = arguments["dints_space"]
    if not isinstance(space, dict) or (unknown := [key for key in space if key not in _SPACE]):
        msg = f"dints_space is an object of {', '.join(sorted(_SPACE))}; it holds {unknown[0] if space else space!r}"
        raise ValueError(msg)
    codes = space.get("arch_code")
    codes = None if codes is None else [np.asarray(code) for code in codes]
    made = dict(arguments) | {"dints_space": TopologyInstance(**{**space, "arch_code": codes}, device="cpu")}
    if arguments.get("node_a") is not None:
        made["node_a"] = torch.as_tensor(np.asarray(arguments["node_a"]))
    return made


def _as_tuples(value: Any) -> Any:
    """JSON lists as tuples, which is what MONAI's own defaults are; some of its checks ask for them."""
    if isinstance(value, list | tuple):
        return tuple(_as_tuples(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _as_tuples(entry) for key, entry in value.items()}
    return value


def _finest_first(network: nn.Module, _: Any, output: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    """Unstack what DynUNet stacks in training; leave one result alone."""
    image_axes = 2 + getattr(network, "spatial_dims", 3)
    if isinstance(output, Tensor):
        return list(torch.unbind(output, dim=1)) if network.training and output.ndim > image_axes else output
    return output if network.training else output[0]


def _finest_last(network: nn.Module, _: Any, output: list[Tensor]) -> Tensor | list[Tensor]:
    """Turn a list around that ends with the result at full size."""
    return list(reversed(output)) if network.training and len(output) > 1 else output[-1]
