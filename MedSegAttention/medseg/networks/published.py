"""What the papers publish about the size of their networks, and how ours compare: one row a configuration.

A row is added by adding an entry to ``PUBLISHED``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from medseg.networks import build_network
from medseg.networks.cost import Kind, count_cost
from medseg.networks.dlka_net import VARIANTS as DLKA
from medseg.networks.dlka_net_2d import VARIANTS as DLKA_2D
from medseg.networks.medical_transformer import OFFICIAL as OFFICIAL_MEDT
from medseg.networks.mslau_net import OFFICIAL as OFFICIAL_MSLAU

_FVCORE: tuple[Kind, ...] = ("convolution", "norm")
_ARITHMETIC: tuple[Kind, ...] = ("convolution", "product")
_EVERYTHING: tuple[Kind, ...] = ("convolution", "product", "norm")


@dataclass(frozen=True, kw_only=True)
class Published:
    """One configuration of one network, with what its authors say about it.

    Attributes:
        network: key of ``NETWORKS``.
        variant: its name for people.
        arguments: build it.
        shape: of the input of one image, ``(1, C, [I,] J, K)``.
        parameters: published number; None where none is.
        giga_macs: published thousands of millions of multiply-accumulates (papers often say FLOPs); None where none is.
        counted: kinds of operation that the published figure holds.
        in_training: whether it was counted in training, where batch normalisation costs more.
        note: why the figures differ, or where the published ones come from.
    """

    network: str
    variant: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...]
    parameters: float | None = None
    giga_macs: float | None = None
    counted: tuple[Kind, ...] = _ARITHMETIC
    in_training: bool = False
    note: str = ""


@dataclass(frozen=True)
class Measured:
    """The same configuration, as this program builds it.

    Attributes:
        parameters: all of them.
        macs: convolutions and matrix products of one image in evaluation.
        as_published: the operations that the published figure holds, counted as it was.
    """

    parameters: int
    macs: int
    as_published: int


def measure(row: Published) -> Measured:
    """Count on the meta device; a few tenths of a second.

    Raises:
        ImportError: when the network needs an optional package that is not installed.
    """
    with torch.device("meta"):
        network = build_network(row.network, **row.arguments)
    parameters, cost = count_cost(lambda: network, row.shape)
    counted = count_cost(lambda: network, row.shape, training=True)[1] if row.in_training else cost
    macs = sum(cost[kind] for kind in _ARITHMETIC)
    return Measured(parameters, macs, sum(counted[kind] for kind in row.counted))


_DEFORMABLE = "fvcore, which counted the published figure, does not know the deformable products; our MACs hold them"
_MAXVIT = "published parameters hold blocks that are never used and that we do not build"
_UNUSED_2D = "published parameters hold three side heads that no training reaches"
_LIFT = "no 3D code is public; ours replaces each operator by its 3D form"
_OWN_COUNT = "counted from the published code; the paper's own figures were not available"
_DESIGN = "no figure and no code is public; the design is ours"

PUBLISHED: tuple[Published, ...] = (
    Published(
        network="dlka_net",
        variant="Synapse",
        arguments={**DLKA["synapse"], "deep_supervision": True},
        shape=(1, 1, 64, 128, 128),
        parameters=42.35e6,
        giga_macs=66.96,
        counted=_FVCORE,
        in_training=True,
        note=_DEFORMABLE,
    ),
    Published(
        network="dlka_net",
        variant="Synapse, LKA baseline",
        arguments={**DLKA["synapse"], "deformable": False, "deep_supervision": True},
        shape=(1, 1, 64, 128, 128),
        parameters=28.94e6,
        giga_macs=48.79,
        counted=_FVCORE,
        in_training=True,
    ),
    Published(
        network="dlka_net",
        variant="pancreas",
        arguments=DLKA["pancreas"],
        shape=(1, 1, 96, 96, 96),
        parameters=62.07e6,
        giga_macs=None,
        counted=_FVCORE,
        note="most of the further parameters are position embeddings",
    ),
    *(
        Published(
            network="dlka_net_2d",
            variant=variant,
            arguments={**DLKA_2D["synapse"], "deformable": deformable},
            shape=(1, 1, 224, 224),
            parameters=parameters,
            giga_macs=giga_macs,
            counted=_EVERYTHING,
            in_training=True,
            note=note,
        )
        for variant, deformable, parameters, giga_macs, note in (
            ("Synapse", True, 101.64e6, 19.92, f"{_MAXVIT}; published FLOPs lack the deformable products, 0.08 G"),
            ("Synapse, LKA baseline", False, 85.82e6, 13.62, _MAXVIT),
        )
    ),
    *(
        Published(
            network="ultralight_unet",
            variant=f"2D {widths}",
            arguments={"spatial_dims": 2, "in_channels": 3, "label_count": 1, "widths": widths},
            shape=(1, 3, 256, 256),
            parameters=parameters,
            giga_macs=giga_macs,
            counted=_EVERYTHING,
            note=f"{_UNUSED_2D}; published FLOPs hold biases, activations and pooling too",
        )
        for widths, parameters, giga_macs in (
            ("T", 0.027e6, 0.062),
            ("S", 0.093e6, 0.125),
            ("base", 0.316e6, 0.314),
            ("M", 1.15e6, 0.951),
            ("L", 3.76e6, 3.19),
        )
    ),
    *(
        Published(
            network="ultralight_unet",
            variant=f"3D {widths}",
            arguments={"in_channels": 1, "label_count": 8, "widths": widths.split(",")[0], "input_repeats": repeats},
            shape=(1, 1, 96, 96, 96),
            parameters=parameters,
            giga_macs=giga_macs,
            counted=_EVERYTHING,
            note=note,
        )
        for widths, repeats, parameters, giga_macs, note in (
            ("base", 1, None, None, _LIFT),
            ("M", 1, 1.42e6, 7.1, f"{_LIFT}; the paper does not settle what its input and its gates look like"),
            ("M, input repeated", 3, 1.42e6, 7.1, f"{_LIFT}; repeated three times as in the 2D code"),
        )
    ),
    Published(
        network="mslau_net",
        variant="Synapse, official form",
        arguments={**OFFICIAL_MSLAU, "in_channels": 1, "input_repeats": 3, "label_count": 9, "image_size": 224},
        shape=(1, 1, 224, 224),
        parameters=21_896_778,
        giga_macs=5.017,
        note=f"{_OWN_COUNT}; 1 537 parameters are never used and not built",
    ),
    Published(
        network="mslau_net",
        variant="3D",
        arguments={"in_channels": 3, "label_count": 9},
        shape=(1, 3, 96, 96, 96),
        note=_LIFT,
    ),
    *(
        Published(
            network="medical_transformer",
            variant=variant,
            arguments={**OFFICIAL_MEDT, "variant": variant},
            shape=(1, 3, 128, 128),
            parameters=parameters,
            giga_macs=giga_macs,
            note=note,
        )
        for variant, parameters, giga_macs, note in (
            ("axial", 1_326_850, 0.389, _OWN_COUNT),
            ("gated", 1_326_914, 0.389, _OWN_COUNT),
            ("logo", 1_529_532, 1.163, f"{_OWN_COUNT}; 34 parameters are never used and not built"),
            ("medt", 1_560_140, 1.148, f"{_OWN_COUNT}; 35 570 parameters are never used and not built"),
        )
    ),
    Published(
        network="medical_transformer",
        variant="medt, 3D",
        arguments={"image_size": 96, "label_count": 2},
        shape=(1, 1, 96, 96, 96),
        note=_LIFT,
    ),
    Published(
        network="emf_former",
        variant="2D",
        arguments={"spatial_dims": 2, "label_count": 4},
        shape=(1, 1, 224, 224),
        note=_DESIGN,
    ),
    Published(
        network="emf_former",
        variant="3D",
        arguments={"label_count": 3},
        shape=(1, 1, 96, 96, 96),
        note=_DESIGN,
    ),
)
"""Every published configuration, network by network."""
