"""Says which published layout a state dict has, how to build a network it fits, and what is missing or too much."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medseg.bundles.official.layouts import LAYOUTS, Layout, LayoutName, Shapes
from medseg.networks import NETWORKS
from medseg.spec.fields import listed

_DATA_PARALLEL = "module."
_ENCODER = "encoder."


@dataclass(frozen=True)
class Recognised:
    """A published layout, and how a state dict compares with what its network needs.

    Attributes:
        layout: which one.
        title: the same for people.
        network: key of ``NETWORKS``.
        arguments: what builds a network that the weights fit, as far as their shapes tell. Where ``in_channels`` is 3,
            the code of 2D D-LKA Net, MSLAU-Net and MK-UNet also took images of one channel: ``in_channels`` 1 and
            ``input_repeats`` 3.
        undecided: arguments among these that the shapes leave open; their values are the published ones.
        encoder_only: whether only the encoder is (and should be) there.
        missing: official names of what the network needs and the file lacks.
        unexpected: names in the file that belong to no part of the network.
        of_another_shape: names in the file, each with its shape and the one it should have.
        unused: names in the file of parts that the published network has and never uses.
    """

    layout: LayoutName
    title: str
    network: str
    arguments: Mapping[str, Any]
    undecided: tuple[str, ...]
    encoder_only: bool
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    of_another_shape: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every weight the network needs is there in its shape, and nothing else."""
        return not (self.missing or self.unexpected or self.of_another_shape)

    def to_ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights under the names of our network, or of its encoder; what is unused is left out."""
        layout = next(layout for layout in LAYOUTS if layout.name == self.layout)
        return layout.from_official(state)


def recognise(shapes: Mapping[str, Sequence[int]]) -> Recognised:
    """Tells the layout of a state dict from its names and shapes; no weight is looked at.

    Args:
        shapes: shape by name; ``module.`` in front, as ``DataParallel`` writes it, is understood.

    Raises:
        ValueError: for a layout that is not known, or one that lacks an entry its network's size is read from.
        ImportError: where the network needs an optional package that is not installed.
    """
    plain = {key.removeprefix(_DATA_PARALLEL): tuple(shape) for key, shape in shapes.items()}
    layout = next((layout for layout in LAYOUTS if layout.matches(plain)), None)
    if layout is None:
        titles = ", ".join(dict.fromkeys(layout.title for layout in LAYOUTS))
        msg = f"no published layout has names like {listed(list(plain)) or '(none)'}; the known ones are {titles}"
        raise ValueError(msg)
    try:
        arguments = layout.arguments(plain)
    except (KeyError, IndexError) as error:
        msg = (
            f"these look like weights of {layout.title}, but the size of its network cannot be read: {error} is wanted"
        )
        raise ValueError(msg) from error
    return _compare(layout, arguments, plain)


def _compare(layout: Layout, arguments: dict[str, Any], shapes: Shapes) -> Recognised:
    """Maps names both ways on tensors without storage; which tensor is which tells what became of a name."""
    with torch.device("meta"):
        needed = NETWORKS[layout.network](**arguments).state_dict()
        found = {key: torch.empty(shape) for key, shape in shapes.items()}
    official = layout.to_official(needed)
    name_of = {id(value): key for state in (official, found) for key, value in state.items()}
    official_names = {key: name_of[id(value)] for key, value in layout.from_official(official).items()}
    ours = layout.from_official(found)
    if layout.encoder_only:
        needed = {key: value for key, value in needed.items() if key.startswith(_ENCODER)}
    kept = {id(value) for value in ours.values()}
    return Recognised(
        layout=layout.name,
        title=layout.title,
        network=layout.network,
        arguments=arguments,
        undecided=layout.undecided,
        encoder_only=layout.encoder_only,
        missing=_once(official_names[key] for key in needed if key not in ours),
        unexpected=_once(name_of[id(value)] for key, value in ours.items() if key not in needed),
        of_another_shape=_once(
            f"{name_of[id(value)]} {tuple(value.shape)} instead of {tuple(needed[key].shape)}"
            for key, value in ours.items()
            if key in needed and value.shape != needed[key].shape
        ),
        unused=_once(name_of[id(value)] for value in found.values() if id(value) not in kept),
    )


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
