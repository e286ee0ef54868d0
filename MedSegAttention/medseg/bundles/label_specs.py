"""Segments from names alone: colours that differ, and SNOMED codes where the name is a well-known organ's."""

import colorsys
from collections.abc import Collection, Sequence
from dataclasses import replace

from medseg.bundles.anatomy import Term, find_term
from medseg.spec.manifest import Code, IntTriple, LabelSpec

_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")
_TISSUE = Code("SCT", "85756007", "Tissue")
_GOLDEN_ANGLE = 0.381966  # of a circle of hues: neighbours in the list differ most


def label_specs(names: Sequence[str], values: Sequence[int] | None = None) -> tuple[LabelSpec, ...]:
    """Describe the segments of a model of which only their names are known.

    Args:
        names: in the order of the network's outputs, without the background.
        values: of each in a labelmap; None: 1, 2, ...

    Returns:
        The segments; where a name is a term of ``anatomy`` ("spleen", "kidney_left"), its codes and its colour
        where no earlier segment has it; else plain tissue.

    Example:
        >>> [spec.type.meaning for spec in label_specs(["Left Kidney", "tumour", "part 3"])]
        ['Kidney', 'Neoplasm', 'Tissue']
    """
    found: list[LabelSpec] = []
    for value, name in zip(values or range(1, len(names) + 1), names, strict=True):
        found.append(_label_spec(value, name, taken={spec.color for spec in found}))
    return tuple(found)


def coded(spec: LabelSpec, term: Term) -> LabelSpec:
    """The same segment with the codes of a term; its name and its colour stay."""
    return replace(
        spec,
        category=term.category,
        type=term.type,
        type_modifier=term.type_modifier,
        region=None,
        region_modifier=None,
    )


def _label_spec(value: int, name: str, taken: Collection[IntTriple]) -> LabelSpec:
    red, green, blue = colorsys.hsv_to_rgb((value - 1) * _GOLDEN_ANGLE % 1, 0.6, 0.9)
    color = (round(red * 255), round(green * 255), round(blue * 255))
    spec = LabelSpec(value=value, name=name, color=color, category=_STRUCTURE, type=_TISSUE)
    term = find_term(name)
    if term is None:
        return spec
    return coded(spec if term.color is None or term.color in taken else replace(spec, color=term.color), term)
