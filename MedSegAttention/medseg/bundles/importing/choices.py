"""What a person decides when a model from elsewhere is imported; everything left out is read or assumed, and said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medseg.bundles.catalogue import Bundle
from medseg.spec.manifest import ChannelSpec, IntensityRule, IntTriple, LabelSpec, SliceRule, Triple

_SLICE_AXES = 2


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Fields of the manifest that are not taken from the imported files; None: taken from them."""

    model_id: str
    title: str | None = None
    labels: tuple[LabelSpec, ...] | None = None
    channels: tuple[ChannelSpec, ...] | None = None
    orientation: str | None = None
    spacing_mm: Triple | None = None
    intensity: IntensityRule | None = None
    window_shape: IntTriple | None = None
    slices: SliceRule | None = None
    licence: str | None = None
    anatomy: str | None = None


def default_slices(orientation: str, fit: Literal["windows", "resize"]) -> SliceRule:
    """Read a 2D network's slices across the body's long axis, wherever the orientation puts it.

    Example:
        >>> default_slices("SPL", "resize").axis
        0
    """
    return SliceRule(axis=next(axis for axis, letter in enumerate(orientation) if letter in "SI"), fit=fit)


def as_window(sides: Sequence[int], rule: SliceRule | None) -> IntTriple:
    """A window's size in voxels from that of a network's input, which is 1 thick across slices."""
    sizes = list(sides)
    if rule is not None and len(sizes) == _SLICE_AXES:
        sizes.insert(rule.axis, 1)
    i, j, k = sizes
    return i, j, k


@dataclass(frozen=True)
class Imported:
    """A new bundle, and one sentence for each thing that was assumed or left out."""

    bundle: Bundle
    notes: tuple[str, ...]
