"""The network of a run with its side heads, and the same without them, as a bundle stores it."""

import inspect
from typing import Any

from torch import nn

from medseg.bundles.build import build_any
from medseg.bundles.monai_networks import PREFIX, allowed_arguments
from medseg.networks import NETWORKS
from medseg.spec.errors import ManifestError
from medseg.spec.manifest import ModelManifest

SUPERVISION = "deep_supervision"


def has_side_heads(network: str) -> bool:
    """Whether a network can be built with side heads for deep supervision."""
    if network.startswith(PREFIX):
        return SUPERVISION in allowed_arguments(network)
    return network in NETWORKS and SUPERVISION in inspect.signature(NETWORKS[network]).parameters


def build_for_training(manifest: ModelManifest, *, deep_supervision: bool) -> nn.Module:
    """Build the manifest's network, with side heads where it has them and they are wanted.

    Raises:
        ManifestError: when the arguments make no network.
    """
    arguments = storable(manifest)
    if deep_supervision and has_side_heads(manifest.network):
        arguments[SUPERVISION] = True
    try:
        return build_any(manifest.network, **arguments)
    except (TypeError, ValueError) as error:
        msg = f"{manifest.network} cannot be built with {arguments}: {error}; change the plan's model.arguments"
        raise ManifestError(msg) from error


def without_side_heads(network: nn.Module, manifest: ModelManifest) -> nn.Module:
    """Copy the weights into the manifest's own network, on the CPU and in evaluation mode."""
    plain = build_for_training(manifest, deep_supervision=False)
    trained = network.state_dict()
    plain.load_state_dict({name: trained[name].detach().cpu() for name in plain.state_dict()})
    return plain.eval()


def storable(manifest: ModelManifest) -> dict[str, Any]:
    """Arguments that build the network as it is stored: without side heads."""
    return {name: value for name, value in manifest.arguments.items() if name != SUPERVISION}
