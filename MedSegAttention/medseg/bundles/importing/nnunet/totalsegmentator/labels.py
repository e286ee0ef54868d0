"""TotalSegmentator's classes as segments: its own names, with their codes and colours."""

from collections.abc import Sequence
from dataclasses import replace

from medseg.bundles.anatomy import SIDES, get_term
from medseg.bundles.importing.nnunet.totalsegmentator.codes import CODES, COLOURS, PLACES
from medseg.bundles.label_specs import label_specs
from medseg.spec.labels import Code, LabelSpec

_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")


def describe(names: Sequence[str]) -> tuple[LabelSpec, ...]:
    """Describe classes, with the values 1, 2, ...; one that has no code is described by its name alone.

    Example:
        >>> [spec.type.value for spec in describe(["spleen", "kidney_left"])]
        ['78961009', '64033007']
    """
    return tuple(_coded(spec) for spec in label_specs(names))


def _coded(spec: LabelSpec) -> LabelSpec:
    side = next((word for word in spec.name.split("_") if word in SIDES), None)
    base = "_".join(word for word in spec.name.split("_") if word != side)
    if base not in COLOURS:
        return spec
    code = Code("SCT", *CODES[base]) if base in CODES else get_term(base).type
    shown = COLOURS[base].split()
    red, green, blue = bytes.fromhex(shown[-1 if side == "right" else 0])
    said = side is None or side in code.meaning.lower()  # "Middle lobe of right lung"
    modifier = None if side is None or said else SIDES[side]
    coded = replace(spec, color=(red, green, blue), category=_STRUCTURE, type=code)
    if base not in PLACES:
        return replace(coded, type_modifier=modifier)
    category, category_meaning, region, region_meaning = PLACES[base]
    return replace(
        coded,
        category=Code("SCT", category, category_meaning),
        type_modifier=None,
        region=Code("SCT", region, region_meaning),
        region_modifier=modifier,
    )
