"""A network by the name in a manifest: one of ours, or one of MONAI's."""

from typing import Any

from torch import nn

from medseg.bundles.monai_networks import PREFIX, build_monai_network, monai_choices
from medseg.networks import NETWORKS, build_network


def build_any(name: str, **arguments: Any) -> nn.Module:
    """Build the network a manifest names; MONAI is imported only for its own.

    Args:
        name: a key of ``medseg.networks.NETWORKS``, or ``monai:`` and a class of ``monai_networks.ALLOWED``.
        arguments: of the network.

    Raises:
        ValueError: for an unknown name (the known ones are listed) or arguments that do not make a network.
        MissingDependency: when one of MONAI's needs a package that is not installed.
    """
    if name.startswith(PREFIX):
        return build_monai_network(name, **arguments)
    if name not in NETWORKS:
        msg = f"no network is called {name!r}; the known ones are {', '.join(sorted(NETWORKS))}, {monai_choices()}"
        raise ValueError(msg)
    return build_network(name, **arguments)


def label_argument(name: str) -> str:
    """What a network calls the number of its outputs: "label_count" for ours, "out_channels" for MONAI's."""
    return "out_channels" if name.startswith(PREFIX) else "label_count"
