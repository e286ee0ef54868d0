"""Segments from names alone: colours that differ, and SNOMED codes where the name is a well-known organ's."""

import colorsys
import re
from collections.abc import Sequence

from medseg.spec.manifest import Code, LabelSpec

_STRUCTURE = Code("SCT", "123037004", "Anatomical Structure")
_TISSUE = Code("SCT", "85756007", "Tissue")
_SIDES = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}
_STRUCTURES = {  # those of the brain: DICOM CID 7140
    "accumbens": ("427667007", "Nucleus Accumbens"),
    "amygdala": ("4958002", "Amygdala"),
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Urinary bladder"),
    "brain": ("12738006", "Brain"),
    "brain stem": ("119238007", "Brain Stem"),
    "caudate": ("11000004", "Caudate Nucleus"),
    "cerebellum": ("113305005", "Cerebellum"),
    "cerebral cortex": ("40146001", "Cerebral Gray Matter"),
    "cerebral white matter": ("68523003", "Cerebral White Matter"),
    "esophagus": ("32849002", "Esophagus"),
    "fourth ventricle": ("35918002", "Fourth Ventricle"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "kidney": ("64033007", "Kidney"),
    "lateral ventricle": ("66720007", "Lateral Ventricle"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "pallidum": ("14738005", "Globus Pallidus"),
    "pancreas": ("15776009", "Pancreas"),
    "prostate": ("41216001", "Prostate"),
    "putamen": ("89278009", "Putamen"),
    "spleen": ("78961009", "Spleen"),
    "stomach": ("69695003", "Stomach"),
    "thalamus": ("119406000", "Thalamus"),
    "third ventricle": ("49841001", "Third ventricle"),
}
_GOLDEN_ANGLE = 0.381966  # of a circle of hues: neighbours in the list differ most


def label_specs(names: Sequence[str], values: Sequence[int] | None = None) -> tuple[LabelSpec, ...]:
    """Describe the segments of a model of which only their names are known.

    Args:
        names: in the order of the network's outputs, without the background.
        values: of each in a labelmap; None: 1, 2, ...

    Returns:
        The segments; the code is a structure's when the name is one ("spleen", "left lateral ventricle"), else
        plain tissue.

    Example:
        >>> [spec.type.meaning for spec in label_specs(["Left Kidney", "tumour"])]
        ['Kidney', 'Tissue']
    """
    numbered = zip(values or range(1, len(names) + 1), names, strict=True)
    return tuple(_label_spec(value, name) for value, name in numbered)


def _label_spec(value: int, name: str) -> LabelSpec:
    red, green, blue = colorsys.hsv_to_rgb((value - 1) * _GOLDEN_ANGLE % 1, 0.6, 0.9)
    words = re.findall(r"[a-z]+", name.lower())
    sides = [_SIDES[word] for word in words if word in _SIDES]
    structure = _STRUCTURES.get(" ".join(word for word in words if word not in _SIDES))
    return LabelSpec(
        value=value,
        name=name,
        color=(round(red * 255), round(green * 255), round(blue * 255)),
        category=_STRUCTURE,
        type=_TISSUE if structure is None else Code("SCT", *structure),
        type_modifier=sides[0] if structure and len(sides) == 1 else None,
    )
