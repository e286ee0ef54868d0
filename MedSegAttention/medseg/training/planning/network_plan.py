"""Arguments of each network that fit a window: how often it halves which axis, and the sizes it must be told."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medseg.bundles.build import label_argument
from medseg.networks import NETWORKS

Factors = list[int | list[int]]
_THICK = 1.7  # an axis with voxels this many times longer than the finest is not halved yet
_LEAST = 4  # cells an axis keeps
_SMALL = 64  # voxels; up to this size networks work at full resolution longer

LEARNING_RATES: Mapping[str, float] = {"ultralight_unet": 3e-3, "monai:DynUNet": 1e-3, "monai:SegResNet": 1e-3}
"""Highest rates that trained well with AdamW; for every other network ``CAREFUL_RATE``."""
CAREFUL_RATE = 5e-4

_MULTIPLES: Mapping[str, int] = {"dlka_net": 16, "dlka_net_2d": 32, "monai:SwinUNETR": 32, "monai:UNETR": 16}


def window_multiple(network: str) -> int:
    """Sides of a window are multiples of this."""
    return _MULTIPLES.get(network, 8)


def needs_slices(network: str) -> bool:
    """Whether a network exists in 2D only."""
    return network in NETWORKS and "spatial_dims" not in _parameters(network) and network.endswith("_2d")


def takes_slices(network: str) -> bool:
    """Whether a network can be built in 2D; MONAI's can."""
    return network not in NETWORKS or "spatial_dims" in _parameters(network) or needs_slices(network)


def network_arguments(
    network: str, channel_count: int, label_count: int, window: Sequence[int], spacing_mm: Sequence[float]
) -> dict[str, Any]:
    """Propose arguments.

    Args:
        network: a key of ``NETWORKS``, or one of MONAI's with ``monai:``.
        channel_count: inputs.
        label_count: outputs, background included.
        window: voxels along the network's own axes, two or three.
        spacing_mm: along the same axes.

    Returns:
        Arguments of the constructor, JSON values.
    """
    common: dict[str, Any] = {"in_channels": channel_count, label_argument(network): label_count}
    if network.startswith("monai:") or "spatial_dims" in _parameters(network):
        common["spatial_dims"] = len(window)
    special = _SPECIAL.get(network)
    return common | (special(window, spacing_mm) if special else {})


def halvings(window: Sequence[int], spacing_mm: Sequence[float], count: int, *, first: int = 2) -> Factors:
    """Plan by how much each of several stages shrinks each axis.

    An axis is left alone while its voxels are much longer than the finest, and when few cells are left of it.

    Args:
        window: voxels.
        spacing_mm: of the voxels.
        count: stages.
        first: factor of the first stage, 1 leaves it out, 4 is a coarse stem.

    Returns:
        One number a stage, or one for each axis where these differ.

    Example:
        >>> halvings((40, 56, 40), (1, 1, 1), 5, first=1)
        [1, 2, 2, 2, 1]
    """
    sizes, lengths = [float(size) for size in window], [float(mm) for mm in spacing_mm]
    factors: Factors = []
    for stage in range(count):
        finest = min(lengths)
        wanted = first if stage == 0 else 2
        step = [
            wanted if mm < _THICK * finest and size / wanted >= _LEAST else 1
            for size, mm in zip(sizes, lengths, strict=True)
        ]
        sizes = [size / factor for size, factor in zip(sizes, step, strict=True)]
        lengths = [mm * factor for mm, factor in zip(lengths, step, strict=True)]
        factors.append(step[0] if len(set(step)) == 1 else step)
    return factors


def _ultralight(window: Sequence[int], spacing_mm: Sequence[float]) -> dict[str, Any]:
    return {"widths": "base", "pooling": halvings(window, spacing_mm, 5, first=1 if max(window) <= _SMALL else 2)}


def _four_strides(window: Sequence[int], spacing_mm: Sequence[float]) -> dict[str, Any]:
    return {"strides": halvings(window, spacing_mm, 4, first=2 if max(window) <= 2 * _SMALL else 4)}


def _axial(window: Sequence[int], spacing_mm: Sequence[float]) -> dict[str, Any]:
    stem, *strides = halvings(window, spacing_mm, 4)
    return {"image_size": list(window), "stem_stride": stem, "strides": strides}


def _dlka(window: Sequence[int], _: Sequence[float]) -> dict[str, Any]:
    return {"input_shape": list(window), "stem": [4 if size > 2 * _SMALL else 2 for size in window]}


def _dyn_unet(window: Sequence[int], spacing_mm: Sequence[float]) -> dict[str, Any]:
    strides: Factors = [[1] * len(window)]
    for step in halvings(window, spacing_mm, 5):
        each = [step] * len(window) if isinstance(step, int) else step
        if max(each) > 1:
            strides.append(each)
    levels = max(1, min(3, len(strides) - 2))
    return {
        "kernel_size": [[3] * len(window)] * len(strides),
        "strides": strides,
        "upsample_kernel_size": strides[1:],
        "deep_supr_num": levels,
        "res_block": False,
    }


_SPECIAL: Mapping[str, Callable[[Sequence[int], Sequence[float]], dict[str, Any]]] = {
    "dlka_net": _dlka,
    "dlka_net_2d": lambda window, _: {"image_size": list(window)},
    "emf_former": _four_strides,
    "medical_transformer": _axial,
    "monai:DynUNet": _dyn_unet,
    "monai:SegResNet": lambda *_: {"init_filters": 16},
    "monai:SwinUNETR": lambda *_: {"feature_size": 24},
    "mslau_net": _four_strides,
    "ultralight_unet": _ultralight,
}


def _parameters(network: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(NETWORKS[network]).parameters if network in NETWORKS else {}
