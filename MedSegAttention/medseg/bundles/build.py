"""A network by the name in a manifest, one of ours or one of MONAI's; and several of a kind as one."""

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from medseg.bundles.monai_networks import PREFIX, build_monai_network, monai_choices
from medseg.networks import NETWORKS, build_network

_MEMBER = re.compile(r"members\.(\d+)\.")


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


class Ensemble(nn.Module):
    """The mean of several networks' logits, as nnU-Net averages its folds.

    The mean of logits goes through the stitching of windows unchanged: a volume's logits are the mean of the members'.

    Shape:
        as the members
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Run every member."""
        first, *others = self.members
        total: Tensor = first(x)
        for member in others:
            total = total + member(x)
        return total / len(self.members)


def member_count(names: Iterable[str]) -> int:
    """How many networks the tensors of a file belong to; 0 when it holds one network alone."""
    found = [_MEMBER.match(name) for name in names]
    if not found or not all(found):
        return 0
    return max(int(match[1]) for match in found if match) + 1
