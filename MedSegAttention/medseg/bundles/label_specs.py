"""Segments from names alone: colours that differ, and SNOMED codes where the name is a well-known organ's."""

import colorsys
import re
from collections.abc import Sequence

from medseg.spec.manifest import Code, LabelSpec

_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")
_TISSUE = Code("SCT", "85756007", "Tissue")
_SIDES = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}
_ORGANS = {
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Urinary bladder"),
    "brain": ("12738006", "Brain"),
    "esophagus": ("32849002", "Esophagus"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "kidney": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "pancreas": ("15776009", "Pancreas"),
    "prostate": ("41216001", "Prostate"),
    "spleen": ("78961009", "Spleen"),
    "stomach": ("69695003", "Stomach"),
}
_GOLDEN_ANGLE = 0.381966  # of a circle of hues: neighbours in the list differ most


def label_specs(names: Sequence[str]) -> tuple[LabelSpec, ...]:
    """Describe the segments of a model of which only their names are known.

    Args:
        names: in the order of the network's outputs, without the background.

    Returns:
        Values 1, 2, ...; the code is an organ's when the name is one ("spleen", "left kidney"), else plain tissue.

    Example:
        >>> [spec.type.meaning for spec in label_specs(["Left Kidney", "tumour"])]
        ['Kidney', 'Tissue']
    """
    return tuple(_label_spec(value, name) for value, name in enumerate(names, start=1))


def _label_spec(value: int, name: str) -> LabelSpec:
    red, green, blue = colorsys.hsv_to_rgb((value - 1) * _GOLDEN_ANGLE % 1, 0.6, 0.9)
    words = set(re.findall(r"[a-z]+", name.lower()))
    organs = [_ORGANS[word] for word in words if word in _ORGANS]
    sides = [code for side, code in _SIDES.items() if side in words]
    known = len(organs) == 1 and words <= {*_ORGANS, *_SIDES}
    return LabelSpec(
        value=value,
        name=name,
        color=(round(red * 255), round(green * 255), round(blue * 255)),
        category=_STRUCTURE,
        type=Code("SCT", *organs[0]) if known else _TISSUE,
        type_modifier=sides[0] if known and len(sides) == 1 else None,
    )
