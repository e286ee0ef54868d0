"""A network by the name in a manifest, one of ours or one of MONAI's; and several of a kind as one."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from medseg.bundles.monai_networks import PREFIX, build_monai_network, monai_choices
from medseg.bundles.nnunet_networks import PREFIX as NNUNET
from medseg.bundles.nnunet_networks import build_nnunet_network, nnunet_choices
from medseg.networks import NETWORKS, build_network
from medseg.spec.manifest import FOLDED

_MEMBER = re.compile(r"members\.(\d+)\.")
LEFT_OUT = "outputs_left_out"  # argument of ``build_any``
INNER = "network."  # the prefix of a folded network's tensors, and of one whose outputs are left out


def build_any(name: str, *, background_outputs: int = 0, outputs_left_out: int = 0, **arguments: Any) -> nn.Module:
    """Build the network a manifest names; MONAI is imported only for its own.

    Args:
        name: a key of ``medseg.networks.NETWORKS``, ``monai:`` and a class of ``monai_networks.ALLOWED``, or
            ``nnunet:`` and one of ``nnunet_networks.ALLOWED``.
        background_outputs: outputs after those of the labels, of tissues that helped in training and are background
            in the result; they are folded into it.
        outputs_left_out: outputs in front of those of the labels, which mean nothing.
        arguments: of the network.

    Raises:
        ValueError: for an unknown name (the known ones are listed) or arguments that do not make a network.
        MissingDependency: when one of MONAI's needs a package that is not installed.
    """
    if outputs_left_out:
        return LastOutputs(build_any(name, **arguments), outputs_left_out)
    if background_outputs:
        if background_outputs < 0 or label_argument(name) not in arguments:
            msg = f"{FOLDED} counts outputs beside {label_argument(name)}, got {background_outputs} and {arguments}"
            raise ValueError(msg)
        arguments[label_argument(name)] += background_outputs
        return FoldedBackground(build_any(name, **arguments), background_outputs)
    if name.startswith(PREFIX):
        return build_monai_network(name, **arguments)
    if name.startswith(NNUNET):
        return build_nnunet_network(name, **arguments)
    if name not in NETWORKS:
        known = ", ".join([*sorted(NETWORKS), monai_choices(), nnunet_choices()])
        msg = f"no network is called {name!r}; the known ones are {known}"
        raise ValueError(msg)
    return build_network(name, **arguments)


def label_argument(name: str) -> str:
    """What a network calls the number of its outputs: "label_count" for ours, "out_channels" for most others'."""
    if name == f"{PREFIX}DiNTS":
        return "num_classes"
    return "out_channels" if name.startswith((PREFIX, NNUNET)) else "label_count"


class FoldedBackground(nn.Module):
    """A network whose last outputs are background: their probabilities are added to the background's.

    ``log(exp(z_0) + sum exp(z_n))`` over them takes the place of the background's logit, so that a softmax afterwards
    gives the labels the same probabilities as before.

    Shape:
        as the network, with ``count`` outputs fewer
    """

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__()
        self.network, self.count = network, count

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; in training, side heads are folded alike."""
        answer = self.network(x)
        return self._folded(answer) if isinstance(answer, Tensor) else [self._folded(each) for each in answer]

    def _folded(self, logits: Tensor) -> Tensor:
        labels = logits.shape[1] - self.count
        background = torch.cat([logits[:, :1], logits[:, labels:]], dim=1).logsumexp(dim=1, keepdim=True)
        return torch.cat([background, logits[:, 1:labels]], dim=1)


class LastOutputs(nn.Module):
    """A network without its first outputs.

    Shape:
        as the network, with ``count`` outputs fewer
    """

    def __init__(self, network: nn.Module, count: int) -> None:
        super().__init__()
        self.network, self.count = network, count

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Run the network; in training, side heads are cut alike."""
        answer = self.network(x)
        return answer[:, self.count :] if isinstance(answer, Tensor) else [each[:, self.count :] for each in answer]


class Ensemble(nn.Module):
    """The mean of several networks' logits.

    The mean of logits goes through the stitching of windows unchanged: a volume's logits are the mean of the members'.
    Not so with nnU-Net's sums in half precision, for which the answers of its folds stay apart.

    Args:
        members: the networks.
        apart: whether the answers follow each other along the channels instead of being averaged.

    Shape:
        as the members; apart with as many times their channels
    """

    def __init__(self, members: Iterable[nn.Module], *, apart: bool = False) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._apart = apart

    def forward(self, x: Tensor) -> Tensor:
        """Run every member."""
        if self._apart:
            return torch.cat([member(x) for member in self.members], dim=1)
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
