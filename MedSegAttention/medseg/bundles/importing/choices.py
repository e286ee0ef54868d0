"""What is made of the choices of an import where they are left out, and what an import gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medseg.bundles.catalogue import Bundle
from medseg.spec.import_job import Choices as Choices  # a person's, handed to every importer
from medseg.spec.manifest import IntTriple, SliceRule

_SLICE_AXES = 2


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
